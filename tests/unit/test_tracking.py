import contextlib
import os
import shutil
import sqlite3
import sys
import time

import pytest
import result

from convlab import files, records, tracking
from convlab.folders import finished
from convlab.records import Run


def put(monkeypatch, folder, recipe, stale=False, seeds=1, name="one", started="2026-01-01"):
    """Write the files of an experiment as the stages do; `stale`: with scores of other weights."""
    monkeypatch.chdir(folder)
    facts, evaluations, timings, curves = [], [], [], []
    for number, one in enumerate(recipe(seeds=seeds).each_seed()):
        # the fingerprint says nothing of the name: equal recipes have equal fingerprints
        content = one.model_dump(mode="json", exclude_defaults=True)
        numbers = {"epochs": 2, "best_epoch": 1, "validation_loss": 0.25, "weights": f"w{one.seed}"}
        facts.append(result.training(name, one.seed, configuration=content, **numbers))
        scores = result.scores_of(0.9 - number / 10) | {"validation": {"loss": 0.25, "accuracy": 0.9}}
        weights = {"weights": "of another training"} if stale else {}
        evaluations.append(result.evaluation(facts[-1], **scores, **weights))
        clock = {"started_at": f"{started}T00:00:00+00:00", "epoch_seconds": [1.0, 2.0]}
        timings.append(result.clock(facts[-1], seconds=3.0, **clock))
        for n in (1, 2):
            row = {"epoch": n, "lr": 0.1, "train_loss": 1 / n, "validation_loss": 0.25}
            curves.append({**row, "seed": one.seed})
    result.put(facts, evaluations, files.by_seed(timings))
    files.write_csv(files.PLOTS / name / "curves.csv", curves)
    return [one["fingerprint"] for one in facts]


def put_sweep(monkeypatch, folder, recipe, seeds=1):
    """Write the files of a sweep over three points, of which the last is infeasible."""
    monkeypatch.chdir(folder)
    points = {"a": (0.8, 0.99), "b": (0.9, 0.7), "c": None}
    rows, timing = [], {}
    for number, (name, scores) in enumerate(points.items(), start=1):
        for one in recipe(lr=number / 10, seeds=seeds).each_seed():
            content = {"configuration": one.model_dump(mode="json", exclude_defaults=True)}
            if scores is None:
                told = {"status": "infeasible", "reason": "nothing is left"}
                rows.append(result.training("many", one.seed, name, **content, **told))
                continue
            validation, test = ({"loss": 0.2, "accuracy": score} for score in scores)
            splits = {"validation": validation, "test": test}
            rows.append(result.training("many", one.seed, name, epochs=1, **content, **splits))
            clock = {"started_at": "2026-01-01T00:00:00+00:00", "epoch_seconds": [float(one.seed)]}
            timing[files.training(one.seed, name)] = result.clock(rows[-1], float(one.seed), **clock)
    result.put(rows, timing=timing)
    return [row["fingerprint"] for row in rows]


def test_a_run_is_read_back_from_its_files(monkeypatch, tmp_path, recipe):
    (fingerprint,) = put(monkeypatch, tmp_path, recipe)
    run = records.read_run("one")
    assert run.params["model.filters"] == "[8, 16]"
    assert run.metrics["test_accuracy"] == 0.9
    assert run.metrics["best_validation_loss"] == 0.25
    assert run.tags["fingerprint"] == fingerprint
    assert run.model == ("one", 1)
    assert run.children == []
    assert finished() == ["one"]


def test_a_sweep_shows_its_best_trial_by_validation_not_by_test(monkeypatch, tmp_path, recipe):
    put_sweep(monkeypatch, tmp_path, recipe)
    run = records.read_run("many")
    assert run.tags["best_trial"] == "b_seed-1"
    assert run.metrics == {"best_validation_accuracy": 0.9, "test_accuracy": 0.7}
    assert run.params == {"trials": "3"}
    assert [child.params["status"] for child in run.children] == ["finished", "finished", "infeasible"]
    assert [len(child.curves) for child in run.children] == [1, 1, 0]


