"""The templates of `dvc plots`: DVC fills in their anchors, and what comes out is a specification."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from repository import ROOT

PLOTS = ROOT / ".dvc/plots"
ANCHORS = {
    '"<DVC_METRIC_DATA>"': "[]",
    "<DVC_METRIC_TITLE>": "title",
    "<DVC_METRIC_X>": "epoch",
    "<DVC_METRIC_Y>": "accuracy",
    "<DVC_METRIC_X_LABEL>": "epoch",
    "<DVC_METRIC_Y_LABEL>": "accuracy",
}


@pytest.mark.parametrize("name", ["seeds", "trials"])
def test_a_template_is_a_specification_with_a_colour_per_revision(name: str) -> None:
    drawn = filled(name)["spec"]
    assert drawn["encoding"]["color"]["field"] == "rev"
    band, line = drawn["layer"]
    assert (band["encoding"]["y"]["field"], band["encoding"]["y2"]["field"]) == ("low", "high")
    assert len(line["encoding"]["tooltip"]) <= 5
    assert {"field": "mean", "title": "mean", "format": ".4f"} in line["encoding"]["tooltip"]


def filled(name: str) -> dict[str, Any]:
    """Return a template as DVC fills its anchors in, of which it has at least the data, the title and x."""
    text = (PLOTS / f"{name}.json").read_text(encoding="utf-8")
    for anchor, content in ANCHORS.items():
        assert anchor in text or anchor.startswith("<DVC_METRIC_Y"), anchor
        text = text.replace(anchor, content)
    assert "DVC_METRIC" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_curve_has_the_columns_that_trainings_write(committed: Path) -> None:
    columns = filled("seeds")["transform"][0]["fold"]
    head = (committed / "plots/digits/curves.csv").read_text().splitlines()[0].split(",")
    assert {*columns} <= {*head}


def test_a_revision_has_one_colour_on_the_whole_page() -> None:
    templates = {path.stem for path in PLOTS.glob("*.json")}
    found = [filled(name) for name in sorted(templates - {"confusion"})]
    colours = [one.get("spec", one)["encoding"]["color"] for one in found]
    assert {(one["field"], *one["scale"]["range"]) for one in colours} == {
        ("rev", *colours[0]["scale"]["range"])
    }
    pipeline = yaml.safe_load((PLOTS.parents[1] / "dvc.yaml").read_text())
    assert "plots" not in pipeline, "a plot that is of no stage stands on the page whatever is selected"
    stages = [stage.get("do", stage) for stage in pipeline["stages"].values()]
    drawn = [plot for stage in stages for one in stage.get("plots", []) for plot in one.values()]
    # DVC's own templates have colours of their own
    assert {plot["template"] for plot in drawn if "template" in plot} == templates
    assert all("template" in plot for plot in drawn if "x" in plot)


def test_the_page_has_room_for_plots_and_for_pictures_on_demand() -> None:
    page = (PLOTS / "page.html").read_text(encoding="utf-8")
    assert page.count("{plot_divs}") == page.count("{refresh_tag}") == 1
    assert '<nav id="contents"' in page
    assert '<details id="figures">' in page
    assert 'src="http' not in page
