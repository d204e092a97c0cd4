import shutil
import signal
from pathlib import Path

import pytest
from training import Recipe, same

from convlab.interrupt import Interrupted, Request
from convlab.models.weights import hash_weights, kernel_norm, weight_norm
from convlab.pipeline import provenance
from convlab.pipeline.run import fingerprint_of, train
from convlab.schema import Experiment
from convlab.train.checkpoint import Checkpoints
from convlab.train.history import History
from convlab.train.progress import Reporter


@pytest.fixture
def folder(prepared: Path, recipe: Recipe) -> Path:
    return prepared / recipe().data_key()


def test_the_test_split_is_never_read_by_training(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    blind = tmp_path / "blind"
    shutil.copytree(folder, blind)
    (blind / "test.safetensors").unlink()
    seeing, unseeing = train("seeing", recipe(), folder), train("unseeing", recipe(), blind)
    assert same(seeing.model, unseeing.model)
    assert seeing.results == unseeing.results
    assert seeing.curves == unseeing.curves


def test_the_results_say_what_was_trained_and_how_it_ended(
    recipe: Recipe, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = train("digits", recipe(), folder)
    best = trained.curves[trained.results["best_epoch"] - 1]
    assert trained.results["epochs"] == len(trained.curves) == 2
    assert trained.results["validation_loss"] == best["validation_loss"]
    assert trained.results["validation_accuracy"] == best["validation_accuracy"]
    assert trained.results["penalty"] == best["penalty"] == 0.0
    for key, function in {
        "kernel_norm": kernel_norm,
        "weight_norm": weight_norm,
        "weights": hash_weights,
    }.items():
        assert trained.results[key] == function(trained.model)
    assert trained.results["fingerprint"] == trained.timing["fingerprint"] == fingerprint_of(recipe(), folder)
    assert (trained.results["device"], trained.results["precision"]) == ("cpu", "fp32")
    assert len(trained.timing["epoch_seconds"]) == 2
    assert trained.timing["seconds"] == pytest.approx(sum(trained.timing["epoch_seconds"]))
    assert trained.timing["images_per_second"] > 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("digits epoch 1/2 · loss ")


def begin(experiment: Experiment, folder: Path, checkpoints: Path) -> None:
    """Train one step, and write a checkpoint of it."""
    asked = Request()
    asked.number = signal.SIGTERM
    with pytest.raises(Interrupted):
        train("digits", experiment, folder, Checkpoints(checkpoints, asked))


def test_moved_to_another_machine_a_training_says_both(
    recipe: Recipe, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = provenance.cpu_name()
    begin(recipe(), folder, tmp_path)
    monkeypatch.setattr(provenance, "cpu_name", lambda: "another, 8 cores")
    moved = train("digits", recipe(), folder, Checkpoints(tmp_path))
    assert moved.timing["cut_offs"] == 1
    assert moved.timing["device_name"] == f"{here}, then another, 8 cores"


def test_moved_to_a_machine_of_another_precision_a_training_starts_anew(
    recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    whole = train("digits", recipe(), folder)
    begin(recipe(precision="bf16"), folder, tmp_path)
    moved = train("digits", recipe(), folder, Checkpoints(tmp_path))
    assert moved.results == whole.results
    assert moved.timing["cut_offs"] == 0


def test_progress_off_a_terminal_is_a_plain_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter("digits", epochs=10, images=100)
    reporter.step(50)
    record = {
        "epoch": 1,
        "lr": 0.001,
        "train_loss": 1.5,
        "train_accuracy": 0.5,
        "validation_loss": 1.25,
        "validation_accuracy": 0.625,
    }
    reporter.epoch(History(records=[record], epoch_seconds=[1.0], training_seconds=[0.5]))
    line = capsys.readouterr().out
    assert line.startswith("digits epoch  1/10 · loss 1.5000 / 1.2500 · accuracy  50.00% /  62.50% · ")
    assert line.endswith(" s left\n")
