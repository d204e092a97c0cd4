"""How costs grow: CPU seconds of each command with 10, 100, … experiments selected and computed.

    python bench/pipeline/growth.py [N …]      (10 100; in a temporary clone; nothing is trained)

The experiments are copies of the digits with other seeds; after them come as many trials, in one sweep of
the digits. Their outputs are stood in for: DVC looks at files and their hashes alone, `convlab` at the
digits' own committed metrics under other names. CPU seconds (user and system) stand beside wall seconds, as
a machine that others use too makes the latter long; medians of three.
"""

import itertools
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import yaml

from convlab import files
from convlab.pipeline.provenance import environment
from convlab.train.device import select_device

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench/results/growth.json"
REPEATS = 3
# What DVC does at the end of each stage that ran: it reads all of dvc.lock, and writes it again
WRITE_LOCK = "from dvc.utils.serialize import modify_yaml\nwith modify_yaml('dvc.lock'): pass"
COMMANDS = {
    "convlab validate": ["python", "-m", "convlab.cli", "validate"],
    "resolve": ["python", "stages/resolve.py"],
    "convlab results": ["python", "-m", "convlab.cli", "results"],
    "convlab list": ["python", "-m", "convlab.cli", "list"],
    "dvc status": ["dvc", "status"],
    "dvc repro, no-op": ["dvc", "repro"],
    "dvc repro --all-pipelines, no-op": ["dvc", "repro", "--all-pipelines"],
    "dvc repro evaluate@NAME, no-op": ["dvc", "repro", "evaluate@NAME"],
    "dvc exp show": ["dvc", "exp", "show"],
    "dvc.lock, written once": ["python", "-c", WRITE_LOCK],
    "convlab report": ["python", "-m", "convlab.cli", "report"],  # last: it writes
}
SWEEP = "digits_growth"


def names(count: int) -> list[str]:
    """Return the names of the copies."""
    return [f"digits_{number:04d}" for number in range(count)]


def select_copies(clone: Path, count: int) -> None:
    """Select `count` copies of the digits, and nothing else."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    digits = raw["experiments"]["digits"]
    for number, name in enumerate(names(count)):
        raw["experiments"][name] = {**digits, "seed": number + 1}
    raw |= {"run": names(count), "run_sweeps": []}
    (clone / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    for name in names(count):
        stand_in(clone, name, "digits", ("preprocess", "train", "evaluate", "visualize"))


def select_sweep(clone: Path, count: int) -> None:
    """Select the digits, and one sweep of `count` trials of them."""
    studies = yaml.safe_load((ROOT / "studies.yaml").read_text())
    l2 = [number * 1e-6 for number in range(count)]
    studies["sweeps"][SWEEP] = {"experiment": "digits", "seeds": 1, "grid": {"l2": l2}}
    (clone / "studies.yaml").write_text(yaml.safe_dump(studies, sort_keys=False))
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw |= {"run": ["digits"], "run_sweeps": [SWEEP]}
    (clone / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    stand_in(clone, "digits", "digits", ("preprocess", "train", "evaluate", "visualize"))
    stand_in(clone, SWEEP, "digits_l2", ("preprocess_sweep", "sweep", "visualize_sweep"))
    for number in range(count):
        (clone / f"data/models/{SWEEP}/{number}.safetensors").write_text(str(number))


def stand_in(clone: Path, name: str, like: str, stages: tuple[str, ...]) -> None:
    """Make the outputs of these stages: those of `like` where git has them, else a word."""
    pipeline = yaml.safe_load((clone / "dvc.yaml").read_text())["stages"]
    for stage in stages:
        content = pipeline[stage]["do"]
        for out in [*content.get("outs", []), *content.get("metrics", []), *content.get("plots", [])]:
            path = out if isinstance(out, str) else next(iter(out))
            own, other = (clone / path.replace("${item}", one) for one in (name, like))
            own.parent.mkdir(parents=True, exist_ok=True)
            if own == other and own.exists():
                continue
            if other.is_dir():
                shutil.copytree(other, own, dirs_exist_ok=True)
            elif other.is_file():
                shutil.copyfile(other, own)
            elif own.suffix:
                own.write_text(name)
            else:
                own.mkdir(exist_ok=True)
                (own / "content").write_text(name)


def run(clone: Path, command: list[str]) -> tuple[float, float]:
    """Run a command in the clone, and return its wall and its CPU seconds."""
    environment = {**os.environ, "PYTHONPATH": "src", "MLFLOW_DISABLE_TELEMETRY": "true"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


FORMS = {"experiments": select_copies, "trials": select_sweep}


@contextmanager
def cloned(form: str, count: int) -> Iterator[Path]:
    """Return a clone with `count` experiments, or trials of one sweep, that are up to date."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        FORMS[form](clone, count)
        (clone / "data/raw").mkdir()
        (clone / "data/raw/digits").write_text("raw")
        (clone / "dvc.lock").unlink(missing_ok=True)
        run(clone, ["python", "stages/resolve.py"])
        run(clone, ["dvc", "commit", "--force", "--quiet"])
        yield clone


def main() -> None:
    """Measure, print a table, and save it."""
    counts = [int(text) for text in sys.argv[1:]] or [10, 100]
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {form: {} for form in FORMS}
    for form, count in itertools.product(FORMS, counts):
        with cloned(form, count) as clone:
            for name, command in COMMANDS.items():
                one = "digits" if form == "trials" else names(count)[0]
                filled = [part.replace("NAME", one) for part in command]
                runs = [run(clone, filled) for _ in range(REPEATS)]
                wall, cpu = (round(statistics.median(seconds), 2) for seconds in zip(*runs, strict=True))
                found[form].setdefault(name, {})[str(count)] = {"wall": wall, "cpu": cpu}
                print(f"{count:>5} {form:<11} {name:<33} wall {wall:7.2f} s  CPU {cpu:7.2f} s", flush=True)
        facts = {**environment(select_device("cpu")), "load": os.getloadavg()[2]}
        files.write_json(RESULTS, {**facts, "dvc": version("dvc"), "seconds": found})


if __name__ == "__main__":
    main()