def test_each_seed_of_a_trial_is_a_run_of_its_own(monkeypatch, tmp_path, recipe):
    put_sweep(monkeypatch, tmp_path, recipe, seeds=2)
    run = records.read_run("many")
    names = ["a_seed-1", "a_seed-2", "b_seed-1", "b_seed-2", "c_seed-1", "c_seed-2"]
    assert [child.name for child in run.children] == names
    assert len({child.fingerprint for child in run.children}) == 6
    for child in run.children[:4]:
        (row,) = child.curves
        assert child.name == files.training(row["seed"], row["trial"])
        assert child.timing["seconds"] == row["seed"]
        assert child.params["seed"] == str(row["seed"])
    assert run.timing["seconds"] == 1 + 2 + 1 + 2


def test_further_seeds_are_children_with_their_own_scores_curves_and_timings(monkeypatch, tmp_path, recipe):
    fingerprints = put(monkeypatch, tmp_path, recipe, seeds=3)
    run = records.read_run("one")
    assert [child.name for child in run.children] == ["seed-2", "seed-3"]
    found = [(one.fingerprint, one.params["seed"]) for one in (run, *run.children)]
    assert found == list(zip(fingerprints, ("1", "2", "3"), strict=True))
    accuracies = [one.metrics["test_accuracy"] for one in (run, *run.children)]
    assert accuracies == pytest.approx([0.9, 0.8, 0.7])
    for one in (run, *run.children):
        assert [row["seed"] for row in one.curves] == [int(one.params["seed"])] * 2
        assert one.timing["fingerprint"] == one.fingerprint
    assert [child.model for child in run.children] == [None, None]


def test_scores_of_other_weights_are_left_out(monkeypatch, tmp_path, recipe):
    put(monkeypatch, tmp_path, recipe, stale=True)
    assert "test_accuracy" not in records.read_run("one").metrics


def test_so_are_the_scores_of_all_seeds(monkeypatch, tmp_path, recipe):
    put(monkeypatch, tmp_path, recipe, stale=True, seeds=2)
    run = records.read_run("one")
    (child,) = run.children
    assert child.curves
    assert "test_accuracy" not in run.metrics | child.metrics


def test_a_timing_of_another_training_is_left_out(monkeypatch, tmp_path, recipe):
    first, _ = put(monkeypatch, tmp_path, recipe, seeds=2)
    timing = files.read_json(files.METRICS / "one/timing.json")
    timing["seeds"][1]["fingerprint"] = "another"
    files.write_json(files.METRICS / "one/timing.json", timing)
    run = records.read_run("one")
    assert run.timing["fingerprint"] == first
    assert "seconds" not in run.children[0].timing
    assert run.children[0].tags["device_name"] == "a CPU"  # which its record knows by itself


def test_a_point_of_a_curve_has_the_clock_of_the_run(monkeypatch, tmp_path, recipe):
    put(monkeypatch, tmp_path, recipe)
    points = {(key, step): (value, at) for key, value, at, step in tracking._points(records.read_run("one"))}
    start = points["train_loss", 1][1] - 1000
    assert points["train_loss", 2] == (0.5, start + 3000)
    assert points["timing/epoch_seconds", 2] == (2.0, start + 3000)
    assert points["test_accuracy", 0] == (0.9, start + 3000)
    assert "seed" not in {key for key, _ in points}


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


# ------------------------------------------------------------------------------------------------- in MLflow


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database with MLflow's tables and nothing in them, to copy: making them takes seconds."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def runs(empty, tmp_path, monkeypatch):
    """Mirror names into a database of MLflow's; give its runs by name, each with its parent's name."""
    monkeypatch.chdir(tmp_path)
    # MLflow puts the address that it is given into the environment, where the next test would find it
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    shutil.copy(empty, tmp_path / "mlflow.db")

    def mirror(*names):
        from mlflow import MlflowClient

        assert [tracking.mirror(name) for name in names] == [True] * len(names)
        client = MlflowClient(tracking.tracking_uri())
        found = client.search_runs([client.get_experiment_by_name("convlab").experiment_id])
        by_id = {run.info.run_id: run.info.run_name for run in found}
        return {(by_id.get(run.data.tags.get("mlflow.parentRunId")), run.info.run_name): run for run in found}

    return mirror


