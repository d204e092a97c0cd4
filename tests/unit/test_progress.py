"""Progress output: short lines without a terminal, a live table on one, a line when a training ends."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.live import Live
from training import Make

from convlab.pipeline.executors.job import how_it_ended
from convlab.pipeline.executors.relay import to_parent
from convlab.pipeline.ledger import Finished
from convlab.pipeline.trainings import winner
from convlab.schema import Trial
from convlab.train.history import History
from convlab.train.progress import (
    WIDTH,
    Ahead,
    LiveTable,
    PlainLines,
    Progress,
    Total,
    fit_line,
    format_seconds,
    reporting,
    reporting_to,
)

HALF = ((1.5, 1.25), (0.5, 0.625))


def many(count: int = 3) -> Total:
    return Total("lr", {f"lr {number}/{count} lr-0.{number}": 10 for number in range(1, count + 1)})


def test_of_many_trainings_the_first_epoch_and_the_end_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainLines(many())
    for epoch in range(1, 10):
        lines.update(Progress("lr 1/3 lr-0.1", 10, epoch, 3.0, *HALF))
    lines.update(Progress("lr 1/3 lr-0.1", 10, ended="ended at 10"))
    assert capsys.readouterr().out.splitlines() == [
        "lr 1/3 lr-0.1 epoch  1/10 · loss 1.5000 / 1.2500 · accuracy  50.00% /  62.50% · 3 s left",
        "lr 1/3 lr-0.1: ended at 10",
        "lr: 1 of 3 trainings",
    ]


def test_a_lone_training_has_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainLines(Total("lr", {"lr": 3}))
    for epoch in (0, 0.5, 1, 1.5, 2, 3):
        lines.update(Progress("lr", 3, epoch, 3.0, *(HALF if epoch in (1, 2, 3) else ())))
    lines.update(Progress("lr", 3, ended="ended at 3"))
    assert [line[:12] for line in capsys.readouterr().out.splitlines()] == [
        "lr epoch 1/3",
        "lr epoch 2/3",
        "lr epoch 3/3",
        "lr: ended at",
    ]


def test_a_line_has_the_rate_and_the_seconds_of_its_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    history = History()
    values = {"train_loss": 1.5, "train_accuracy": 0.5, "validation_loss": 1.25, "validation_accuracy": 0.625}
    history.records.append({"epoch": 1, "lr": 3e-5, **values})
    history.epoch_seconds.append(1214.67)
    with reporting_to(PlainLines(Total("lr", {"lr": 1}))), reporting("lr", 1, 100) as report:
        report.epoch(history)
    scores = "loss 1.5000 / 1.2500 · accuracy  50.00% /  62.50%"
    assert capsys.readouterr().out == f"lr epoch 1/1 · {scores} · lr 3e-05 · 1,214.67 s · 0 s left\n"


@pytest.mark.parametrize("label", ["a", "digits 12/24 kernel-5_seed-1", "n" * 80 + " 12/24 " + "t" * 80])
def test_no_line_is_over_its_width(capsys: pytest.CaptureFixture[str], label: str) -> None:
    lines = PlainLines(Total("lr", {label: 100, "b": 3}))
    lines.update(Progress(label, 100, 1, 7200.0, *HALF))
    lines.update(Progress(label, 100, ended="stopped early at 25, kept 18, validation 100.00%, 2 h 03 min"))
    assert all(len(line) <= WIDTH for line in capsys.readouterr().out.splitlines())
    text = "x" * (WIDTH - 12)
    assert fit_line("sweep 1/9 trial", text) == "1/9 trial" + text


def test_the_table_has_a_row_for_each_that_runs_and_keeps_a_line_of_each_that_ended() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    table = LiveTable(Live(console=console, auto_refresh=False), many())
    for progress in (Progress("lr 1/3 lr-0.1", 10, 5, 3.0, *HALF), Progress("lr 2/3 lr-0.2", 10)):
        table.update(progress)
    table.update(Progress("lr 1/3 lr-0.1", 10, 5.5, 2.0))  # within an epoch: the accuracy is the last one's
    with console.capture() as shown:
        console.print(table.table())
    assert [line.split() for line in shown.get().splitlines()][1:3] == [
        ["lr", "1/3", "lr-0.1", "5.5/10", "62.50%", "2", "s"],
        ["lr", "2/3", "lr-0.2", "0.0/10", "–", "–"],
    ]
    assert "0 of 3 trainings" in shown.get()
    with console.capture() as shown:
        table.update(Progress("lr 1/3 lr-0.1", 10, ended="stopped early at 6"))
    assert "lr 1/3 lr-0.1: stopped early at 6\n" in shown.get()
    assert list(table.running) == ["lr 2/3 lr-0.2"]


def test_what_a_checkpoint_brought_does_not_count_for_the_time_left() -> None:
    total = many(2)
    total.update(Progress("lr 1/2 lr-0.1", 10, 6, seconds=10.0))  # five came, one was trained
    assert total.text() == "0 of 2 trainings, 2 min 20 s left at most"


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass: each millisecond of a loaded machine counts for all epochs that are left."""
    monkeypatch.setattr("convlab.train.progress.time", SimpleNamespace(monotonic=lambda: 1000.0))


