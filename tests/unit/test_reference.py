"""docs/configuration.md says what the schema says."""

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from repository import ROOT

from convlab.config import STUDIES, load_params, merge, reference
from convlab.schema import Claim, Experiment, Params, SweepEntry

PARAMS = Params.model_json_schema()
SECTIONS = reference._sections(PARAMS["$defs"])


def test_the_committed_page_is_what_is_generated(committed: Path) -> None:
    with chdir(committed):
        for path, text in reference.outputs().items():
            assert path.read_text(encoding="utf-8") == text, f"{path}: run `make report`"


def test_the_page_has_every_key_with_a_meaning() -> None:
    page = Path(reference.PAGE).name
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for model in (Experiment, SweepEntry, Claim):
        assert [key for key, field in model.model_fields.items() if not field.description] == []
        assert [key for key in model.model_fields if f"| `{key}` |" not in text] == []
    for name in SECTIONS:
        for key, node in PARAMS["$defs"][name]["properties"].items():
            assert "const" in node or node["description"], f"{name}.{key}: say below the key what it means"
    assert [key for key in STUDIES if f"| `{key}` |" not in text] == []


RESNET = {"name": "resnet", "widths": [4], "blocks": [1], "activation": "relu"}
AROUND = {  # what a section needs around its example, or beside it
    "Resize": {"model": RESNET, "dataset": "cifar10"},
    "Rest": {"optimizer": {"name": "muon", "momentum": 0.9, "nesterov": True}},
}


@pytest.mark.parametrize("name", SECTIONS)
def test_an_example_of_the_schema_is_valid(name: str, recipe: Callable[..., Experiment]) -> None:
    for example in PARAMS["$defs"][name].get("examples", []):
        recipe(merge(AROUND.get(name, {}), reference._nested(SECTIONS[name], example)))


def test_the_examples_of_the_page_are_of_params_yaml() -> None:
    params = load_params(ROOT / "params.yaml")
    found = reference._examples(params)
    assert found["ResNet"]["name"] == "resnet"
    assert {"WhiteningSection", "Muon"} <= set(found)


def test_what_a_key_may_hold_is_said_in_words() -> None:
    split, experiment = (
        PARAMS["$defs"]["SplitSection"]["properties"],
        PARAMS["$defs"]["Experiment"]["properties"],
    )
    assert reference._kind(split["validation"]) == "integer ≥ 1"
    assert reference._kind(experiment["threads"]) == "integer ≥ 1, ≤ 1,024 or `null`"
    assert reference._kind(experiment["augment"]) == "list of sections"
    cnn, adam = PARAMS["$defs"]["CNN"]["properties"], PARAMS["$defs"]["Adam"]["properties"]
    assert reference._kind(cnn["kernels"]) == "list of (integer ≥ 1 or list of integers ≥ 1)"
    assert reference._kind(adam["betas"]) == "list of 2 numbers ≥ 0, < 1"
    assert reference._code({"a": [1, 2.5], "b": None}) == "`{a: [1, 2.5], b: null}`"


def test_the_yaml_of_the_page_is_yaml() -> None:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    blocks = text.split("```yaml\n")[1:]
    assert len(blocks) == len(SECTIONS) + 2
    for block in blocks:
        assert yaml.safe_load(block.split("```")[0])
