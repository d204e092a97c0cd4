"""What the pages say beside their numbers: counts, headings, the commands that bring what is missing."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import results_world
from params import ROOT

from convlab import files
from convlab.book import chapter, contents, images, site, studies
from convlab.figures.pairs import LIMIT

GOALS = """
beyond:
  title: Beyond
  hardware: null
  rows:
  - {headline: true, what: more of it, result: digits, goal: 0.99}
  - {what: not yet, result: fashion, goal: 0.95}
"""
CONFUSED = {
    "report": "R0",
    "says": "a 0 is confused with a 1",
    "metric": "confusion_share",
    "a": "digits",
    "relation": "above",
    "pairs": ["0/1"],
    "than": "others",
}


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def text_of(path):
    """Return the words of a page, without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", Path(path).read_text(encoding="utf-8")).split())


def test_goals_are_counted_apart_from_the_reports(world):
    results_world.build(world)
    files.write_text(Path("reports.yaml"), results_world.REPORTS + GOALS)
    site.write(Path("book"))
    text = text_of("book/index.html")
    assert "1 report, 3 rows of numbers: 2 have been run on the hardware below , 1 has not." in text
    assert (
        "2 of those that ran were shortened, 0 rest on one seed alone. Of 2 goals of our own, 1 has been"
        in text
    )
    assert "ours minus the report’s number, or minus the goal" in text


def test_without_goals_nothing_is_said_of_them(world):
    results_world.build(world)
    site.write(Path("book"))
    assert "of our own," not in text_of("book/index.html")


def test_a_verdict_is_read_aloud(world):
    results_world.build(world)
    site.write(Path("book"))
    marks = re.findall(r'<span class="mark [^>]*>', Path("book/index.html").read_text())
    assert len(marks) == 1
    assert 'role="img" aria-label="confirmed"' in marks[0]


@pytest.mark.parametrize("seeds", [2, 3])
def test_more_seeds_are_advised_where_they_would_change_the_interval(world, seeds):
    results_world.build(world, {"sweeps/strides/seeds": seeds})
    site.write(Path("book"))
    text = text_of("book/claims/strides_cost.html")
    advised = "With 3 seeds a side, so that the interval rests on their own spread: dvc exp run"
    assert (advised in text) == (seeds < 3)
    assert "Learning curves of both sides" in text
    assert "Compare the two" in text


def test_a_claim_within_one_result_speaks_of_one(world):
    results_world.build(world, {"claims/confused": CONFUSED})
    site.write(Path("book"))
    text = text_of("book/claims/confused.html")
    assert "within a 95 % interval" in text
    assert "digits – – " in text, "neither a mean nor a number of each seed"
    for wrong in ("finished", "seeds a side", "both sides", "Both sides", "Compare the two"):
        assert wrong not in text
    assert "Compare it with another result" in text
    (files.PLOTS / "digits/confusion.csv").unlink()
    site.write(Path("book"))
    assert "The result has not been run" in text_of("book/claims/confused.html")


@pytest.mark.parametrize(
    ("run", "command"),
    [(["digits"], "dvc repro"), (["fashion"], "dvc exp run -S 'run=[digits]' -S 'run_sweeps=[]'")],
)
def test_what_is_not_here_comes_with_the_command_that_brings_it(world, run, command):
    results_world.build(world, {"run": run, "experiments/digits/iterations": True})
    site.write(Path("book"))
    text = text_of("book/reports/R0.html").replace("&#39;", "'")
    assert f"Its images are not here, so the numbers open nothing: {command} brings them." in text
    curves = chapter.data(contents.load())
    assert curves["digits"]["steps_by"] == command
    assert not [name for name, one in curves.items() if "steps_by" in one and name != "digits"]
    matrix = [{"actual": str(n), "predicted": str(n if n else 1)} for n in range(21)]
    files.write_csv(files.PLOTS / "digits/confusion.csv", matrix)
    site.write(Path("book"))
    text = text_of("book/reports/R0.html").replace("&#39;", "'")
    assert f"the matrix is too large for a table: {command} draws it." in text


def test_a_grid_of_a_network_without_strides_is_one_of_kernels(world):
    results_world.build(world, {"sweeps/strides/grid": {"model.kernels": [[3, 3], [5, 5]]}})
    told = results_world.REPORTS.replace("strides-2-1_l2-0.0", "kernels-5-5")
    files.write_text(Path("reports.yaml"), told)
    made = contents.load()
    without = {
        name: {key: value for key, value in params.items() if key != "model.strides"}
        for name, params in made.configurations.items()
    }
    for configurations, rows in ((made.configurations, ["[1, 1]"]), (without, ["–"])):
        grid = studies.grid(replace(made, configurations=configurations), made.chapters[0], "strides")
        assert (grid["rows"], grid["columns"]) == (rows, ["[3, 3]", "[5, 5]"])
        assert all(cell["ours"] for cell in grid["cells"].values())


def test_how_many_wrong_images_are_paired_is_said_as_it_is():
    said = f"over the wrong images, at most the {LIMIT} most confident"
    assert said in images.KINDS["pair_distances"][0]
    assert (ROOT / "docs/reports.md").read_text(encoding="utf-8").count(said) == 2


def test_the_footer_promises_no_more_than_is_computed(world):
    results_world.build(world)
    site.write(Path("book"))
    text = text_of("book/reports/R0.html")
    assert "Every number" not in text
    assert "how we read a report, with the numbers in that text, in docs/reports.md" in text
