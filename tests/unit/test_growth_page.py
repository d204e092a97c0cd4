"""A measurement of how costs grow keeps what is recorded, and its page shows what there is."""

from pathlib import Path
from typing import Any

import pytest

from bench.pipeline import growth, growth_page
from convlab.errors import InputError
from convlab.files import read_json


@pytest.fixture
def results(committed: Path) -> dict[str, Any]:
    return read_json(committed / growth_page.RESULTS)


@pytest.mark.parametrize("form", growth.FORMS)
@pytest.mark.parametrize("text", ["convlab", "resolve", ""])
def test_the_page_shows_what_there_is(results: dict[str, Any], form: str, text: str) -> None:
    found = {name: runs for name, runs in results["seconds"]["experiments"].items() if text in name}
    results["seconds"] = {"experiments": {}, "trials": {}} | {form: found}
    page = growth_page.table(results)
    assert [name for name in found if growth_page.TITLES.get(name, f"`{name}`") not in page] == []
    of_experiments = found if form == "experiments" else {}
    goals = len({growth_page.DVC_NO_OP, growth_page.NO_OP} & of_experiments.keys()) * len(growth_page.GOALS)
    assert page.count(" goal ") == goals
    drawn = {label.get_text() for label in growth_page.figure(results).legends[0].get_texts()}
    assert drawn == {growth_page.GOAL, *(set(growth_page.DRAWN) & of_experiments.keys())}


def test_no_recorded_result_is_dropped_unless_all_are_measured_again(results: dict[str, Any]) -> None:
    recorded = {
        (form, name, number)
        for form, found in results["seconds"].items()
        for name, runs in found.items()
        for number in runs
    }
    now = {key: results[key] for key in ("git_commit", "dvc", "device_name")}
    some = {one for one in recorded if one[1] == growth_page.NO_OP}
    growth.check_all_again(results, now, some)
    growth.check_all_again({}, now, some)
    other = now | {"git_commit": "f" * 40}
    growth.check_all_again(results, other, recorded)
    with pytest.raises(InputError, match=r"growth.json: its git_commit is \w+, now it is f+, and \d+ of its"):
        growth.check_all_again(results, other, some)
