"""The table and the figure of the headlines, from results' files alone."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import results_world
from params import ROOT
from training import Command

from convlab import files
from convlab.headlines import contents, draw, outputs
from convlab.headlines.command import _times
from convlab.headlines.contents import headlines, runs, write_times
from convlab.headlines.figure import figure
from convlab.headlines.table import table
from convlab.results.tables import README

REPORTS = """
R0:
  title: Digits
  hardware: null
  rows:
  - {what: a, result: digits, surpassed_by: digits, test_accuracy: 0.5, seconds: 94.56}
  - what: b
    result: digits
    surpassed_by: digits
    validation_accuracy: 0.4
    seconds_per_epoch: 2.0
    epochs: 30
  - {what: c, result: fashion, test_accuracy: 0.8}
beyond:
  title: Beyond
  hardware: null
  rows:
  - {what: d, result: fashion, surpassed_by: fashion, goal: 0.94}
"""


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path)
    files.write_text(Path("reports.yaml"), REPORTS)


def test_an_experiment_is_beside_all_that_it_is_to_surpass() -> None:
    digits, fashion = headlines()
    found = [(one.accuracy, one.validated, one.seconds) for one in digits.theirs]
    assert found == [(0.5, False, 94.56), (0.4, True, 60.0)]
    assert digits.highest == 0.5
    assert digits.accuracy is not None
    assert (fashion.theirs, fashion.highest, fashion.accuracy) == ([], 0.94, None)


def test_the_table_has_a_line_for_each() -> None:
    *_, digits, fashion, _, note = table(headlines()).splitlines()
    assert digits.startswith("| digits | R0 50.00% in 95 s, R0 validation 40.00% in 60 s | ")
    assert " ± " in digits
    assert " 2 | " in digits, "its seeds"
    assert fashion == "| Fashion-MNIST | the goal: 94.00% | not run | – | – | – | – |"
    hardware = headlines()[0].ours.hardware()
    assert note == f"Chosen on validation images, tested once. {', '.join(hardware)}."


def test_the_seconds_of_the_whole_are_shown_of_the_same_trainings_alone() -> None:
    ran = runs(headlines()[0].ours.trainings)
    write_times({"digits": {"seconds": 300.0, **ran}})
    write_times({"other": {"seconds": 1.0, "fingerprints": []}})
    assert headlines()[0].whole == 300.0
    assert "| 5 min |" in table(headlines())
    assert "tested once; 5 min for those that surpass a report (goal 30 min). " in table(headlines()), (
        "without the mere goal"
    )
    write_times({"digits": {"seconds": 300.0, **ran, "fingerprints": ["another"]}})
    assert headlines()[0].whole is None


def test_the_same_training_again_has_not_the_seconds_of_the_former_run() -> None:
    write_times({"digits": {"seconds": 300.0, **runs(headlines()[0].ours.trainings)}})
    path = Path("metrics/digits/timing.json")
    timing = files.read_json(path)
    timing["seeds"][1]["started_at"] = "2026-01-01T00:00:00+00:00"
    files.write_json(path, timing)
    assert headlines()[0].whole is None
    assert "in all" in table(headlines())


def test_the_committed_seconds_hold_all_of_their_trainings() -> None:
    """Those of this repository: a training of another run would lie outside."""
    with contextlib.chdir(ROOT):
        for one in headlines():
            if one.whole is not None:
                timings = [row["timing"] for row in one.ours.trainings]
                began = [datetime.fromisoformat(timing["started_at"]) for timing in timings]
                seconds = (began[-1] - began[0]).total_seconds() + timings[-1]["seconds"]
                assert sum(timing["seconds"] for timing in timings) - 1 < seconds < one.whole


def test_the_figure_names_the_hardware() -> None:
    hardware = headlines()[0].ours.hardware()
    drawn = figure(headlines())
    (legend,) = drawn.legends
    assert next(text.get_text() for text in legend.get_texts()) == "\n".join(["ours:", *hardware])
    plt.close(drawn)


def test_what_was_trained_before_leaves_no_time_of_the_whole() -> None:
    assert _times(headlines()[0], datetime.now(UTC), 3.0) is None
    assert _times(headlines()[1], datetime.now(UTC), 3.0) is None, "not run"


def test_the_readme_and_the_figure_are_written_from_them() -> None:
    page = "text\n<!-- headlines -->\nold\n<!-- /headlines -->\nmore\n"
    made = outputs({README: page})[README]
    assert table(headlines()) in made
    assert "old" not in made
    path = draw()
    first = path.read_bytes()
    assert first.startswith(b"\x89PNG")
    assert draw().read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(("digit",), "NAME: found 'digit'; allowed: digits, fashion"), (("--fast",), "--fast")],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], complaint: str, convlab: Command) -> None:
    status, _, err = convlab("headlines", *arguments)
    assert status == 2
    assert complaint in err
    assert err.count("\n") == 1


def test_what_is_to_surpass_has_to_be_an_experiment(convlab: Command) -> None:
    files.write_text(Path("reports.yaml"), REPORTS.replace("surpassed_by: fashion", "surpassed_by: fashon"))
    status, _, err = convlab("headlines")
    assert status == 2
    assert "beyond.rows.0.surpassed_by: found" in err
    assert "fashion" in err
    assert contents.TIMES.parent.exists()
