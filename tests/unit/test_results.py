"""The committed results belong to the committed code: dvc.lock speaks of the very files that are here."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LOCK = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
IN_GIT = ("src/", "stages/", "params.yaml", "data/configs/", "metrics/", "plots/")


def in_git(path: str) -> bool:
    """DVC keeps what a .gitignore of its own names beside the results: the curves with a row per step."""
    ignored = (ROOT / path).parent / ".gitignore"
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


@pytest.mark.parametrize("stage", LOCK)
def test_a_stage_was_run_with_the_code_and_left_the_results_that_are_committed(stage: str) -> None:
    recorded = [*LOCK[stage].get("deps", []), *LOCK[stage].get("outs", [])]
    stale = [
        entry["path"]
        for entry in recorded
        if in_git(entry["path"]) and dvc_hash(ROOT / entry["path"]) != entry["md5"]
    ]
    assert not stale, f"changed since {stage} ran: run `dvc repro`"
