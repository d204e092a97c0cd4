"""How an error in params.yaml is worded: in one line, of the file and not of the code, where it was made."""

from pathlib import Path
from typing import Any

import pytest
from params import GONE, Changes, refusal

from convlab.config.explain import nearest, show

DIGITS = "experiments/digits"


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"epochs": 0, f"{DIGITS}/epochs": GONE}, "epochs: found 0"),
        ({f"{DIGITS}/epochs": 0}, "experiments.digits.epochs: found 0"),
        ({"split/method": "all"}, "split.method: found 'all'"),
        ({f"{DIGITS}/split/method": "all"}, "experiments.digits.split.method: found 'all'"),
        ({"schedule/patiense": 1}, "schedule: unknown key `patiense`"),
        ({f"{DIGITS}/schedule": {"patiense": 1}}, "experiments.digits.schedule: unknown key"),
        # an experiment takes what is wrong, or half of what does not fit together, from the defaults
        ({"preprocess/greyscale": True}, "experiments.digits: preprocess.greyscale: found True"),
        ({"split/validation": 50000, "run": ["cifar"]}, "experiments.cifar: split.validation: found 50000"),
        ({"experiments/fashion/split": {"validation": 60000}}, "experiments.fashion.split.validation: found"),
        ({"augment": [{"name": "flip"}] * 2}, "experiments.digits: augment: found flip, flip"),
        (
            {"experiments/cifar/augment": [{"name": "flip"}] * 2},
            "experiments.cifar.augment: found flip, flip",
        ),
        # sweeps
        ({"sweeps/strides/grid": {"epochs": [0]}}, "sweeps.strides.grid.epochs: found 0"),
        ({"sweeps/named/variants": {"a": {"epochs": 0}}}, "sweeps.named.variants.a.epochs: found 0"),
        ({"sweeps/strides/overrides": {"epochs": 0}}, "sweeps.strides.overrides.epochs: found 0"),
        ({"sweeps/look/overrides": {"epochs": 0}}, "sweeps.look.overrides.epochs: found 0"),
        ({"sweeps/named/seeds": 1001}, "sweeps.named.seeds: found 1001"),
        (
            {"sweeps/named/overrides": {"augment": [{"name": "mixup", "alpha": 0}]}},
            "sweeps.named.overrides.augment.0.alpha: found 0",
        ),
        # the default is wrong although an experiment lays another key of the section over it
        (
            {"schedule/patiense": 1, f"{DIGITS}/schedule": {"factor": 0.1}},
            "schedule: unknown key `patiense`",
        ),
    ],
)
def test_an_error_names_the_key_where_the_user_wrote_it(tmp_path: Path, changes: Changes, start: str) -> None:
    assert refusal(tmp_path, changes).startswith(start)


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("experiments.digits", "plateau"),
        ("experiments.digits.model", "adam"),
        ("experiments.digits.model", "resnet"),
        ("schedule", "constant"),
        ("schedule", "one_cycle"),
        ("optimizer", "sgd"),
    ],
)
def test_an_unknown_key_may_be_called_like_a_kind_of_section(tmp_path: Path, section: str, name: str) -> None:
    message = refusal(tmp_path, {f"{section.replace('.', '/')}/{name}": {"x": 1}})
    assert message.startswith(f"{section}: unknown key `{name}`")


def test_only_the_keys_of_the_kind_in_use_are_said_to_be_allowed(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"schedule": {"name": "constant", "patience": 3}})
    assert message == "schedule: unknown key `patience`; allowed: name"


@pytest.mark.parametrize(
    ("changes", "place", "typo"),
    [
        ({"early_stopping": {"patiense": 3}}, "early_stopping: ", "`patiense`"),
        ({"schedule": {"name": "plateau", "factor": 0.5, "patiense": 3}}, "schedule: ", "`patiense`"),
        ({f"{DIGITS}/datset": "digits", f"{DIGITS}/dataset": GONE}, "", "`datset`"),
        ({"augment": [{"name": "mixup", "alfa": 1.0}]}, "augment.0: ", "`alfa`"),
    ],
)
def test_a_typo_is_named_rather_than_the_key_that_it_leaves_missing(
    tmp_path: Path, changes: Changes, place: str, typo: str
) -> None:
    message = refusal(tmp_path, changes)
    assert message.startswith(place)
    assert f"unknown key {typo}" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"sweeps/strides": None},
        {"sweeps/strides/grid": GONE},
        {"sweeps/strides/grid/l2": []},
        {"sweeps/strides/grid": {}},
        {"sweeps/look/experiments": {}},
        {"claims/strides_cost": []},
        {"split": 3},
        {"schedule": None},
        {"optimizer/betas": [0.9]},
        {"augment": [3]},
        {"augment": [None]},
        {f"{DIGITS}/model/filters": []},
        {f"{DIGITS}/model/kernels": [3, []]},
        {f"{DIGITS}/model/kernels": [3, {}]},
    ],
)
def test_a_message_speaks_of_the_file_and_not_of_the_code(tmp_path: Path, changes: Changes) -> None:
    message = refusal(tmp_path, changes)
    words = ("instance of", "object to extract", "after validation", "dictionary", ".:", "the name ''")
    for jargon in (*words, "<", ">", "tag", "Input"):
        assert jargon not in message


@pytest.mark.parametrize(
    "changes",
    [
        {"a\nb": 1},
        {f"{DIGITS}/a\nb": 1},
        {f"{DIGITS}/model/a\nb": 1},
        {f"{DIGITS}/augment": [{"name": "a\nb"}]},
        {"thresholds/digits/a\nb": 1},
        {"claims/a\nb": {}},
        {"claims/strides_cost/a": "a\nb"},
        {"sweeps/strides/grid": {"a\nb": [1]}},
        {"sweeps/strides/overrides": {"a\nb": 1}},
        {"sweeps/strides/grid/l2": ["a\nb"]},
        {"sweeps/look/experiments": ["a\nb"]},
    ],
)
def test_a_line_break_in_a_key_does_not_break_the_line(tmp_path: Path, changes: Changes) -> None:
    assert "a\\nb" in refusal(tmp_path, changes)


def test_more_errors_than_one_are_counted(tmp_path: Path) -> None:
    assert refusal(tmp_path, {"lr": -1, "l2": -1, "seed": -1}).endswith("(and 2 more)")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "nothing"),
        (3, "3 (int)"),
        ("a\nb", "'a\\nb' (str)"),
        ("x" * 100, "'" + "x" * 56 + "… (str)"),
    ],
)
def test_a_value_is_shown_with_its_type_on_one_line(value: Any, shown: str) -> None:
    assert show(value) == shown


def test_a_typo_names_the_nearest_key() -> None:
    message = nearest("patiense", ["factor", "patience"])
    assert message == "; allowed: factor, patience; did you mean `patience`?"


def test_a_name_near_to_nothing_names_no_nearest() -> None:
    assert nearest("zzz", ["factor", "patience"]) == "; allowed: factor, patience"
