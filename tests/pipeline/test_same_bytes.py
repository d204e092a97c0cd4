"""The same result twice: in another clone, with the trials in another order and in parallel.

The experiment has one thread, the sweep's trainings have two; each is compared with itself.
"""

import json

import pytest
from clones import Clone, clone_to, shrink, without_mlflow

pytestmark = [pytest.mark.pipeline, pytest.mark.campaign]


def turn(params: dict) -> None:
    shrink(params)
    params["sweeps"]["digits_l2"]["grid"]["l2"].reverse()


@pytest.fixture(scope="module")
def again(tmp_path_factory, clone: Clone) -> Clone:
    again = clone_to(tmp_path_factory.mktemp("again"))
    again.run("git", "init", "-q")
    again.edit(turn)
    without_mlflow(again)
    again.run("dvc", "repro", "evaluate@digits", "sweep@digits_l2", CONVLAB_WORKERS="2")
    again.made = again.results()
    return again


def of(clone: Clone, *starts: str) -> dict[str, str]:
    return {path: digest for path, digest in clone.made.items() if path.startswith(starts)}


def test_an_experiment_is_the_same_to_the_last_byte(clone: Clone, again: Clone) -> None:
    places = (
        "metrics/digits/",
        "plots/digits/",
        "data/models/digits/",
        "data/predictions/digits",
        "data/configs/digits.y",
    )
    assert of(again, *places) == of(clone, *places)
    assert {path.rpartition("/")[2] for path in of(clone, *places)} == {
        *("digits.yaml", "trainings.json", "scores.json", "train.json", "evaluate.json"),
        *("curves.csv", "iterations.csv", "confusion.csv"),
        *("seed-20250318.safetensors", "digits.safetensors"),
    }


def test_trials_in_another_order_have_the_same_weights(clone: Clone, again: Clone) -> None:
    weights = of(clone, "data/models/digits_l2/")
    assert of(again, "data/models/digits_l2/") == weights
    assert len(set(weights.values())) == 6


@pytest.mark.parametrize("path", ["metrics/digits_l2/trainings.json", "plots/digits_l2/curves.csv"])
def test_trials_in_another_order_have_the_same_rows(clone: Clone, again: Clone, path: str) -> None:
    here, there = ((one.folder / path).read_text() for one in (clone, again))
    assert here != there, "the order is another"
    if path.endswith(".json"):
        rows = [
            sorted(json.loads(text), key=lambda row: (row["name"], row["seed"])) for text in (here, there)
        ]
    else:
        rows = [sorted(text.splitlines()) for text in (here, there)]
    assert rows[0] == rows[1]
    assert len(rows[0]) >= 6
