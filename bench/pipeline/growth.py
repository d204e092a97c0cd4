"""How the pipeline grows: what each command costs with 10, 100, … experiments selected and computed.

    python bench/pipeline/growth.py [N …]      (10 100; in a temporary clone; nothing is trained)

The experiments are copies of the digits with other seeds. Their outputs are stood in for: DVC looks at files
and their hashes alone, `convlab` at the digits' own committed metrics under other names. CPU seconds (user
and system) stand beside wall seconds, as a machine that others use too makes the latter long.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from convlab import files
from convlab.pipeline.provenance import environment
from convlab.train.device import select_device

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench/results/growth.json"
COMMANDS = {
    "convlab validate": ["python", "-m", "convlab.cli", "validate"],
    "resolve": ["python", "stages/resolve.py"],
    "convlab results": ["python", "-m", "convlab.cli", "results"],
    "dvc status": ["dvc", "status"],
    "convlab list": ["python", "-m", "convlab.cli", "list"],
    "dvc repro, no-op": ["dvc", "repro"],
    "convlab report": ["python", "-m", "convlab.cli", "report"],  # last: it writes
}


def names(count: int) -> list[str]:
    """Return what the copies are called."""
    return [f"digits_{number:04d}" for number in range(count)]


def write_params(clone: Path, count: int) -> None:
    """Select `count` copies of the digits, and nothing else."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    digits = raw["experiments"]["digits"]
    for number, name in enumerate(names(count)):
        raw["experiments"][name] = {**digits, "seed": number + 1}
    raw |= {"run": names(count), "run_sweeps": []}
    (clone / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def stand_in(clone: Path, count: int) -> None:
    """Make the outputs of every stage: the digits' own where git has them, else a word."""
    pipeline = yaml.safe_load((clone / "dvc.yaml").read_text())["stages"]
    for name in names(count):
        for stage in ("preprocess", "train", "evaluate", "visualize"):
            content = pipeline[stage]["do"]
            for out in [*content.get("outs", []), *content.get("metrics", []), *content.get("plots", [])]:
                path = out if isinstance(out, str) else next(iter(out))
                own, digits = (clone / path.replace("${item}", one) for one in (name, "digits"))
                own.parent.mkdir(parents=True, exist_ok=True)
                if digits.is_dir():
                    shutil.copytree(digits, own, dirs_exist_ok=True)
                elif digits.is_file():
                    shutil.copyfile(digits, own)
                elif own.suffix:
                    own.write_text(name)
                else:
                    own.mkdir(exist_ok=True)
                    (own / "content").write_text(name)
    (clone / "data/raw").mkdir(exist_ok=True)
    (clone / "data/raw/digits").write_text("raw")


def run(clone: Path, command: list[str]) -> tuple[float, float]:
    """Run a command in the clone, and return its wall and its CPU seconds."""
    environment = {**os.environ, "PYTHONPATH": "src", "MLFLOW_DISABLE_TELEMETRY": "true"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def cloned(count: int) -> Iterator[Path]:
    """Return a clone with `count` experiments that are up to date."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        write_params(clone, count)
        (clone / "dvc.lock").unlink(missing_ok=True)
        run(clone, ["python", "stages/resolve.py"])
        stand_in(clone, count)
        run(clone, ["dvc", "commit", "--force", "--quiet"])
        yield clone


def main() -> None:
    """Measure, print a table, and keep it."""
    counts = [int(text) for text in sys.argv[1:]] or [10, 100]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for count in counts:
        with cloned(count) as clone:
            for name, command in COMMANDS.items():
                wall, cpu = run(clone, command)
                found.setdefault(name, {})[str(count)] = {"wall": round(wall, 2), "cpu": round(cpu, 2)}
                print(f"{count:>5} {name:<20} wall {wall:7.2f} s  CPU {cpu:7.2f} s", flush=True)
        facts = {**environment(select_device("cpu")), "load": os.getloadavg()[2]}
        files.write_json(RESULTS, {**facts, "seconds": found})


if __name__ == "__main__":
    main()
