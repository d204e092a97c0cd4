"""A training that is interrupted and resumed must end bit for bit like an uninterrupted one."""

import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_recipes import ALL
from torch import nn
from training import CPU, Recipe, first, same

from convlab import files
from convlab.config import dump_item
from convlab.data.dataset import Prepared
from convlab.interrupt import Request
from convlab.models.build import build_model
from convlab.schema import Experiment
from convlab.train.checkpoint import Checkpoints
from convlab.train.fit import fit
from convlab.train.history import Diverged, History

STEPS = 5  # an epoch: 300 images in batches of 64, the last one smaller
RECIPES: dict[str, dict[str, Any]] = {
    "adam, dropout, plateau, early stopping": {
        "schedule": {"name": "plateau", "factor": 0.5, "patience": 1},
        "early_stopping": {"patience": 2},
        "model.dropout": 0.5,
        "lr": 0.02,
    },
    "sgd, random augmentations, cosine, per step": {
        "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True, "decoupled": True},
        "weight_decay": 0.01,
        "schedule": {"name": "cosine", "warmup": 1},
        "augment": [
            {"name": "affine", "rotation": 10, "shift": 0.1, "shear": 5, "zoom": 0.1, "border": "zero"},
            {"name": "crop", "padding": 1, "border": "zero"},
            {"name": "mixup", "alpha": 0.4},
            {"name": "cutmix", "alpha": 1.0},
        ],
        "iterations": True,
        "keep": "highest_accuracy",
    },
    "running mean": {"average": {"name": "ema", "decay": 0.9}, "keep": "lowest_loss"},
    "lookahead": {"average": {"name": "lookahead", "every": 3, "alpha": 0.5}, "keep": "last"},
    "numpy": {
        "engine": "numpy",
        "model": {"name": "preact", "stem": 8, "widths": [8, 16], "activation": "silu"},
        "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True, "decoupled": False},
        "augment": [{"name": "crop", "padding": 1, "border": "zero"}],
        "weight_decay": 0.001,
        "lr": 0.05,
    },
    "whitening, muon, alternating flip, smaller images first": ALL,
}


class CutOff(Exception):
    """Stands in for SIGKILL: nothing after it runs."""


def train(
    recipe: Experiment, digits: Prepared, folder: Path | None = None, cut_at: int = -1, seconds: float = 0.0
) -> tuple[nn.Module, History]:
    """Train on few images, with a checkpoint after every step; `cut_at`: interrupt after that many steps."""
    model = build_model(recipe, [1, 8, 8], 10)
    done = 0

    def on_step(images: int) -> None:
        nonlocal done
        done += 1
        if done == cut_at:
            raise CutOff

    history = fit(
        model,
        first(digits.train, 300),
        digits.validation,
        digits.statistics.transform(),
        recipe,
        CPU,
        on_step=on_step,
        checkpoints=Checkpoints(folder, Request(), seconds=seconds),
    )
    return model, history


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_interrupted_repeatedly_gives_the_same_bits(
    name: str, recipe: Recipe, digits: Prepared, tmp_path: Path
) -> None:
    settings = recipe(RECIPES[name], epochs=4)
    model, history = train(settings, digits)
    # In the first step, within an epoch, at its last step, right after it, and in the last epoch
    for cut_at in (2, 3, 2, 4, 1, STEPS + 1, 3):
        with pytest.raises(CutOff):
            train(settings, digits, tmp_path, cut_at)
    resumed, other = train(settings, digits, tmp_path)
    assert same(resumed, model)
    assert other.records == history.records
    assert other.iterations == history.iterations
    assert other.best_epoch == history.best_epoch
    assert other.cut_offs > 3
    assert len(other.epoch_seconds) == len(history.epoch_seconds)


