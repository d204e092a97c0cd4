"""Where a result comes from: the fingerprint of what decides it, and the hardware and versions it ran on."""

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlab import git, portable
from convlab.pipeline.identity import identity
from convlab.schema import Experiment

if TYPE_CHECKING:
    import torch  # takes two seconds, which readers of results need not wait for


def fingerprint(experiment: Experiment, data: str) -> str:
    """Return a hash of what decides a training's result: the resolved configuration, the data, the code.

    Equal fingerprints mean bit-equal weights on one machine's CPU with the same versions of the libraries.
    """
    configuration = experiment.model_dump(exclude_defaults=True)
    return fingerprint_of_parts(configuration, data, identity("train", experiment))


def fingerprint_of_parts(configuration: Mapping[str, Any], data: str, code: Mapping[str, str]) -> str:
    """Return the fingerprint of a resolved configuration, data and code that are recorded somewhere."""
    parts = json.dumps([configuration, data, code], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def hash_data(folder: Path) -> str:
    """Return the hash of the prepared data that a training sees."""
    return hash_files(
        folder / part for part in ("train.safetensors", "validation.safetensors", "statistics.json")
    )


def hash_files(paths: Iterable[Path]) -> str:
    """Hash the contents of files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def environment(device: "torch.device") -> dict[str, Any]:
    """Return the machine and the software, which are recorded with every timing."""
    import torch

    facts: dict[str, Any] = {
        "device": device.type,
        "device_name": cpu_name(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        **({"kernels": "AVX2"} if portable.pinned() else {}),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts["device_name"] = properties.name
        facts["device_memory_gib"] = round(properties.total_memory / 2**30, 1)
        facts["cuda"] = torch.version.cuda
        facts["cudnn"] = torch.backends.cudnn.version()
        facts["driver"] = _nvidia_driver()
    return facts


def run_context() -> dict[str, Any]:
    """Return when a run took place, at which git commit, and in which DVC experiment (if any)."""
    # None: no git here, or no repository: a copy on a GPU machine
    changes = git.output_or_none("status", "--porcelain", "--untracked-files=no", "--", "src", "stages")
    commit = git.output_or_none("rev-parse", "HEAD")
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": commit.strip() if commit else os.environ.get("CONVLAB_COMMIT"),
        "git_dirty": None if changes is None else bool(changes),
        "dvc_experiment": os.environ.get("DVC_EXP_NAME"),
    }


def cpu_name() -> str:
    """Name this machine's processor, with the number of its cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def hardware_here() -> set[str]:
    """Name what a training could run on here: the processor, and each GPU that there is."""
    names = {cpu_name()}
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        names |= {str(pynvml.nvmlDeviceGetName(handle)) for handle in handles}
    except Exception:  # no driver, no GPU
        pass
    return names


def _nvidia_driver() -> str | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except Exception:  # NVML is optional: its absence must not stop a training
        return None
