"""Mirroring into MLflow, for real, in a database of the test's own: again, from two clones, in trouble."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest
from mirrored import put, put_sweep
from repository import ROOT

from convlab import files
from convlab.tracking import mirror as mirror_one
from convlab.tracking import mirror_all, store, writer


def test_without_mlflow_the_files_are_enough(monkeypatch, tmp_path, recipe, capsys):
    monkeypatch.chdir(tmp_path)
    put(recipe)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert mirror_one("one") is False
    assert "mlflow: not installed here; `make track`" in capsys.readouterr().err


def test_an_mlflow_error_is_one_warning_and_no_exception(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens on discard
    assert mirror_one("one") is False
    warning = capsys.readouterr().err
    assert warning.startswith("mlflow: one is not mirrored (")
    assert len(warning.splitlines()) == 1


def test_a_server_out_of_reach_is_named_in_a_few_words(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert mirror_one("one") is False
    expected = "mlflow: one is not mirrored (127.0.0.1:9: Connection refused); `make track` catches up\n"
    assert capsys.readouterr().err == expected


def test_a_driver_that_is_not_installed_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg://me:secret@127.0.0.1:9/runs")
    assert mirror_one("one") is False
    (warning,) = capsys.readouterr().err.splitlines()
    assert (
        "(psycopg, which MLFLOW_TRACKING_URI needs, is not installed; for PostgreSQL: `pip install" in warning
    )


def test_an_mlflow_error_for_all_results_is_one_warning_too(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens on discard
    assert mirror_all(["one", "two"]) == []
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("mlflow: none of 2 results is mirrored (")


def test_a_damaged_result_does_not_affect_others(mirror, recipe, capsys):
    for name in ("one", "two", "three"):
        put(recipe, name)
    files.write_text(files.trainings("two"), "{")
    assert mirror_all(["one", "two", "three"]) == ["one", "three"]
    (warning,) = capsys.readouterr().err.splitlines()
    assert "mlflow: two is not mirrored (metrics/two/trainings.json: unreadable" in warning


# --------------------------------------------------------------------------------------------- mirrored again


def test_mirroring_again_changes_nothing(mirror, recipe):
    put(recipe, seeds=2)
    put_sweep(recipe, seeds=2)
    before, after = mirror("one", "many"), mirror("one", "many", "one")
    assert before.keys() == after.keys()
    assert {run.info.run_id for run in before.values()} == {run.info.run_id for run in after.values()}


def test_mlflow_sends_no_telemetry_unless_the_user_says_so(tmp_path):
    """It asks its environment as it is imported, in a stage that nobody has set anything for."""
    script = (
        "from convlab.tracking import mirror\n"
        "mirror('one')\n"
        "from mlflow.telemetry import get_telemetry_client\n"
        "print(get_telemetry_client())"
    )
    # Within pytest MLflow sends none by itself
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=kept | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1:] == ["None"], done.stderr


def test_evaluated_again_a_run_shows_the_new_value_though_it_is_smaller(mirror, recipe):
    put(recipe, accuracy=0.919)
    (before,) = mirror("one").values()
    put(recipe, accuracy=0.003)
    (after,) = mirror("one").values()
    assert after.info.run_id == before.info.run_id
    assert after.data.metrics["test_accuracy"] == 0.003
    put(recipe, accuracy=0.5)
    (after,) = mirror("one").values()
    assert after.data.metrics["test_accuracy"] == 0.5


def test_scores_that_are_gone_are_not_shown_any_more(mirror, recipe):
    put(recipe)
    mirror("one")
    put(recipe, of_these_weights=False)
    (run,) = mirror("one").values()
    assert "test_accuracy" not in run.data.metrics


def test_a_renamed_run_keeps_its_name_and_is_not_doubled(mirror, recipe):
    put(recipe)
    (run,) = mirror("one").values()
    mirror.client.update_run(run.info.run_id, name="the one for the talk")
    put(recipe, accuracy=0.8)
    assert list(mirror("one")) == [(None, "the one for the talk")]


def test_a_description_edited_by_hand_stays(mirror, recipe):
    put(recipe)
    (run,) = mirror("one").values()
    mirror.client.set_tag(run.info.run_id, "mlflow.note.content", "for the talk")
    put(recipe, accuracy=0.8)
    (run,) = mirror("one").values()
    assert run.data.tags["mlflow.note.content"] == "for the talk"


def test_trained_again_an_experiment_replaces_its_runs(mirror, recipe):
    put(recipe, seeds=2)
    before = mirror("one")
    put(recipe, seeds=3, started="2026-02-02")
    after = mirror("one")
    assert sorted(after, key=str) == [*(("one", f"one seed={seed}") for seed in (1, 2, 3)), (None, "one")]
    assert not {run.info.run_id for run in before.values()} & {run.info.run_id for run in after.values()}


def test_trained_again_with_fewer_seeds_an_experiment_leaves_no_run_behind(mirror, recipe):
    put(recipe, seeds=3)
    mirror("one")
    put(recipe, seeds=2, started="2026-02-02")
    assert sorted(mirror("one"), key=str) == [("one", "one seed=1"), ("one", "one seed=2"), (None, "one")]


def test_without_its_clock_a_result_is_still_the_same_run(mirror, recipe):
    put(recipe)
    (before,) = mirror("one").values()
    put(recipe, started=None, accuracy=0.8)  # as DVC's run cache brings it back
    (after,) = mirror("one").values()
    assert after.info.run_id == before.info.run_id
    assert after.data.metrics["test_accuracy"] == 0.8


def test_a_run_without_a_clock_is_of_today(mirror, recipe):
    put(recipe, started=None)
    (run,) = mirror("one").values()
    assert run.info.start_time > 1e12


def test_two_experiments_of_one_recipe_keep_their_seeds_apart(mirror, recipe):
    put(recipe, seeds=2)
    put(recipe, seeds=2, name="two", started="2026-02-02")
    found = mirror("one", "two", "one")
    seeds = [(name, f"{name} seed={seed}") for name in ("one", "two") for seed in (1, 2)]
    assert sorted(found, key=str) == [*seeds, (None, "one"), (None, "two")]


def other_clone(tmp_path, monkeypatch):
    """Go to another clone, which mirrors into the same database."""
    folder = tmp_path / "clone"
    folder.mkdir()
    monkeypatch.chdir(folder)


def test_two_clones_do_not_delete_each_others_runs(mirror, recipe, tmp_path, monkeypatch):
    put(recipe, seeds=2)
    (here, *_) = (run for (parent, _), run in mirror("one").items() if parent is None)
    other_clone(tmp_path, monkeypatch)
    put(recipe, seeds=2, started="2026-02-02")
    mirror("one")
    monkeypatch.chdir(tmp_path)
    mirror("one")
    home = here.info.experiment_id
    found = [run.data.tags for run in mirror.client.search_runs([home]) if run.info.run_name == "one"]
    assert sorted(tags["started_at"][:10] for tags in found) == ["2026-01-01", "2026-02-02"]
    assert len({tags["clone"] for tags in found}) == 2


def test_two_clones_of_one_result_share_its_run(mirror, recipe, tmp_path, monkeypatch):
    put(recipe)
    before = mirror("one")
    other_clone(tmp_path, monkeypatch)
    put(recipe)
    after = mirror("one")
    assert [run.info.run_id for run in before.values()] == [run.info.run_id for run in after.values()]


@pytest.mark.parametrize("again", [False, True], ids=["at once", "after a training"])
def test_an_experiment_of_mlflows_that_was_deleted_is_restored(mirror, recipe, capsys, again):
    put(recipe)
    (before,) = mirror("one").values()
    mirror.client.delete_experiment(before.info.experiment_id)
    if again:
        put(recipe, started="2026-02-02")
    (after,) = mirror("one").values()
    assert after.info.experiment_id == before.info.experiment_id
    assert (after.info.run_id == before.info.run_id) is not again
    assert capsys.readouterr().err == "mlflow: the experiment digits had been deleted; it is restored\n"


def test_a_run_that_was_deleted_comes_back_with_its_seeds(mirror, recipe):
    put(recipe, seeds=2)
    before = mirror("one")
    mirror.client.delete_run(before[None, "one"].info.run_id)
    after = mirror("one")
    assert before.keys() == after.keys()


@pytest.mark.campaign
def test_a_folder_with_signs_of_an_address_in_its_name_has_the_database(
    empty_store, recipe, tmp_path, monkeypatch
):
    folder = tmp_path / "what? 100%3F #1"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    shutil.copy(empty_store, "mlflow.db")
    put(recipe)
    # MLflow keeps a store open for an address, which is relative here: a process that has had none yet
    code = "from convlab.tracking import mirror; import sys; sys.exit(not mirror('one'))"
    subprocess.run(
        [sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}
    )
    with contextlib.closing(sqlite3.connect("mlflow.db")) as database:
        assert database.execute("select name from runs").fetchall() == [("one",)]
    assert {path.name for path in folder.iterdir()} >= {"mlflow.db", "mlartifacts"}
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


# --------------------------------------------------------------------------------------- trouble with MLflow


@pytest.mark.parametrize("harm", ["corrupt", "locked"])
def test_an_unusable_database_is_a_warning_within_seconds(
    harm, mirror, monkeypatch, tmp_path, recipe, capsys
):
    put(recipe)
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.2)
    slept: list[float] = []
    pause = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: (slept.append(seconds), pause(0.01)))
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
        if harm == "locked":
            other.execute("begin exclusive")
        else:
            (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
        assert mirror_one("one") is False
    assert sum(slept) < 10  # MLflow's own attempts to open it take 100 seconds
    warning = capsys.readouterr().err
    assert "is locked" in warning if harm == "locked" else "remove it" in warning
    assert len(warning.splitlines()) == 1


@pytest.mark.parametrize("step", ["_log", "_end"])  # `_end` as by a server that dies just then
def test_an_interrupted_run_is_not_marked_as_running_and_is_completed(
    mirror, monkeypatch, tmp_path, recipe, step
):
    put(recipe, seeds=2)
    with monkeypatch.context() as cut_off:
        cut_off.setattr(writer, step, lambda *arguments: 1 / 0)
        assert mirror_one("one") is False
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("select status from runs").fetchall() == [("KILLED",)]
    assert {run.info.status for run in mirror("one").values()} == {"FINISHED"}
