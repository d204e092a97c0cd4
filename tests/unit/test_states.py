"""The state of a result: fresh, or stale by a key, data or a module, and what `convlab list` shows of it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from result import clock, evaluation, put, training, trial
from training import SMALL

from convlab import cli, files, portable
from convlab.pipeline.identity import identity
from convlab.pipeline.made_from import TrainingRecord
from convlab.pipeline.provenance import cpu_name
from convlab.results.states import MOST, State, state_of
from convlab.schema import Experiment, Sweep, Trial

HERE = {"device_name": cpu_name()}
Recipe = Callable[..., Experiment]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made(experiment: Experiment, name: str | None = None, **more: Any) -> TrainingRecord:
    """Return the record of a training of `experiment` with today's code."""
    phases = ("prepare", "train", "evaluate") if name else ("prepare", "train")
    facts = {
        "configuration": experiment.model_dump(mode="json", exclude_defaults=True),
        "code": {phase: identity(phase, experiment) for phase in phases},
        "environment": HERE,
        "epochs": experiment.epochs,
        **more,
    }
    return (
        trial("grid", name, experiment.seed, **facts) if name else training("one", experiment.seed, **facts)
    )


def lay_down(experiment: Experiment, **more: Any) -> None:
    one = made(experiment, **more)
    code = {"evaluate": identity("evaluate", experiment)}
    timing = clock(one, started_at="2026-01-01T00:00:00+00:00")
    put([one], [evaluation(one, code=code)], timing)


def test_what_is_of_todays_settings_and_code_is_fresh(recipe: Recipe) -> None:
    lay_down(recipe())
    assert state_of("one", recipe()) == State("fresh")


def test_what_has_no_training_has_never_run(recipe: Recipe) -> None:
    assert str(state_of("one", recipe())) == "never run"


def test_a_key_that_differs_is_named_with_both_values(recipe: Recipe) -> None:
    lay_down(recipe(lr=0.002))
    assert str(state_of("one", recipe(lr=0.01))) == "stale: lr: 0.002 → 0.01"
    lay_down(recipe())
    strides = recipe({"model.strides": [2, 1]})
    assert str(state_of("one", strides)) == "stale: model.strides: [1, 1] → [2, 1]"


def test_a_module_that_differs_is_named(recipe: Recipe) -> None:
    code = {"prepare": {}, "train": identity("train", recipe()) | {"train.fit": "another"}}
    lay_down(recipe(), code=code | {"prepare": identity("prepare", recipe())})
    assert str(state_of("one", recipe())) == "stale: train.fit"


def test_a_module_of_the_evaluation_too(recipe: Recipe) -> None:
    one = made(recipe())
    code = identity("evaluate", recipe()) | {"evaluate": "another"}
    put([one], [evaluation(one, code={"evaluate": code})])
    assert str(state_of("one", recipe())) == "stale: evaluate"


def test_prepared_data_that_is_not_what_was_seen_is_named(recipe: Recipe) -> None:
    lay_down(recipe())
    prepared = files.PROCESSED / "one" / recipe().data_key()
    for part in ("train.safetensors", "validation.safetensors", "statistics.json"):
        files.write_text(prepared / part, "other data")
    assert str(state_of("one", recipe())) == "stale: data"


def test_fewer_epochs_alone_are_a_shortened_training(recipe: Recipe) -> None:
    lay_down(recipe(epochs=2))
    assert str(state_of("one", recipe(epochs=30))) == "shortened: epochs: 2 → 30"
    assert state_of("one", recipe(epochs=30, lr=0.1)).kind == "stale"
    assert state_of("one", recipe(epochs=1)).kind == "stale"


def test_a_seed_or_an_evaluation_that_is_not_there_is_said(recipe: Recipe) -> None:
    lay_down(recipe())
    assert str(state_of("one", recipe(seeds=3))) == "stale: 1 of 3 trainings"
    put([made(recipe())], [])
    assert str(state_of("one", recipe())) == "stale: not evaluated"


def test_another_machine_is_named(recipe: Recipe) -> None:
    lay_down(recipe(), environment={"device_name": "NVIDIA H200"})
    assert str(state_of("one", recipe())) == "other hardware: NVIDIA H200"


def test_what_is_portable_may_be_of_another_machine(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = {"device_name": "Another CPU, 4 cores"}
    monkeypatch.setattr(portable, "possible", lambda: True)
    lay_down(recipe(portable=True), environment={**elsewhere, "kernels": "AVX2"})
    assert str(state_of("one", recipe(portable=True))) == "fresh"
    monkeypatch.setattr(portable, "possible", lambda: False)
    assert state_of("one", recipe(portable=True)).kind == "other hardware"
    monkeypatch.setattr(portable, "possible", lambda: True)
    lay_down(recipe(portable=True), environment=elsewhere)  # of a processor without AVX2
    assert state_of("one", recipe(portable=True)).kind == "other hardware"


def test_a_sweep_is_the_sum_of_its_trials(recipe: Recipe) -> None:
    points = {"a": recipe(lr=0.1), "b": recipe(lr=0.2)}
    sweep = Sweep(trials=[Trial(name=name, overrides={}, experiment=one) for name, one in points.items()])
    put([made(one, name) for name, one in points.items()])
    assert state_of("grid", sweep).kind == "fresh"
    put([made(points["a"], "a"), made(points["b"], "b", code={"train": {}})])
    found = state_of("grid", sweep)
    assert found.kind == "stale"
    assert len(found.because) > MOST
    assert str(found).endswith("more")
    put([made(points["a"], "a")])
    assert str(state_of("grid", sweep)) == "stale: 1 of 2 trainings"


def test_the_list_has_a_line_for_everything(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    studies = {"claims": {}, "thresholds": {}, "run": ["one"], "run_sweeps": []}
    studies |= {"sweeps": {"grid": {"experiment": "one", "grid": {"lr": [0.1, 0.2]}}}}
    files.PARAMS.write_text(yaml.safe_dump({**SMALL, "experiments": {"one": {}}, **studies}))
    lay_down(recipe())
    files.write_text(files.trainings("damaged"), "{")
    monkeypatch.setattr(sys, "argv", ["convlab", "list", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    one, grid, damaged = json.loads(capsys.readouterr().out)
    assert (one["name"], one["state"], one["n"], one["test_accuracy"]) == ("one", "fresh", 1, 0.9)
    assert (one["hardware"], one["at"]) == ([cpu_name()], "2026-01-01T00:00:00+00:00")
    assert (grid["name"], grid["state"], grid["n"]) == ("grid", "never run", 0)
    assert (damaged["name"], damaged["state"]) == ("damaged", "inconsistent")
    monkeypatch.setattr(sys, "argv", ["convlab", "list"])
    with pytest.raises(SystemExit):
        cli.main()
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown if line.strip() and not line.startswith("  ")] == [
        *("name", "one", "grid", "damaged")
    ]
