"""params.yaml is committed as DVC formats it, so that `-S` changes one line."""

import difflib
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides  # what `dvc exp run -S` calls
from repository import ROOT

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


def after(folder: Path, *overrides: str) -> list[str]:
    """Return the lines that `-S` removes and adds."""
    path = folder / "params.yaml"
    path.write_text(TEXT, encoding="utf-8")
    apply_overrides(path, list(overrides))
    new = path.read_text(encoding="utf-8")
    lines = difflib.unified_diff(TEXT.splitlines(), new.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def test_what_changes_nothing_changes_nothing(tmp_path: Path) -> None:
    assert after(tmp_path, "lr=0.001") == []


def test_a_key_can_be_set_whether_it_is_stated_or_not(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT, encoding="utf-8")
    for seeds in (3, 5):  # `+` would refuse the second
        apply_overrides(path, [f"++experiments.digits.seeds={seeds}"])
    assert "    seeds: 5\n" in path.read_text(encoding="utf-8")


def test_another_learning_rate_is_one_line_and_its_comment_stays(tmp_path: Path) -> None:
    gone, new = after(tmp_path, "lr=0.01")
    assert gone.startswith("-lr: 0.001 ")
    assert new.split("#")[0].strip() == "+lr: 0.01"
    assert new.partition("#")[2] == gone.partition("#")[2]


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (["experiments.digits.epochs=3"], ["-    epochs: 30", "+    epochs: 3"]),
        (["++experiments.digits.seeds=3"], ["+    seeds: 3"]),
        (["run=[mnist_vgg]"], ["-- digits", "+- mnist_vgg"]),
        (["run_sweeps=[]"], ["-run_sweeps:", "-- digits_stride_kernel", "-- digits_l2", "+run_sweeps: []"]),
    ],
)
def test_other_changes_are_as_small(tmp_path: Path, overrides: list[str], lines: list[str]) -> None:
    assert after(tmp_path, *overrides) == lines
