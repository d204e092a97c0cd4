"""Run every command of gpu.md here, with a few steps: whether a GPU machine's minutes would be well spent.

    python bench/dry_run.py [--only LINE …] [--out FILE]        (40 minutes on two cores)

In a temporary copy of the repository, with data sets of the real formats and few, random images; as gpu.md
says, `gpu-pack.sh` packs and `gpu.sh` runs. What is reduced is written in REDUCED and in `prepared_copy`. A
line is well if its command ends with exit status 0 and brings the metrics of each name that it names.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
import yaml

from convlab.errors import InputError, run
from convlab.files import read_json, write_json
from convlab.provenance import environment, occasion
from options import Parser
from small_data import expect_small_data, write_small_data

PAGE = Path("bench/gpu.md")
RESULTS = Path("bench/results/dry-run.json")
TRAIN, TEST, VALIDATION = 450, 50, 50
# It is not about learning: enough that every kind of step is taken
REDUCED = {
    r"epochs=\d+": "epochs=2",
    r"seeds=\d+": "seeds=2",
    r"--seeds \d+": "--seeds 2",
    r"bench/suite\.py": "bench/suite.py --rounds 1 --seconds 0",
    r"--steps \d+": "--steps 1",
    r" --peer \S+": "",  # it trains on CUDA alone
}
PARTS = ("digits", "mnist", "fashion_mnist", "cifar10")


def main() -> int:
    """Run the lines, write down how each ended; exit status 1 if one did not end well."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="LINE", help="these lines of the table")
    parser.add_argument("--out", type=Path, default=RESULTS, help="(%(default)s)")
    options = parser.parse_args()
    lines = commands(PAGE.read_text(encoding="utf-8"))
    if unknown := sorted(set(options.only or []) - set(lines)):
        raise InputError(f"--only: found {unknown[0]!r}; allowed: {', '.join(lines)}")
    results: dict[str, Any] = read_json(options.out) if options.out.exists() else {"lines": {}}
    results |= {**occasion(), **environment(torch.device("cpu"))}
    with tempfile.TemporaryDirectory() as folder:
        copy = prepared_copy(Path(folder))
        for number in options.only or lines:
            results["lines"][number] = ended = attempt(copy, lines[number])
            results["lines"] = {key: results["lines"][key] for key in lines if key in results["lines"]}
            write_json(options.out, results)
            print(f"line {number}: {ended['ended']} after {ended['seconds']:.0f} s", flush=True)
    return int(any(line["ended"] != "well" for line in results["lines"].values()))


def commands(page: str) -> dict[str, str]:
    """Give the first command of each row of gpu.md's table, by the row's number."""
    rows = re.findall(r"^\| (\w+) \| [^|]* \| `([^`]+)`", page, re.MULTILINE)
    return dict(rows)


def reduced(command: str) -> str:
    """Give a command with few epochs, seeds and steps."""
    for pattern, replacement in REDUCED.items():
        command = re.sub(pattern, replacement, command)
    return command


def prepared_copy(folder: Path) -> Path:
    """Copy the repository without results, with small data in place of the published, packed for the GPU."""
    copy, mirror = folder / "copy", folder / "mirror"
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], text=True).splitlines()
    for name in listed:
        if name.split("/")[0] not in ("metrics", "plots") and Path(name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, copy / name)
    write_small_data(mirror, TRAIN, TEST)
    expect_small_data(copy, mirror, TRAIN)
    params = yaml.safe_load((copy / "params.yaml").read_text())
    for experiment in params["experiments"].values():
        experiment |= {"epochs": 2, "split": {"method": "last", "validation": VALIDATION}}
        experiment["batch_size"] = min(128, experiment.get("batch_size", 128))
    for sweep in params["sweeps"].values():
        sweep["overrides"] = {**sweep.get("overrides", {}), "epochs": 2}
        sweep["seeds"] = min(2, sweep.get("seeds", 1))
    params |= {"run": ["mnist_vgg", "fashion_preact", "cifar10_fast", "digits"], "run_sweeps": []}
    (copy / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (copy / ".venv").symlink_to(Path(sys.prefix))
    here = {"CONVLAB_MIRROR": str(mirror), "PYTHON_VERSION": f"{sys.version_info[0]}.{sys.version_info[1]}"}
    for command in (
        "python3 stages/resolve.py",
        "python3 stages/download.py",
        f"bench/gpu-pack.sh {' '.join(PARTS)}",
    ):
        if status := shell(copy, command, **here):
            raise InputError(f"{command}: exit status {status} in the copy; run it here, to see why")
    shutil.rmtree(copy / "data")
    return copy


def attempt(copy: Path, command: str) -> dict[str, Any]:
    """Run a reduced command in the copy, as it was packed, and look at what it brings."""
    params = (copy / "params.yaml").read_text()
    began = time.monotonic()
    status = shell(copy, command := reduced(command))
    seconds = time.monotonic() - began
    (copy / "params.yaml").write_text(params)
    missing = [name for name in named(command, params) if not brought(copy, name)]
    for left in (*(copy / name for name in ("data", "metrics", "plots", ".convlab")), *copy.glob("out*")):
        shutil.rmtree(left, ignore_errors=True)
    ended = "well" if not status and not missing else f"exit status {status}, without {missing}"
    return {"command": command, "ended": ended, "seconds": round(seconds, 1)}


def named(command: str, params: str) -> list[str]:
    """List the experiments and sweeps that a command names as arguments."""
    content = yaml.safe_load(params)
    if "python3" in command:
        return []
    names = {*content["experiments"], *content["sweeps"]}
    return [word for word in re.findall(r"\w+", command.split("gpu.sh")[1]) if word in names]


def brought(copy: Path, name: str) -> bool:
    """Tell whether every folder that the command filled has the metrics of a name."""
    folders = [path.parent for path in copy.glob("out*/results.tar.gz.00")]
    for folder in folders:
        packed = b"".join(piece.read_bytes() for piece in sorted(folder.glob("results.tar.gz.*")))
        with tarfile.open(fileobj=BytesIO(packed)) as tar:
            if not any(entry.startswith(f"metrics/{name}/") for entry in tar.getnames()):
                return False
    return bool(folders)


def shell(copy: Path, command: str, **environment: str) -> int:
    """Run a command in the copy, with this Python first on the path; show what it says if it fails."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "PYTHONPATH": str(copy / "src"), **environment}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=copy,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        print("".join(f"    {line}\n" for line in done.stdout.splitlines()[-12:]), end="", flush=True)
    return done.returncode


if __name__ == "__main__":
    run(main)