def test_interrupted_between_batches_prepared_together_it_gives_the_same_bits(
    recipe: Recipe, digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convlab.train.fit.prepared_at_once", lambda *arguments: 2)
    settings = recipe(RECIPES["sgd, random augmentations, cosine, per step"], epochs=3)
    model, history = train(settings, digits)
    for cut_at in (1, 3, 2, 4):  # within two, and after them
        with pytest.raises(CutOff):
            train(settings, digits, tmp_path, cut_at)
    resumed, other = train(settings, digits, tmp_path)
    assert same(resumed, model)
    assert other.records == history.records


def test_it_also_resumes_from_the_end_of_an_epoch(
    recipe: Recipe, digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convlab.train.checkpoint.EPOCH_SECONDS", 0.0)
    monkeypatch.setattr("convlab.train.checkpoint.SHARE", math.inf)
    settings = recipe(epochs=3)
    model, history = train(settings, digits)
    with pytest.raises(CutOff):
        train(settings, digits, tmp_path, 2 * STEPS + 2, seconds=1000)
    assert [path.name.split("-")[:2] for path in sorted(tmp_path.iterdir())] == [
        ["000002", "00000000"],
        ["000003", "00000000"],
    ]
    resumed, other = train(settings, digits, tmp_path, seconds=1000)
    assert same(resumed, model)
    assert other.records == history.records


def test_with_the_newest_checkpoint_damaged_the_previous_one_gives_the_same_result(
    recipe: Recipe, digits: Prepared, tmp_path: Path
) -> None:
    settings = recipe(epochs=2)
    model, _ = train(settings, digits)
    with pytest.raises(CutOff):
        train(settings, digits, tmp_path, 7)
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-100])
    resumed, _ = train(settings, digits, tmp_path)
    assert same(resumed, model)


def test_a_finished_training_is_loaded_without_a_step(
    recipe: Recipe, digits: Prepared, tmp_path: Path
) -> None:
    settings = recipe(epochs=2)
    model, history = train(settings, digits, tmp_path)
    again, other = train(settings, digits, tmp_path, cut_at=1)  # not one step is made
    assert same(again, model)
    assert other.records == history.records


def test_a_training_whose_loss_breaks_keeps_its_last_good_checkpoint(
    recipe: Recipe, digits: Prepared, tmp_path: Path
) -> None:
    # The rate rises by 10³⁰ within the warm-up: the first step is sound, the weights after it are not.
    broken = recipe(epochs=2, lr=1e30, schedule={"name": "cosine", "warmup": 1.9})
    with pytest.raises(Diverged, match="in epoch 1, step 3 of 5, at lr"):
        train(broken, digits, tmp_path)
    newest = max(tmp_path.iterdir())
    assert newest.name.startswith("000001-00000002-")


# ------------------------------------------------------------------------------------------ as a process

SCRIPT = """
import sys
from pathlib import Path
from convlab.config import load_experiment
from convlab.errors import run
from convlab.pipeline.trainings import Trainings
from convlab.train import checkpoint
checkpoint.EPOCH_SECONDS, checkpoint.SHARE = 0.0, float("inf")
plan, prepared, ledger = map(Path, sys.argv[1:])
sys.argv[0] = "train"
run(lambda: print(len(Trainings("digits", load_experiment(plan), prepared, ledger).run()), "trained"))
"""


@pytest.mark.campaign
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_process_ended_by_a_signal_resumes(
    number: signal.Signals, recipe: Recipe, prepared: Path, tmp_path: Path
) -> None:
    files.write_text(tmp_path / "plan.yaml", dump_item(recipe(epochs=30)))

    def start(ledger: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-c", SCRIPT, tmp_path / "plan.yaml", prepared, tmp_path / ledger]
        pipe = subprocess.PIPE
        return subprocess.Popen(list(map(str, command)), stdout=pipe, stderr=pipe, text=True)

    with start("cut") as process:
        assert process.stdout
        for line in process.stdout:
            if "epoch  5/30" in line:
                break
        process.send_signal(number)
        _, errors = process.communicate()
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 128 + number
        stopped = f"train: {number.name}: digits stopped"
        assert errors.startswith((f"{stopped} at epoch ", f"{stopped} after epoch "))
        assert errors.endswith("; run it again to resume\n")
        assert errors.count("\n") == 1

    with start("cut") as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert output.startswith("digits: resuming at epoch ")
    assert "epoch  1/30" not in output
    with start("whole") as process:
        process.communicate()
    (cut,), (whole,) = (sorted((tmp_path / name).iterdir()) for name in ("cut", "whole"))
    assert cut.name == whole.name
    assert [path.name for path in sorted(cut.glob("[!.]*"))] == ["finished.json", "model.safetensors"]
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    one, other = (files.read_json(folder / "finished.json") for folder in (cut, whole))
    assert (one["curves"], one["results"]) == (other["curves"], other["results"])
    assert (one["timing"]["cut_offs"], other["timing"]["cut_offs"]) == (1, 0)
