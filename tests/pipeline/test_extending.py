"""docs/extending.md: each of its diffs applies to a clean clone and works there."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from clones import Clone, clone_to, without_mlflow
from repository import ROOT

pytestmark = pytest.mark.pipeline

PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
SECTIONS = {
    title: (diff, command)
    for title, diff, command in re.findall(
        r"^## ([^\n]+)\n(?:(?!^## ).)*?^```diff\n(.*?)^```\n\n```sh\n(.*?)\n```", PAGE, re.M | re.S
    )
}
# Tests that have to bear with names that somebody adds
KNOW_NAMES = ("bad_model", "bad_recipe", "config_bases", "config_claims", "params_form", "summary")


def clean(folder: Path) -> Clone:
    clone = clone_to(folder)
    clone.run("git", "init", "-q")
    clone.commit("start")
    return clone


def apply(clone: Clone, title: str) -> None:
    diff = clone.folder / "change.diff"
    diff.write_text(SECTIONS[title][0])
    clone.run("git", "apply", "change.diff")
    diff.unlink()


def code(clone: Clone) -> dict[str, str]:
    """Return what each phase of each experiment and sweep is computed by."""
    clone.run(sys.executable, "stages/resolve.py", PYTHONPATH="src")
    paths = (clone.folder / "data/code").glob("*/*.yaml")
    return {f"{path.parent.name}/{path.stem}": path.read_text() for path in paths}


def test_every_section_has_a_diff_and_a_command() -> None:
    listed = re.findall(r"^\| \[([^\]]+)\]", PAGE, re.M)
    assert [title[0].lower() + title[1:] for title in SECTIONS] == [
        title for title in listed if title != "a data set"
    ]


def test_each_applies_after_the_ones_before_it(tmp_path: Path) -> None:
    clone = clean(tmp_path)
    for title in SECTIONS:
        apply(clone, title)


@pytest.mark.campaign
def test_all_of_them_work_together_and_no_other_result_goes_stale(tmp_path: Path) -> None:
    clone = clean(tmp_path)
    without_mlflow(clone)
    before = code(clone)
    for title in SECTIONS:
        apply(clone, title)
    after = code(clone)
    changed = {name for name, text in before.items() if after[name] != text}
    assert {name.split("/")[1] for name in changed} == {"draw"}, "the figure's, and no more"
    tests = (f"tests/unit/test_{name}.py" for name in KNOW_NAMES)
    clone.run("pytest", "-q", *tests, PYTHONPATH="src")

    def combine(params: dict) -> None:
        ours = params["experiments"]["digits_separable"]
        ours["optimizer"] = params["experiments"]["digits_rmsprop"]["optimizer"]
        ours["schedule"] = params["experiments"]["digits_linear"]["schedule"]
        ours["augment"] = params["experiments"]["digits_erase"]["augment"]
        params |= {"run": ["digits_separable"], "run_sweeps": []}

    clone.edit(combine)
    clone.run("dvc", "repro")
    made = json.loads((tmp_path / "metrics/digits_separable/calibration.json").read_text())
    assert 0 <= made["calibration_error"] <= 1
    figures = tmp_path / "plots/digits_separable/figures"
    assert (figures / "confidence.png").is_file()
    assert (figures / "model.svg").is_file()
    clone.run("convlab", "report")
    page = (tmp_path / "docs/reports.md").read_text()
    assert "a first kernel of 5 beats one of 3 on the digits" in page
    assert "| baseline | 95.00% / not run |" in page
    configuration = (tmp_path / "docs/configuration.md").read_text()
    headings = ("model: separable", "optimizer: rmsprop", "schedule: linear", "augment: erase")
    assert {f"### {heading}" for heading in headings} <= set(configuration.splitlines())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("mypy"))


@pytest.mark.campaign
@pytest.mark.parametrize("title", SECTIONS)
def test_each_works_alone(title: str, tmp_path: Path, cache: str) -> None:
    clone = clean(tmp_path)
    apply(clone, title)
    clone.run("ruff", "format", "--check")
    clone.run("ruff", "check")
    clone.run("mypy", MYPY_CACHE_DIR=cache)
    without_mlflow(clone)
    clone.commit(title)
    clone.run(*shlex.split(SECTIONS[title][1]))
