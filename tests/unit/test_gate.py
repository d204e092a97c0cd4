"""The gate: a metric above its threshold counts only if it belongs to the training beside it."""

import sys
from pathlib import Path

import pytest
from repository import PARAMS, ROOT
from result import evaluation, put, training

from convlab import cli, files
from convlab.pipeline.made_from import TrainingRecord
from convlab.results import gate

THRESHOLD_METRICS = {"digits": {"test_accuracy": 0.95}}
FACTS, SCORES = files.trainings("digits"), files.scores("digits")


@pytest.fixture(autouse=True)
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training with two seeds, and its evaluation."""
    monkeypatch.chdir(tmp_path)
    put([facts(1), facts(2)], [scores(1), scores(2)])


def facts(seed: int, weights: str | None = None) -> TrainingRecord:
    return training("digits", seed, weights=weights or f"of {seed}")


def scores(seed: int, accuracy: float = 0.96) -> TrainingRecord:
    return evaluation(facts(seed), accuracy)


def remove_training() -> None:
    """Leave what DVC leaves of a result whose training fails."""
    for path in (FACTS, files.METRICS / "digits/train.json", files.PLOTS / "digits/curves.csv"):
        path.unlink()


def problem() -> str:
    (found,) = gate.check(THRESHOLD_METRICS)
    return found.problem


def test_a_metric_of_the_training_beside_it_holds() -> None:
    assert problem() == ""


def test_a_metric_below_its_threshold_does_not() -> None:
    put([facts(1), facts(2)], [scores(1, 0.93), scores(2)])
    assert problem() == "is 0.9450, below its threshold"  # the mean over seeds


def test_a_training_that_did_not_end_has_no_metric() -> None:
    remove_training()
    assert problem() == f"belongs to no finished training: there is no {FACTS}; run `dvc repro`"


@pytest.mark.parametrize(
    "trained",
    [[facts(1, "other"), facts(2)], [facts(1), facts(2, "other")], [facts(1)], [facts(1), facts(3)]],
    ids=["first seed", "second seed", "fewer seeds", "another seed"],
)
def test_a_metric_of_another_training_does_not_hold(trained: list[TrainingRecord]) -> None:
    put(trained, [scores(1), scores(2)])
    assert problem() == f"belongs to a different training than {FACTS}; run `dvc repro`"


def test_a_training_that_was_not_evaluated_has_no_metric() -> None:
    SCORES.unlink()
    (files.METRICS / "digits/evaluate.json").unlink()
    assert problem() == f"is missing: there is no {SCORES}"


@pytest.mark.parametrize(
    "content", ["", "{", "3", "[]", "{}", '{"seeds": 3}', '{"seeds": [3]}', "[" * 100_000]
)
def test_a_damaged_file_is_one_line(content: str) -> None:
    FACTS.write_text(content)
    assert problem().startswith(("cannot be read: ", "is inconsistent: ", "belongs to no finished training"))
    assert "\n" not in problem()


def test_the_command_says_it_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("params.yaml", "studies.yaml"):
        files.write_text(Path(name), (ROOT / name).read_text())
    assert "digits" in PARAMS["thresholds"]
    remove_training()
    monkeypatch.setattr(sys, "argv", ["convlab", "check"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "digits" in line]
    told = f"belongs to no finished training: there is no {FACTS}; "
    assert line.startswith(f"FAIL  digits: test_accuracy {told}")
