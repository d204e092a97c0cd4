"""The committed results belong to the committed code: dvc.lock speaks of the very files beside it.

All is read from git's index: results in the work tree may be those of another processor.
"""

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from conftest import git

from convlab import files
from convlab.config import dump_item, load_params
from convlab.identity import dump_code

LOCK = yaml.safe_load(git("show", ":dvc.lock"))["stages"]
IN_GIT = (
    "src/",
    "stages/",
    "params.yaml",
    "studies.yaml",
    "data/configs/",
    "data/code/",
    "metrics/",
    "plots/",
)


def in_git(root: Path, path: str) -> bool:
    """DVC keeps what a .gitignore of its own names beside the results: the curves with a row per step."""
    ignored = (root / path).parent / ".gitignore"
    named = ignored.read_text().splitlines() if ignored.is_file() else []
    return path.startswith(IN_GIT) and f"/{Path(path).name}" not in named


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def dvc_hash(path: Path) -> str:
    """DVC's hash: of a file its MD5, of a folder the MD5 of the list of its files, as DVC writes it."""
    if path.is_file():
        return md5(path)
    listed = sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    entries = [{"md5": md5(file), "relpath": file.relative_to(path).as_posix()} for file in listed]
    entries.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + ".dir"


@pytest.mark.parametrize("stage", [name for name in LOCK if name != "resolve"])
def test_a_stage_was_run_with_the_code_and_left_the_results_that_are_committed(
    stage: str, committed: Path
) -> None:
    recorded = [*LOCK[stage].get("deps", []), *LOCK[stage].get("outs", [])]
    stale = [
        entry["path"]
        for entry in recorded
        if in_git(committed, entry["path"]) and dvc_hash(committed / entry["path"]) != entry["md5"]
    ]
    assert not stale, f"changed since {stage} ran: run `dvc repro`"


def test_the_code_and_the_configurations_are_those_that_resolve_would_write(committed: Path) -> None:
    # Not by resolve's entry in dvc.lock: it depends on all of src/, most of which makes no result
    params = load_params(committed / "params.yaml")
    wanted = {}
    for name, item in (params.experiments | params.sweeps).items():
        wanted[files.config(name)] = dump_item(item)
        wanted |= {files.code(name, phase): text for phase, text in dump_code(item).items()}
    differ = [str(path) for path, text in wanted.items() if (committed / path).read_text() != text]
    assert not differ, "run `dvc repro resolve`"
