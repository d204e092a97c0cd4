"""The gate: a metric over its floor holds only where it is of the training that stands beside it."""

import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import PARAMS

from convlab import cli, files, gate

FLOORS = {"digits": {"test_accuracy": 0.95}}
FACTS = files.METRICS / "digits/train.json"
SCORES = files.METRICS / "digits/evaluate.json"


@pytest.fixture(autouse=True)
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training with two seeds, and its evaluation."""
    monkeypatch.chdir(tmp_path)
    files.write_json(FACTS, files.by_seed([facts(1), facts(2)]))
    files.write_json(SCORES, files.by_seed([scores(1), scores(2)]))


def facts(seed: int, weights: str | None = None) -> dict[str, Any]:
    return {"seed": seed, "validation_loss": 0.1, "weights": weights or f"of {seed}"}


def scores(seed: int, accuracy: float = 0.96) -> dict[str, Any]:
    found = {split: {"loss": 0.1, "accuracy": accuracy} for split in ("train", "validation", "test")}
    return {"seed": seed, **found, "weights": f"of {seed}"}


def problem() -> str:
    (found,) = gate.check(FLOORS)
    return found.problem


def test_a_metric_of_the_training_beside_it_holds() -> None:
    assert problem() == ""


def test_a_metric_under_its_floor_does_not() -> None:
    files.write_json(SCORES, files.by_seed([scores(1, 0.94), scores(2)]))
    assert problem() == "is 0.9400, under its floor"


def test_a_training_that_did_not_end_has_no_metric() -> None:
    FACTS.unlink()
    assert problem() == f"is of no training that ended: there is no {FACTS}; run `dvc repro`"


@pytest.mark.parametrize(
    "trained",
    [[facts(1, "other"), facts(2)], [facts(1), facts(2, "other")], [facts(1)], [facts(1), facts(3)]],
    ids=["first seed", "second seed", "fewer seeds", "another seed"],
)
def test_a_metric_of_another_training_does_not_hold(trained: list[dict[str, Any]]) -> None:
    files.write_json(FACTS, files.by_seed(trained))
    assert problem() == f"is of another training than {FACTS}; run `dvc repro`"


def test_files_of_before_they_named_the_weights_are_told_by_the_validation_loss() -> None:
    before = [{"seed": 1, "validation_loss": loss} for loss in (0.1, 0.2)]
    files.write_json(SCORES, scores(1))
    files.write_json(FACTS, before[0])
    assert problem() == ""
    files.write_json(FACTS, before[1])
    assert "another training" in problem()


@pytest.mark.parametrize(
    "content", ["", "{", "3", "[]", "{}", '{"seeds": 3}', '{"seeds": [3]}', "[" * 100_000]
)
def test_a_damaged_file_is_one_line(content: str) -> None:
    FACTS.write_text(content)
    assert problem().startswith(("is of no training that can be read", "is of another training"))
    assert "\n" not in problem()


def test_the_command_says_it_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("params.yaml", "studies.yaml"):
        files.write_text(Path(name), (Path(__file__).parents[2] / name).read_text())
    assert "digits" in PARAMS["thresholds"]
    FACTS.unlink()
    monkeypatch.setattr(sys, "argv", ["convlab", "check"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "digits" in line]
    assert line.startswith(f"FAIL  digits: test_accuracy is of no training that ended: there is no {FACTS}; ")
