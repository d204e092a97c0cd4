"""The templates of `dvc plots`: DVC fills in their anchors, and what comes out is a specification."""

import json
from pathlib import Path

import pytest
import yaml

PLOTS = Path(__file__).parents[2] / ".dvc/plots"
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
    text = (PLOTS / f"{name}.json").read_text(encoding="utf-8")
    for anchor, content in ANCHORS.items():
        assert anchor in text
        text = text.replace(anchor, content)
    assert "DVC_METRIC" not in text
    found = json.loads(text)
    drawn = found.get("spec", found)
    assert drawn["encoding"]["color"]["field"] == "rev"
    band, line = drawn["layer"]
    assert (band["encoding"]["y"]["field"], band["encoding"]["y2"]["field"]) == ("low", "high")
    assert len(line["encoding"]["tooltip"]) <= 5
    assert {"field": "mean", "title": "mean", "format": ".4f"} in line["encoding"]["tooltip"]


def test_a_revision_has_one_colour_on_the_whole_page() -> None:
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(PLOTS.glob("*.json"))]
    colours = [one.get("spec", one)["encoding"]["color"] for one in found]
    assert len(found) == 3
    assert {(one["field"], *one["scale"]["range"]) for one in colours} == {
        ("rev", *colours[0]["scale"]["range"])
    }
    drawn = yaml.safe_load((PLOTS.parents[1] / "dvc.yaml").read_text())["plots"]
    # DVC's own templates have colours of their own
    assert all(one["template"] in ("seeds", "steps", "trials") for plot in drawn for one in plot.values())


def test_the_page_has_room_for_plots_and_for_pictures_on_demand() -> None:
    page = (PLOTS / "page.html").read_text(encoding="utf-8")
    assert page.count("{plot_divs}") == page.count("{refresh_tag}") == 1
    assert '<nav id="contents"' in page
    assert '<details id="figures">' in page
    assert 'src="http' not in page
