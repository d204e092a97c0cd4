"""How costs grow: CPU seconds of each command with 10, 100, … experiments selected and computed.

    python bench/pipeline/growth.py [N …] [--only trials] [--rounds 3] [--commands convlab]
                                                  (10 100 500, all commands; nothing is trained)

The experiments are copies of the digits with other seeds; after them come as many trials, in one sweep of
the digits. Their outputs are stood in for: DVC looks at files and their hashes alone, `convlab` at the
digits' own committed metrics under other names. CPU seconds are those of a command and its children, user
and system: wall seconds, noted beside them, depend on who else uses the machine. The table and the figure
of docs/scale.md are written from it.
"""

import itertools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.options import Parser, count
from bench.pipeline import growth_page
from convlab import errors, files
from convlab.errors import InputError
from convlab.pipeline.provenance import environment, run_context
from convlab.train.device import select_device

ROOT = Path(__file__).parents[2]
# What DVC does at the end of each stage that ran: it reads all of dvc.lock, and writes it again
WRITE_LOCK = "from dvc.utils.serialize import modify_yaml\nwith modify_yaml('dvc.lock'): pass"
COMMANDS = {
    growth_page.DVC_NO_OP: ["dvc", "repro"],
    growth_page.NO_OP: ["python", "-m", "convlab.cli", "repro"],
    "dvc status": ["dvc", "status"],
    "convlab list": ["python", "-m", "convlab.cli", "list"],
    "convlab validate": ["python", "-m", "convlab.cli", "validate"],
    "convlab results": ["python", "-m", "convlab.cli", "results"],
    "dvc exp show": ["dvc", "exp", "show"],
    "dvc repro evaluate@NAME, no-op": ["dvc", "repro", "evaluate@NAME"],
    "resolve": ["python", "stages/resolve.py"],
    "dvc.lock, written once": ["python", "-c", WRITE_LOCK],
    "convlab report": ["python", "-m", "convlab.cli", "report"],  # it writes, but nothing that DVC looks at
    "dvc repro --all-pipelines, no-op": ["dvc", "repro", "--all-pipelines"],
}
SWEEP = "digits_growth"


def names(number: int) -> list[str]:
    """Return the names of the copies."""
    return [f"digits_{copy:04d}" for copy in range(number)]


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
    if done.returncode or "Running stage" in done.stdout:  # nothing is to be computed
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
        write_lock(clone)
        yield clone


def write_lock(clone: Path) -> None:
    """Write a dvc.lock by which all is up to date, once: `dvc commit` writes it anew for every stage."""
    from dvc.repo import Repo
    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize import dump_yaml

    with Repo(str(clone)) as repo, repo.lock:
        stages: dict[str, Any] = {}
        for stage in repo.index.stages:
            stage.save(run_cache=False)
            stage.commit()
            stages |= to_lockfile(stage)
        dump_yaml(str(clone / "dvc.lock"), {"schema": "2.0", "stages": stages})


def main() -> None:
    """Measure, in rounds of all commands; add each to the results at once, and at the end write the page."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("counts", metavar="N", type=count, nargs="*", default=[10, 100, 500])
    parser.add_argument("--only", choices=FORMS)
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--commands", metavar="TEXT", default="", help="only those that contain TEXT")
    options = parser.parse_args()
    commands = {name: command for name, command in COMMANDS.items() if options.commands in name}
    forms = [options.only] if options.only else list(FORMS)
    check_all_again(read(), facts(), set(itertools.product(forms, commands, map(str, options.counts))))
    for number, form in itertools.product(options.counts, forms):
        one = "digits" if form == "trials" else names(number)[0]
        with cloned(form, number) as clone:
            for _, (name, command) in itertools.product(range(options.rounds), commands.items()):
                wall, cpu = run(clone, [part.replace("NAME", one) for part in command])
                print(f"{number:>5} {form:<11} {name:<33} wall {wall:.2f} s  CPU {cpu:.2f} s", flush=True)
                results = add(form, number, name, {"wall": wall, "cpu": cpu})
    growth_page.write(results)


def read() -> dict[str, Any]:
    """Return the recorded results; none where there are none."""
    path = ROOT / growth_page.RESULTS
    return files.read_json(path) if path.exists() else {}


def facts() -> dict[str, Any]:
    """Return what all results of one file have in common: the commit, DVC, the machine."""
    found = environment(select_device("cpu")) | {"git_commit": run_context()["git_commit"]}
    return found | {"dvc": version("dvc")}


def differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the facts by which recorded results are not of this commit, DVC and machine."""
    return [key for key, value in now.items() if before.get(key) != value]


def check_all_again(before: dict[str, Any], now: dict[str, Any], again: set[tuple[str, str, str]]) -> None:
    """Check that what is measured drops no recorded result that it does not replace.

    Args:
        before: the recorded results.
        now: see `facts`.
        again: (form, command, number) of each result that is measured.

    Raises:
        InputError: the recorded results are of other facts, and not all are measured again.
    """
    recorded = {
        (form, name, number)
        for form, found in before.get("seconds", {}).items()
        for name, numbers in found.items()
        for number in numbers
    }
    others, dropped = differing(before, now), recorded - again
    if others and dropped:
        key = others[0]
        raise InputError(
            f"{growth_page.RESULTS}: its {key} is {before.get(key)}, now it is {now[key]}, and "
            f"{len(dropped)} of its {len(recorded)} results would be dropped without being measured again; "
            "measure them all, or remove the file"
        )


def add(form: str, number: int, name: str, took: dict[str, float]) -> dict[str, Any]:
    """Add a run to the results, and return them; those of another commit, DVC or machine are replaced."""
    before, now = read(), facts()
    same = not differing(before, now)
    seconds = before["seconds"] if same else {form: {} for form in FORMS}
    numbers = seconds[form].setdefault(name, {})
    runs = numbers.setdefault(str(number), {key: [] for key in took})
    for key, value in took.items():
        runs[key].append(round(value, 2))
    seconds[form][name] = {key: numbers[key] for key in sorted(numbers, key=int)}
    load = max(os.getloadavg()[2], before["load"] if same else 0.0)
    results = now | {"load": round(load, 1), "seconds": seconds}
    files.write_json(ROOT / growth_page.RESULTS, results)
    return results


if __name__ == "__main__":
    errors.run(main)
