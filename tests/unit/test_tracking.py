"""MLflow, for real, in a database of the test's own."""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest
import results_world
from conftest import DEFAULTS, ROOT
from mirrored import put, put_sweep

from convlab import files
from convlab.tracking import descriptions, mirror_all, records, store, writer
from convlab.tracking import mirror as mirror_one


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


# ---------------------------------------------------------------------------------------------- what it holds


def test_two_seeds_of_a_trial_are_two_runs_below_the_trial(mirror, recipe):
    fingerprints = put_sweep(recipe, seeds=2)
    found = mirror("many")
    trials = [("many", f"many/{point}") for point in "abc"]
    seeds = [(f"many/{point}", f"many/{point} seed={seed}") for point in "abc" for seed in (1, 2)]
    assert sorted(found, key=str) == sorted([(None, "many"), *trials, *seeds], key=str)
    assert found[None, "many"].data.tags["best_trial"] == "b"
    for seed in (1, 2):
        run = found["many/a", f"many/a seed={seed}"]
        assert run.data.params["seed"] == str(seed)
        assert run.data.metrics["timing/seconds"] == seed
        assert run.data.tags["fingerprint"] == fingerprints[seed - 1]


def test_the_run_above_several_seeds_has_their_mean_and_deviation(mirror, recipe):
    put(recipe, seeds=3)
    found = mirror("one")
    seeds = [("one", f"one seed={seed}") for seed in (1, 2, 3)]
    assert sorted(found, key=str) == [*seeds, (None, "one")]
    assert [found[key].data.metrics["test_accuracy"] for key in seeds] == pytest.approx([0.9, 0.8, 0.7])
    together = found[None, "one"].data.metrics
    assert together["test_accuracy"] == pytest.approx(0.8)
    assert together["test_accuracy_sd"] == pytest.approx(0.1)
    assert together["n"] == 3


def test_a_run_names_its_data_by_split(mirror, recipe):
    put(recipe)
    (run,) = mirror("one").values()
    inputs = run.inputs.dataset_inputs
    assert [(one.dataset.name, one.tags[0].value) for one in inputs] == [
        ("digits", "train"),
        ("digits", "validation"),
        ("digits", "test"),
    ]
    assert len({one.dataset.digest for one in inputs}) == 3


def test_figures_are_artifacts(mirror, recipe):
    put(recipe)
    figures = ("confusion.png", "wrong.png")
    for name in figures:
        files.write_bytes(files.PLOTS / "one/figures" / name, b"a picture")
    (run,) = mirror("one").values()
    found = mirror.client.list_artifacts(run.info.run_id, "figures")
    assert [one.path for one in found] == [f"figures/{name}" for name in figures]


def test_each_data_set_is_an_experiment_of_mlflows_that_opens_on_its_metrics(mirror, recipe):
    put(recipe)
    fashion = {"dataset": "fashion_mnist", "split.validation": 6000}
    put(recipe, "two", **fashion)
    mirror("one", "two")
    assert [name for _, name in mirror.runs(dataset="digits")] == ["one"]
    assert [name for _, name in mirror.runs(dataset="fashion_mnist")] == ["two"]
    tags = mirror.client.get_experiment_by_name("digits").tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    columns = json.loads(tags[f"mlflow.sharedViewState.{store.VIEW}"])["selectedColumns"]
    assert "metrics.`test_accuracy`" in columns


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("metrics.test_accuracy > 0.85 and tags.kind = 'experiment'", {"good"}),
        ("tags.item = 'many' and tags.state = 'infeasible'", {"many/c"}),
        ("dataset.name = 'digits' and params.`model.name` = 'cnn' and metrics.n > 1", {"poor"}),
    ],
)
def test_a_query_finds_runs(mirror, recipe, query, names):
    put(recipe, "good")
    put(recipe, "poor", seeds=2, accuracy=0.8)
    put_sweep(recipe)
    mirror("good", "poor", "many")
    assert {name for _, name in mirror.runs(query)} == names


def test_the_documented_queries_find_runs(mirror, recipe):
    page = (ROOT / "docs/mlflow.md").read_text(encoding="utf-8")
    (queries,) = re.findall(r"^## Searching\n.*?^```\n(.*?)^```", page, re.M | re.S)
    mnist = {"dataset": "mnist", "split.validation": 6000}
    put(recipe, "good", accuracy=0.995, **mnist)
    put(recipe, "seeds", seeds=2, hardware="NVIDIA H200", **mnist)
    put_sweep(recipe, best=0.997, **mnist)
    names = ["good", "seeds", "many"]
    assert mirror_all(names) == names
    found = [{name for _, name in mirror.runs(query, "mnist")} for query in queries.splitlines()]
    assert found == [{"good"}, {"seeds"}, {"many/b"}]


def test_a_name_tells_what_differs_from_the_commit_and_a_description_how_to_rerun(mirror, recipe, tmp_path):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    one = recipe().model_dump(mode="json", exclude_defaults=True)
    params = DEFAULTS | {"experiments": {"one": one}, "run": ["one"], "run_sweeps": ["many"]}
    sweeps = {"many": {"experiment": "one", "grid": {"lr": [0.1, 0.2]}}}
    files.write_text(files.PARAMS, json.dumps(params))
    files.write_text(files.STUDIES, json.dumps({"sweeps": sweeps}))
    for command in (["init", "-q"], ["add", "params.yaml", "studies.yaml"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *command], check=True)
    files.write_text(files.PARAMS, json.dumps(params | {"lr": 0.5}))  # as `dvc exp run -S lr=0.5` does
    put(recipe)
    put(recipe, started="2026-02-02", lr=0.5)
    (run,) = mirror("one").values()
    assert run.info.run_name == "one lr=0.5"
    told = run.data.tags["mlflow.note.content"]
    assert "`dvc exp run -S 'run=[one]' -S '++experiments.one.lr=0.5' evaluate@one`" in told


def test_a_description_has_the_reports_row_and_the_verdicts(committed, monkeypatch):
    monkeypatch.chdir(committed)
    told = records.read_run("mnist_vgg_l2", descriptions.load()).description
    assert re.search(r"^\* R0, L2 λ = 0: test accuracy 99.60% in the report, \d\d.\d\d% here$", told, re.M)
    assert re.search(r"^\* R0 says that .*: \*\*(confirmed|refuted|inconclusive)\*\* \(", told, re.M)
    assert re.search(
        r"^Run it again: `.*dvc exp run -S 'run_sweeps=\[mnist_vgg_l2\]' sweep@mnist_vgg_l2`$", told, re.M
    )


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        (None, "In the book, by `make book`: `docs/book/reports/R0.html`"),
        ("/elsewhere/convlab", "In the book, by `make book`: `docs/book/reports/R0.html`"),
        *(
            (origin, "In the book: [reports/R0.html](https://someone.github.io/convlab/reports/R0.html)")
            for origin in ("https://github.com/Someone/convlab", "git@github.com:Someone/convlab.git")
        ),
    ],
)
def test_a_description_leads_into_the_book(origin, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    if origin:
        subprocess.run(["git", "remote", "add", "origin", origin], check=True)
    assert said in records.read_run("digits", descriptions.load()).description.split("\n")


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
