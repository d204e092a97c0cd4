"""The committed results belong to the committed code: dvc.lock has the hashes of exactly these files.

All is read from git's index: results in the work tree may be those of another processor.
"""

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from repository import git

from convlab import files
from convlab.config import dump_item, load_params
from convlab.pipeline.identity import dump_code
from convlab.results import folders

TRAININGS = git("ls-files", "metrics/*/trainings.json").split()
LOCK = yaml.safe_load(git("show", ":dvc.lock"))["stages"]
IN_GIT = ("src/", "stages/", "params.yaml", "studies.yaml", "metrics/", "plots/")


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


@pytest.fixture(scope="module")
def resolved(committed: Path) -> dict[str, str]:
    """Return the MD5s of what `resolve` would write from what is committed, by path: git has none of it."""
    params = load_params(committed / "params.yaml")
    texts = {"data/configs/datasets.yaml": "".join(f"- {name}\n" for name in params.datasets())}
    for name, item in (params.experiments | params.sweeps).items():
        texts[str(files.config(name))] = dump_item(item)
        code = dump_code(item, params.feature_maps.get(name, []))
        texts |= {str(files.code(name, phase)): text for phase, text in code.items()}
    return {path: hashlib.md5(text.encode()).hexdigest() for path, text in texts.items()}


@pytest.mark.parametrize("stage", [name for name in LOCK if name != "resolve"])
def test_a_stage_was_run_with_the_code_and_left_the_results_that_are_committed(
    stage: str, committed: Path, resolved: dict[str, str]
) -> None:
    # Not by resolve's entry in dvc.lock: it depends on all of src/, most of which makes no result
    recorded = [*LOCK[stage].get("deps", []), *LOCK[stage].get("outs", [])]
    stale = [
        entry["path"]
        for entry in recorded
        if (in_git(committed, entry["path"]) and dvc_hash(committed / entry["path"]) != entry["md5"])
        or resolved.get(entry["path"], entry["md5"]) != entry["md5"]
    ]
    assert not stale, f"changed since {stage} ran: run `dvc repro`"


def test_the_lock_has_the_raw_data_of_the_digits_alone() -> None:
    """As a clone has them: with more, `make repro` would change the lock, and `dvc checkout` fail then."""
    if yaml.safe_load(git("show", ":params.yaml"))["run"] != ["digits"]:
        pytest.skip("another selection is committed")
    assert [entry["nfiles"] for entry in LOCK["download"]["outs"]] == [1]


@pytest.mark.parametrize("name", sorted(path.split("/")[1] for path in TRAININGS))
def test_the_parts_of_a_result_are_consistent(
    name: str, committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(committed)
    folder = folders.load(name)
    assert folder.problem == ""
    assert len(folder.scored()) == len([one for one in folder.trainings if one["status"] == "finished"])
