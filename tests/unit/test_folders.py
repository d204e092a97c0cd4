"""An inconsistent result is named, and refused by every reader."""

from collections.abc import Callable
from pathlib import Path

import pytest
from result import curves_of, evaluation, put, training, trial

from convlab import files, results
from convlab.errors import InputError
from convlab.pipeline import summaries
from convlab.pipeline.made_from import sealed
from convlab.results import gate
from convlab.results.folders import load
from convlab.tracking.records import read_run

ONE, OTHER = training("one", epochs=4, lr=0.1), training("one", epochs=4, weights="others")
EDITED = ONE | {"weight_norm": 99.0}
MIXED = {key: value for key, value in ONE.items() if key != "seal"} | {"configuration": {"lr": 0.3}}


@pytest.fixture(autouse=True)
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An experiment and a sweep, whole."""
    monkeypatch.chdir(tmp_path)
    put([ONE], [evaluation(ONE, 0.97)])
    put([trial("grid", "a", 1, 0.9), training("grid", 1, "b", status="infeasible")])


def test_parts_that_belong_together_are_a_result() -> None:
    assert (load("one").problem, load("grid").problem) == ("", "")
    assert len(results.rows("one")) == len(results.rows("grid/a")) == 1
    assert gate.check({"one": {"test_accuracy": 0.95}})[0].problem == ""


def records(record: object) -> Callable[[], None]:
    return lambda: files.write_json(files.trainings("one"), [record])


def typed_over(file: str, before: str, after: str) -> Callable[[], None]:
    path = files.METRICS / "one" / file
    return lambda: files.write_text(path, path.read_text().replace(before, after))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (records(EDITED), "trainings.json has been edited (name one seed 1)"),
        (records(sealed(MIXED)), "has the numbers of one training with the configuration of another"),
        (records(sealed({**EDITED, "of": "two"})), "trainings.json is of 'two'"),
        (records(3), "trainings.json is not a list of records"),
        (lambda: files.write_json(files.trainings("one"), {}), "trainings.json"),
        (typed_over("scores.json", "0.97", "0.99"), "scores.json has been edited (seed 1)"),
        (
            typed_over("evaluate.json", "0.97", "0.99"),
            "evaluate.json does not match scores.json",
        ),
        (typed_over("train.json", "3.0", "2.0"), "train.json does not match trainings.json"),
        ((files.METRICS / "one/evaluate.json").unlink, "evaluate.json does not match scores.json"),
        (
            lambda: files.write_csv(files.PLOTS / "one/curves.csv", curves_of([training("one", 2)])),
            "plots/one/curves.csv belongs to a different training than metrics/one/trainings.json",
        ),
        (
            lambda: files.write_text(files.PLOTS / "one/curves.csv", "seed,epoch,val_loss\n1,1,0.5\n"),
            "plots/one/curves.csv has no column validation_loss",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parts_that_do_not_are_named_and_no_result(damage: Callable[[], None], told: str) -> None:
    damage()
    assert told in load("one").problem
    assert "dvc repro" in load("one").problem
    assert results.rows("one") == []
    assert results.status("one") == "inconsistent"
    (check,) = gate.check({"one": {"test_accuracy": 0.0}})
    assert check.problem.startswith("is inconsistent: ")
    with pytest.raises(InputError, match="dvc repro"):
        read_run("one")


def test_a_sweeps_summary_edited_by_hand_is_detected() -> None:
    shown = summaries.tried(load("grid").trainings)
    assert shown == {"a": {"test_accuracy": 0.9}, "b": {"status": "infeasible"}}
    files.write_json(files.METRICS / "grid/trials.json", shown | {"a": {"test_accuracy": 0.95}})
    assert "trials.json does not match trainings.json" in load("grid").problem
    assert results.status("grid/a") == "inconsistent"


def test_scores_of_another_training_leave_the_training_without_any() -> None:
    put([ONE], [evaluation(OTHER)])
    assert load("one").problem == ""
    assert results.rows("one") == []


def test_a_folder_is_read_again_when_a_file_of_it_has_changed() -> None:
    assert load("one") is load("one")
    put([ONE], [evaluation(ONE, 0.5)])
    assert results.rows("one")[0]["test"]["accuracy"] == 0.5


def predicted(*pairs: str) -> None:
    """Put a result whose test images are `actual predicted`, with the scores of each class."""
    labels = [pair.split() for pair in pairs]
    per_class = {
        "cat": {"precision": 0.5, "recall": 1.0, "images": 1},
        "dog": {"precision": 1.0, "recall": 0.5, "images": 2},
        "elk": {"precision": 0.0, "recall": 0.0, "images": 0},
    }
    put([ONE], [evaluation(ONE, per_class=per_class)])
    rows = [{"actual": actual, "predicted": guess} for actual, guess in labels]
    files.write_csv(files.PLOTS / "one/confusion.csv", rows, ("actual", "predicted"))


def test_predictions_that_have_the_recorded_scores_belong_to_them() -> None:
    predicted("cat cat", "dog cat", "dog dog")
    assert load("one").problem == ""


@pytest.mark.parametrize(
    ("pairs", "label"),
    [
        (["cat cat", "dog dog", "dog dog"], "cat"),
        (["cat cat", "dog elk", "dog dog"], "cat"),  # as many right
        (["cat cat", "dog cat", "dog dog", "dog dog"], "dog"),
        (["dog cat", "cat cat", "dog dog", "elk elk"], "elk"),
        ([], "cat"),
    ],
    ids=["more right", "wrong in another way", "more images", "another class", "none"],
)
def test_predictions_of_another_evaluation_are_named(pairs: list[str], label: str) -> None:
    predicted(*pairs)
    told = f"plots/one/confusion.csv does not match metrics/one/scores.json in '{label}'"
    assert load("one").problem.startswith(told)
    assert results.rows("one") == []


@pytest.mark.parametrize("text", [b"", b"actual,guess\n1,2\n", b"actual,predicted\n1\n", b"\xff\xfe"])
def test_predictions_that_are_no_table_are_one_line(text: bytes) -> None:
    predicted("cat cat", "dog cat", "dog dog")
    files.write_bytes(files.PLOTS / "one/confusion.csv", text)
    with pytest.raises(InputError, match=r"^plots/one/confusion\.csv: unreadable"):
        load("one")
