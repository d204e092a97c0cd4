"""What the runs in MLflow hold: numbers, data, figures, descriptions; and the searches that find them."""

import json
import re
import subprocess

import pytest
import results_world
from mirrored import put, put_sweep
from repository import DEFAULTS, ROOT

from convlab import files
from convlab.tracking import descriptions, mirror_all, records, store


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


def test_a_seed_more_counts_in_the_seconds_above_it(mirror, recipe):
    put_sweep(recipe, seeds=1)
    found = mirror("many")
    assert found[None, "many"].data.metrics["timing/seconds"] == 2, "of a and b"
    put_sweep(recipe, seeds=2)  # the first began when it did before
    found = mirror("many")
    assert found["many", "many/a"].data.metrics["timing/seconds"] == 3
    assert found[None, "many"].data.metrics["timing/seconds"] == 6


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
