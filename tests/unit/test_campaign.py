"""What a campaign would train, in order of priority, with seconds; and errors in its command line."""

import argparse
import contextlib
import errno
import io
import os
import re
from pathlib import Path
from typing import Any

import pytest
import results_world
import torch
from params import ROOT
from result import clock, evaluation, put, training
from rich.console import Console
from training import Command, Recipe

from convlab import files
from convlab.campaign.command import Candidate, ordered, show
from convlab.campaign.durations import format_duration, parse_duration
from convlab.campaign.estimate import START, Estimate, TrainingSpeed
from convlab.campaign.missing import missing_results, rows_with_fewer_epochs
from convlab.errors import InputError
from convlab.pipeline.provenance import cpu_name
from convlab.pipeline.selection_lock import selection_lock
from convlab.schema import Experiment


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h30m", 9000), ("45m", 2700), ("90s", 90), ("1d", 86_400), ("1h1s", 3601), ("30d", 30 * 86_400)],
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0m", "2", "h", "-1h", "1.5h", "30m2h", "2 h", "31d", "9" * 30 + "h"])
def test_a_bad_duration_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="allowed: such as 2h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.2, "3 s"), (95, "95 s"), (121, "2 min"), (9000, "2 h 30 min"), (7200, "2 h"), (90_000, "1 d 1 h")],
)
def test_a_duration_is_said(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def by_name(names: tuple[str, ...] = (), seeds: int | None = None) -> dict[str, Any]:
    return {result.name: result for result in missing_results(names, seeds)}


def test_wanted_is_what_has_no_result_or_one_of_something_else(world: Path) -> None:
    found = by_name()
    assert found["fashion"].why == "never run"
    assert (found["fashion"].rank, found["fashion"].rows) == (0, 1)  # a row of the report needs it
    assert found["digits"].rank == 1, "made up: of no code of today"
    assert found["strides"].claims == ("strides_cost",)
    assert by_name(("fashion",)).keys() == {"fashion"}


def test_more_seeds_are_wanted_where_they_are_asked_for(world: Path) -> None:
    assert not by_name(("fashion",))["fashion"].more_seeds
    more = by_name(("fashion",), seeds=3)["fashion"]
    assert more.more_seeds
    assert more.item.seeds == 3
    assert not by_name(("strides",), seeds=3)["strides"].more_seeds, "it has three"


def test_what_has_no_result_comes_first(world: Path) -> None:
    ranks = [entry.result.rank for entry in ordered((), None, TrainingSpeed())]
    assert ranks == sorted(ranks)
    assert ranks[0] == 0


def test_without_a_timing_a_step_is_measured_once(world: Path) -> None:
    (result,) = missing_results(("fashion",), None)
    speed = TrainingSpeed()
    estimate = speed.estimate(result.name, result.item)
    assert "measured on one step" in estimate.source
    assert estimate.seconds > START
    assert len(speed.measured) == 1
    assert speed.estimate(result.name, result.item) == estimate


def test_with_another_executor_it_says_that_the_estimate_is_of_processes(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVLAB_EXECUTOR", "ray")
    (result,) = missing_results(("fashion",), None)
    estimate = TrainingSpeed().estimate(result.name, result.item)
    assert estimate.source.endswith("; as if in processes here, not by ray")


def test_seconds_come_from_trainings_of_the_same_network_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = recipe()
    facts = {
        "configuration": experiment.model_dump(mode="json", exclude_defaults=True),
        "environment": {"device_name": cpu_name()},
        "epochs": 4,
    }
    one = training("one", experiment.seed, **facts)
    put([one], [evaluation(one)], clock(one, seconds=12.0))
    speed = TrainingSpeed()
    pace, source = speed.of(recipe(epochs=9, lr=0.1))
    assert source == "timed here (one)"
    assert pace == pytest.approx(12.0 / 4 / (1437 - 250))
    assert "measured" in speed.of(recipe({"model.filters": [4, 8]}))[1]


@pytest.mark.parametrize(
    ("known", "limit", "epochs"), [(18, 40, 18), (2, 2, 40), (40, 40, 40), (50, 60, 40), (45, 45, 40)]
)
def test_where_early_stopping_ends_a_training_is_known_from_one_that_could_have_gone_on(
    known: int, limit: int, epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    monkeypatch.chdir(tmp_path)

    def of(limit: int) -> Experiment:
        return recipe(epochs=limit, early_stopping={"patience": 7})

    facts = {
        "configuration": of(limit).model_dump(mode="json", exclude_defaults=True),
        "environment": {"device_name": cpu_name()},
        "epochs": known,
    }
    one = training("digits", of(limit).seed, **facts)
    put([one], [evaluation(one)], clock(one, seconds=1000.0 * known))
    seconds = TrainingSpeed().estimate("digits", of(40)).seconds
    assert epochs * 1000 < seconds < (epochs + 1) * 1000


def test_what_scores_fewer_training_images_takes_less_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TrainingSpeed, "of", lambda self, experiment: (1.0, "a second an image"))
    whole, sampled, more = (
        TrainingSpeed().estimate("digits", recipe(train_images_scored=images)).seconds
        for images in (None, 100, 10**6)
    )
    assert whole - sampled == pytest.approx((1437 - 100) / 3)  # forward alone, a third of a step
    assert more == whole


@pytest.mark.parametrize(
    ("left", "fits"), [(None, True), (START + 111, True), (START + 109, False), (0.0, False)]
)
def test_nothing_starts_of_which_no_training_would_finish(
    left: float | None, fits: bool, world: Path
) -> None:
    (result,) = missing_results(("fashion",), None)
    longest = START + 100
    assert Candidate(result, Estimate(longest, longest, 0, 1, "")).fits(left) is fits


def test_what_needs_a_gpu_is_left_out_where_there_is_none(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    record = training("digits", weights="a", configuration={"device": "cuda"})
    put([record], [evaluation(record)])
    params = Path("params.yaml")
    params.write_text(re.sub(r"\bdevice: \w+", "device: cuda", params.read_text()))
    assert [entry.result.name for entry in ordered((), None, TrainingSpeed())] == []
    assert "campaign: fashion is left out (device: found 'cuda'" in capsys.readouterr().err


def test_the_plan_shows_it_and_trains_nothing(world: Path, convlab: Command) -> None:
    before = Path("params.yaml").read_text()
    status, out, _ = convlab("campaign", "--plan", "fashion", "strides")
    assert status == 0
    assert "never run" in out
    assert "strides_cost" in out
    assert "2 items" in out
    assert Path("params.yaml").read_text() == before
    assert not Path("dvc.lock").exists()
    status, out, _ = convlab("campaign", "--plan", "fashion", "--for", "1s")
    assert "does not fit" in out
    assert "0 begin within 1 s" in out


@pytest.mark.parametrize(("seconds", "fits"), [(200, False), (220, True)])
def test_the_plan_leaves_the_time_for_a_checkpoint_that_a_campaign_leaves(
    seconds: int, fits: bool, world: Path
) -> None:
    (result,) = missing_results(("fashion",), None)
    longest = START + 155  # 190.5 s with the margin for its error
    entry = Candidate(result, Estimate(longest, longest, 0, 1, ""))
    said = io.StringIO()
    show([entry], seconds, Console(file=said, width=200))
    assert ("does not fit" not in said.getvalue()) is fits


def test_the_plan_names_what_stays_open_after_it(world: Path, convlab: Command) -> None:
    _, out, _ = convlab("campaign", "--plan")
    assert "with --seeds 3" not in out, "no result here is complete: each is listed above"
    assert "1 claim is inconclusive or not run\n" in out
    assert "R0 stride 2: 10 of 30 epochs; set `epochs` of strides in params.yaml\n" in out
    assert "R0 baseline: 30 of 40 epochs; set `epochs` of digits in params.yaml\n" in out, "as in the report"
    assert "R0 never" not in out
    _, out, _ = convlab("campaign", "--plan", "fashion")
    assert "inconclusive" not in out
    assert "set `epochs`" not in out


def test_early_stopping_may_end_a_training_of_any_length(world: Path) -> None:
    assert rows_with_fewer_epochs(("digits",))
    results_world.build(world, {"early_stopping": {"patience": 7}})
    assert rows_with_fewer_epochs(()) == []


def test_rows_that_the_settings_shorten_are_named_with_their_file() -> None:
    """Those of this repository, in its root: the settings say so, whatever has been trained."""
    with contextlib.chdir(ROOT):
        for line in rows_with_fewer_epochs(()):
            assert re.fullmatch(r".+: \d+ of \d+ epochs; set `epochs` of \w+ in (params|studies).yaml", line)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("fashon",), "did you mean `fashion`?"),
        (("--for", "soon"), "found 'soon'; allowed: such as 2h30m"),
        (("--for", "0h"), "found '0h'"),
        (("--seeds", "1"), "found '1'; allowed: a number from 2 to 100"),
        (("--seeds", "x"), "found 'x'"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], complaint: str, world: Path, convlab: Command
) -> None:
    status, _, err = convlab("campaign", "--plan", *arguments)
    assert status == 2
    assert complaint in err
    assert err.count("\n") == 1


def test_without_any_time_nothing_starts(world: Path) -> None:
    found = ordered(("fashion",), None, TrainingSpeed())
    assert found
    assert not [one for one in found if one.fits(0.0)]


@pytest.mark.parametrize("written", [0, 1, 2])  # a copy of params.yaml, the seeds, those of a sweep
def test_on_a_full_disk_it_ends_with_one_line_and_settings_as_before(
    written: int, world: Path, convlab: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Path("params.yaml").read_bytes()
    write, left = files.write_bytes, iter(range(written))

    def until_full(path: Path, content: bytes) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(files, "write_bytes", until_full)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    status, _, err = convlab("campaign", "fashion", "--seeds", "3")
    assert status == 2
    assert err.splitlines() == ["convlab: no space left on the disk; make room, then run it again"]
    assert Path("params.yaml").read_bytes() == before
    assert [path.name for path in Path(".convlab").iterdir()] == ["campaign.lock"]
    with selection_lock():
        pass  # free again


def test_a_second_campaign_is_refused(world: Path) -> None:
    with selection_lock(), pytest.raises(InputError, match="a campaign is running here"), selection_lock():
        pass
    with selection_lock():
        pass  # free again