def test_two_seeds_of_a_trial_are_two_children_with_names_of_their_own(runs, monkeypatch, tmp_path, recipe):
    fingerprints = put_sweep(monkeypatch, tmp_path, recipe, seeds=2)
    found = runs("many")
    children = [("many", f"{point}_seed-{seed}") for point in "abc" for seed in (1, 2)]
    assert sorted(found, key=str) == sorted([(None, "many"), *children], key=str)
    assert found[None, "many"].data.tags["best_trial"] == "b_seed-1"
    for seed in (1, 2):
        run = found["many", f"a_seed-{seed}"]
        assert run.data.params["seed"] == str(seed)
        assert run.data.metrics["timing/seconds"] == seed
        assert run.data.tags["fingerprint"] == fingerprints[seed - 1]


def test_further_seeds_of_an_experiment_are_children_of_its_run(runs, monkeypatch, tmp_path, recipe):
    put(monkeypatch, tmp_path, recipe, seeds=3)
    found = runs("one")
    assert sorted(found, key=str) == [("one", "seed-2"), ("one", "seed-3"), (None, "one")]
    accuracies = [run.data.metrics["test_accuracy"] for _, run in sorted(found.items(), key=str)]
    assert accuracies == pytest.approx([0.8, 0.7, 0.9])


def test_mirroring_again_changes_nothing(runs, monkeypatch, tmp_path, recipe):
    put(monkeypatch, tmp_path, recipe, seeds=2)
    put_sweep(monkeypatch, tmp_path, recipe, seeds=2)
    before, after = runs("one", "many"), runs("one", "many", "one")
    assert before.keys() == after.keys()
    assert {run.info.run_id for run in before.values()} == {run.info.run_id for run in after.values()}


def test_trained_again_an_experiment_replaces_its_runs(runs, monkeypatch, tmp_path, recipe):
    put(monkeypatch, tmp_path, recipe, seeds=2)
    before = runs("one")
    put(monkeypatch, tmp_path, recipe, seeds=3, started="2026-02-02")
    after = runs("one")
    assert sorted(after, key=str) == [("one", "seed-2"), ("one", "seed-3"), (None, "one")]
    assert not {run.info.run_id for run in before.values()} & {run.info.run_id for run in after.values()}


def test_trained_again_with_fewer_seeds_an_experiment_leaves_no_run_behind(
    runs, monkeypatch, tmp_path, recipe
):
    put(monkeypatch, tmp_path, recipe, seeds=3)
    runs("one")
    put(monkeypatch, tmp_path, recipe, seeds=2, started="2026-02-02")
    assert sorted(runs("one"), key=str) == [("one", "seed-2"), (None, "one")]


def test_two_experiments_of_one_recipe_keep_their_seeds_apart(runs, monkeypatch, tmp_path, recipe):
    put(monkeypatch, tmp_path, recipe, seeds=2)
    put(monkeypatch, tmp_path, recipe, seeds=2, name="two", started="2026-02-02")
    found = runs("one", "two", "one")
    assert sorted(found, key=str) == [("one", "seed-2"), ("two", "seed-2"), (None, "one"), (None, "two")]


# --------------------------------------------------------------------------------------- trouble with MLflow


@pytest.mark.parametrize("harm", ["corrupt", "locked"])
def test_a_database_that_cannot_be_used_costs_a_warning_not_minutes(
    harm, runs, monkeypatch, tmp_path, recipe, capsys
):
    put(monkeypatch, tmp_path, recipe)
    monkeypatch.setattr(tracking, "LOCK_SECONDS", 0.2)
    slept: list[float] = []
    pause = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: (slept.append(seconds), pause(0.01)))
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
        if harm == "locked":
            other.execute("begin exclusive")
        else:
            (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
        assert tracking.mirror("one") is False
    assert sum(slept) < 10  # MLflow's own attempts to open it take 100 seconds
    warning = capsys.readouterr().err
    assert "is locked" in warning if harm == "locked" else "remove it" in warning
    assert len(warning.splitlines()) == 1


def test_a_run_that_is_cut_off_halfway_does_not_look_alive_and_is_completed(
    runs, monkeypatch, tmp_path, recipe
):
    put(monkeypatch, tmp_path, recipe, seeds=2)
    with monkeypatch.context() as cut_off:
        cut_off.setattr(tracking, "_log", lambda *arguments: 1 / 0)
        assert tracking.mirror("one") is False
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("select status from runs").fetchall() == [("KILLED",)]
    assert {run.info.status for run in runs("one").values()} == {"FINISHED"}
