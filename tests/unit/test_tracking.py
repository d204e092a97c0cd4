import sys

from convlab import files, records, tracking
from convlab.config import dump_item
from convlab.records import Run
from convlab.schema import Sweep, Trial


def put(monkeypatch, folder, recipe, validation_loss=0.25):
    monkeypatch.chdir(folder)
    facts = {"epochs": 2, "best_epoch": 1, "fingerprint": "f", "validation_loss": 0.25, "parameters": 10}
    scores = {"loss": 0.1, "accuracy": 0.9}
    evaluation = {"train": scores, "validation": scores | {"loss": validation_loss}, "test": scores}
    curves = [{"epoch": epoch, "lr": 0.1, "train_loss": 1 / epoch} for epoch in (1, 2)]
    files.write_text(files.config("one"), dump_item(recipe()))
    files.write_json(files.METRICS / "one" / "train.json", facts)
    files.write_json(files.METRICS / "one" / "evaluate.json", evaluation)
    files.write_csv(files.PLOTS / "one" / "curves.csv", curves)
    timing = {
        "fingerprint": "f",
        "started_at": "2026-01-01T00:00:00+00:00",
        "seconds": 3.0,
        "epoch_seconds": [1.0, 2.0],
    }
    files.write_json(files.METRICS / "one" / "timing.json", timing)


def test_a_run_is_read_back_from_its_files(monkeypatch, tmp_path, recipe):
    put(monkeypatch, tmp_path, recipe)
    run = records.read_run("one")
    assert run.params["model.filters"] == "[8, 16]"
    assert run.metrics["test_accuracy"] == 0.9
    assert run.metrics["best_validation_loss"] == 0.25
    assert run.tags["fingerprint"] == "f"
    assert records.finished() == ["one"]


def test_a_sweep_shows_its_best_trial_by_validation_not_by_test(monkeypatch, tmp_path, recipe):
    monkeypatch.chdir(tmp_path)
    trials = [Trial(name=name, overrides={}, experiment=recipe()) for name in ("a", "b", "c")]
    files.write_text(files.config("many"), dump_item(Sweep(experiment="one", trials=trials)))
    rows = [
        {
            "name": name,
            "status": "finished",
            "fingerprint": name,
            "validation": {"loss": 0.1, "accuracy": validation},
            "test": {"loss": 0.1, "accuracy": test},
        }
        for name, validation, test in (("a", 0.8, 0.99), ("b", 0.9, 0.7))
    ]
    rows.append({"name": "c", "status": "infeasible", "fingerprint": "c", "reason": "nothing is left"})
    files.write_json(files.METRICS / "many" / "trials.json", rows)
    files.write_csv(files.PLOTS / "many" / "curves.csv", [{"trial": "a", "epoch": 1, "lr": 0.1}])
    run = records.read_run("many")
    assert run.tags["best_trial"] == "b"
    assert run.metrics == {"best_validation_accuracy": 0.9, "test_accuracy": 0.7}
    assert [child.params["status"] for child in run.children] == ["finished", "finished", "infeasible"]
    assert [len(child.curves) for child in run.children] == [1, 0, 0]


def test_scores_of_other_weights_are_left_out(monkeypatch, tmp_path, recipe):
    put(monkeypatch, tmp_path, recipe, validation_loss=0.5)
    assert "test_accuracy" not in records.read_run("one").metrics


def test_a_point_of_a_curve_has_the_clock_of_the_run(monkeypatch, tmp_path, recipe):
    put(monkeypatch, tmp_path, recipe)
    points = {(key, step): (value, at) for key, value, at, step in tracking._points(records.read_run("one"))}
    start = points["train_loss", 1][1] - 1000
    assert points["train_loss", 2] == (0.5, start + 3000)
    assert points["timing/epoch_seconds", 2] == (2.0, start + 3000)
    assert points["test_accuracy", 0] == (0.9, start + 3000)


def test_the_digest_changes_with_what_is_mirrored():
    run = Run("a", "train", "f", {"lr": "0.1"}, {"test_accuracy": 0.9})
    assert run.digest() == Run("a", "train", "f", {"lr": "0.1"}, {"test_accuracy": 0.9}).digest()
    assert run.digest() != Run("a", "train", "f", {"lr": "0.1"}, {"test_accuracy": 0.8}).digest()


def test_without_mlflow_the_files_are_enough(monkeypatch, tmp_path, recipe, capsys):
    put(monkeypatch, tmp_path, recipe)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert tracking.mirror("one") is False
    assert "mlflow: not installed here; `make track`" in capsys.readouterr().err


def test_trouble_is_one_warning_and_no_exception(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/not/there/mlflow.db")
    assert tracking.mirror("one") is False
    warning = capsys.readouterr().err
    assert warning.startswith("mlflow: one is not mirrored (")
    assert len(warning.splitlines()) == 1
