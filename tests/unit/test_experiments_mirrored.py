"""Runs of DVC experiments, rebuilt from the commits that DVC keeps of them."""

import json
import subprocess
from pathlib import Path

import pytest
from mirrored import put
from repository import DEFAULTS

from convlab import files
from convlab.errors import InputError
from convlab.git import commit_of, dvc_experiments
from convlab.tracking import experiments


def git(*arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(mirror, recipe):
    """A repository with two results, and an experiment as DVC keeps it: a commit that no branch has."""
    names = ("one", "two")
    recipes = {name: recipe().model_dump(mode="json", exclude_defaults=True) for name in names}
    params = DEFAULTS | {"experiments": recipes, "run": ["one"], "run_sweeps": ["many"]}
    sweeps = {"many": {"experiment": "one", "grid": {"lr": [0.1, 0.2]}}}
    files.write_text(files.PARAMS, json.dumps(params))
    files.write_text(files.STUDIES, json.dumps({"sweeps": sweeps}))
    files.write_text(Path(".gitignore"), "/mlflow.db*\n/mlartifacts\n/.convlab\n")
    for name in names:
        put(recipe, name)
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "start")
    base = git("rev-parse", "HEAD")
    put(recipe, "one", accuracy=0.5, started="2026-02-02", lr=0.5)
    git("commit", "-qam", "experiment")
    git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/fast-lark", "HEAD")
    git("update-ref", "refs/exps/exec/EXEC_APPLY", "HEAD")
    git("reset", "-q", "--hard", base)


def test_the_run_of_an_experiment_comes_back_from_its_commit(repository, mirror, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    mirror("one", "two")
    assert experiments.mirror_experiments() == (1, 1)
    found = mirror.runs()
    assert {name for _, name in found} == {"one", "two", "one lr=0.5 [fast-lark]"}
    run = found[None, "one lr=0.5 [fast-lark]"]
    assert run.data.metrics["test_accuracy"] == 0.5
    assert run.data.params["lr"] == "0.5"
    assert run.data.tags["dvc_experiment"] == "fast-lark"
    assert run.data.tags["state"] == "stale", "its commit has the settings of its base"
    assert found[None, "one"].data.metrics["test_accuracy"] == 0.9
    assert git("status", "--short") == ""
    assert experiments.mirror_experiments() == (1, 1)
    assert {run.info.run_id for run in mirror.runs().values()} == {run.info.run_id for run in found.values()}


def test_what_an_experiment_has_not_changed_is_not_its_own(repository):
    (kept,) = dvc_experiments()
    assert kept.name == "fast-lark"
    assert experiments.changed_results(kept) == ["one"]


def test_of_experiments_with_one_name_that_of_the_current_commit_is_meant(repository):
    (kept,) = dvc_experiments()
    git("commit", "-q", "--allow-empty", "-m", "later")
    head = git("rev-parse", "HEAD")
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/fast-lark", head)
    assert commit_of("fast-lark") == head
    git("commit", "-q", "--allow-empty", "-m", "latest")
    assert commit_of("fast-lark") is None
    assert commit_of(kept.commit[:10]) == kept.commit


def test_where_there_is_no_git_it_is_said(mirror):
    with pytest.raises(InputError, match="not a git repository"):
        experiments.mirror_experiments()
