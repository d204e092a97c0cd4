"""What `dvc exp show`, `dvc metrics` and `dvc params` show: settings and numbers, and nothing beside them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

NEEDED = ("dvc.yaml", "dvc.lock", "params.yaml", "studies.yaml", ".dvc", "metrics")
APART = ("claims", "sweeps", "thresholds", "feature_maps")  # they stand in studies.yaml
DIGITS = Path("metrics/digits/evaluate.json")
NUMBERS = 25  # of a result, at most


@pytest.fixture(scope="module")
def repository(committed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of what is committed of results and settings."""
    folder = tmp_path_factory.mktemp("shown")
    for name in NEEDED:
        source = committed / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    author = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for arguments in (
        ["init", "--quiet"],
        ["add", "--all"],
        [*author, "commit", "--quiet", "--message", "all"],
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


def dvc(folder: Path, *arguments: str) -> str:
    outside = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=folder, env=outside, check=True, capture_output=True, text=True).stdout


def leaves(content: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested content by dotted keys."""
    if not isinstance(content, dict):
        return {prefix: content}
    return {
        key: leaf
        for name, inner in content.items()
        for key, leaf in leaves(inner, f"{prefix}.{name}").items()
    }


def test_metrics_are_numbers_by_trial_and_no_fingerprints(repository: Path) -> None:
    shown = json.loads(dvc(repository, "metrics", "show", "--json"))[""]["data"]
    params = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
    assert {Path(path).parent.name for path in shown} == {*params["run"], *params["run_sweeps"], "mnist_vgg"}
    for path, content in shown.items():
        found = leaves(content["data"])
        assert all(isinstance(number, (int, float)) for number in found.values()), path
        trials = len(content["data"]) if path.endswith("trials.json") else 1
        assert len(found) <= NUMBERS * trials, path
    assert "l2-0.0" in shown["metrics/digits_l2/trials.json"]["data"]


def test_a_difference_of_metrics_is_short(repository: Path) -> None:
    path = repository / DIGITS
    content = json.loads(path.read_text(encoding="utf-8"))
    before, after = content["test"]["accuracy"], 0.125
    path.write_text(json.dumps({**content, "test": {**content["test"], "accuracy": after}}), encoding="utf-8")
    head, *changed = dvc(repository, "metrics", "diff").splitlines()
    assert head.split() == ["Path", "Metric", "HEAD", "workspace", "Change"]
    assert [line.split()[:4] for line in changed] == [[str(DIGITS), "test.accuracy", str(before), str(after)]]


def test_a_study_is_no_parameter(repository: Path) -> None:
    head = dvc(repository, "exp", "show", "--csv").splitlines()[0].split(",")
    assert "lr" in head
    assert [name for name in head if name.split(":")[-1].split(".")[0] in APART] == []
