"""Copies of the working tree: which files are in them, and what their commands get to see."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import work_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("kept", "new", "gone", "ignored", "folder/with a \"quote'"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "tree/.gitignore").write_text("ignored\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "tree", check=True)
    subprocess.run(["git", "add", "kept", "gone", "folder"], cwd=tmp_path / "tree", check=True)
    (tmp_path / "tree/gone").unlink()
    return tmp_path / "tree"


def test_a_copy_has_what_is_tracked_and_what_is_new(tree: Path, tmp_path: Path) -> None:
    listed = work_tree.listed(tree)
    assert sorted(listed) == [".gitignore", "folder/with a \"quote'", "kept", "new"]
    work_tree.copy(listed, tree, tmp_path / "copy")
    assert work_tree.listed(tree) == listed
    assert {path.name for path in (tmp_path / "copy").rglob("*") if path.is_file()} == {
        Path(name).name for name in listed
    }


def test_commands_in_a_copy_get_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONVLAB_WORKERS", "DVC_ROOT", "GIT_DIR", "MLFLOW_TRACKING_URI", "HOME_OF_MINE"):
        monkeypatch.setenv(name, "mine")
    found = work_tree.environment(tmp_path)
    assert [name for name, value in found.items() if value == "mine"] == ["HOME_OF_MINE"]
    assert found["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert found["PYTHONPATH"] == str(tmp_path / "src")