@pytest.mark.usefixtures("stopped_clock")
def test_epochs_that_a_training_did_not_have_do_not_count_for_the_pace() -> None:
    total = many(4)
    total.update(Progress("lr 1/4 lr-0.1", 10, ended="infeasible: no image is left"))
    total.update(Progress("lr 2/4 lr-0.2", 10, ended="already finished by another process"))
    total.update(Progress("lr 3/4 lr-0.3", 10, 1, seconds=10.0))
    total.update(Progress("lr 3/4 lr-0.3", 10, ended="stopped early at 1"))
    assert total.text() == "3 of 4 trainings, 1 min 40 s left at most"


@pytest.mark.usefixtures("stopped_clock")
def test_what_all_that_is_selected_takes_stands_beside_the_time_left() -> None:
    total = Total("lr", {"lr 1/2": 10, "lr 2/2": 10}, Ahead(3, 100.0))
    assert total.text() == "", "before an epoch nothing is known"
    total.update(Progress("lr 1/2", 10, 1, seconds=10.0))
    assert total.text() == "0 of 2 trainings, 3 min 10 s left at most · all selected: about 4 min 50 s"
    total.ahead = Ahead(3, 100.0, untimed=1)
    assert total.text().endswith("all selected: about 4 min 50 s, without 1 not timed here")
    total.ahead = Ahead(3, untimed=3)
    assert total.text() == "0 of 2 trainings, 3 min 10 s left at most · all selected: 3 more, not timed here"
    total.ahead = Ahead()
    assert total.text() == "0 of 2 trainings, 3 min 10 s left at most"


@pytest.mark.usefixtures("stopped_clock")
def test_a_lone_training_shows_it_after_its_first_epoch_and_at_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = PlainLines(Total("lr", {"lr": 3}, Ahead(1, 60.0)))
    for epoch in (1, 2, 3):
        lines.update(Progress("lr", 3, epoch, 3.0, *HALF, seconds=10.0))
    lines.update(Progress("lr", 3, ended="ended at 3"))
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if "epoch" not in line] == [
        "lr: all selected: about 1 min 20 s",
        "lr: ended at 3",
        "lr: all selected: about 1 min 00 s",
    ]


def test_a_worker_sends_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    from multiprocessing import Pipe

    from convlab.pipeline.executors.relay import forward

    ours, theirs = Pipe(duplex=False)
    relays = to_parent(theirs), to_parent(theirs)
    print("one", end="", file=relays[0])
    print("two", file=relays[1])
    print(" more", file=relays[0])
    forward(ours)
    assert capsys.readouterr().out == "two\none more\n"


@pytest.mark.parametrize(
    ("seconds", "progress"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (12_000, "3 h 20 min")]
)
def test_a_duration(seconds: float, progress: str) -> None:
    assert format_seconds(seconds) == progress


def test_how_a_training_ended() -> None:
    results = {"epochs": 25, "best_epoch": 18, "validation_accuracy": 1.0}
    assert how_it_ended(40, results, 19.2) == "stopped early at 25, kept 18, validation 100.00%, 19 s"
    assert how_it_ended(25, results, 19.2) == "ended at 25, kept 18, validation 100.00%, 19 s"


def test_the_winner_is_the_best_mean_on_validation_images(sweep: Make) -> None:
    def ended(*pairs: tuple[str, float]) -> list[tuple[Trial, Finished]]:
        trial = sweep({"lr": 0.1}).trials[0]
        return [
            (trial.model_copy(update={"name": name}), Finished("finished", {"validation_accuracy": accuracy}))
            for name, accuracy in pairs
        ]

    found = winner(ended(("a", 0.5), ("a", 0.7), ("b", 0.5), ("b", 0.9)))
    assert found == "best on the validation images: b, 70.00% (mean of 2 seeds)"
    assert winner(ended(("a", 0.5), ("b", 0.5))).endswith("a, 50.00%, tied with 1 more")
    assert winner(ended(("a", 0.5))) == ""
    assert winner([(sweep({"lr": 0.1}).trials[0], Finished("diverged", {}, "why"))]) == ""
