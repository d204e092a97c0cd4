"""Sweeps in params.yaml: `grid`, `variants` or `experiments` become trials, one per point and seed."""

import copy
from pathlib import Path
from typing import Any

import pytest
from params import GONE, Changes, load

from convlab.config import nest
from convlab.errors import InputError
from convlab.schema import Trial

STRIDES, NAMED, LOOK = (f"sweeps/{name}" for name in ("strides", "named", "look"))


def trials(folder: Path, sweep: str, changes: Changes | None = None) -> list[Trial]:
    return load(folder, changes or {}).sweeps[sweep].trials


# ----------------------------------------------------------------------------------------------------- points


def test_a_grid_is_all_combinations_with_names_that_say_what_varies(tmp_path: Path) -> None:
    found = trials(tmp_path, "strides")
    assert [trial.name for trial in found] == [
        "strides-1-1_l2-0.0",
        "strides-1-1_l2-0.0001",
        "strides-2-1_l2-0.0",
        "strides-2-1_l2-0.0001",
    ]
    assert found[3].overrides == {"model.strides": [2, 1], "l2": 1e-4}
    assert found[3].experiment.model.strides == [2, 1]
    assert found[3].experiment.l2 == 1e-4


def test_a_trial_knows_its_experiment_and_a_resolved_configuration_does_not(tmp_path: Path) -> None:
    assert {trial.base for trial in trials(tmp_path, "strides")} == {"digits"}
    assert [trial.base for trial in trials(tmp_path, "look")] == ["digits", "fashion"]
    assert "base" not in trials(tmp_path, "strides")[0].model_dump()


def test_a_grid_point_may_name_the_stride_of_each_convolution(tmp_path: Path) -> None:
    (trial,) = trials(
        tmp_path, "strides", {f"{STRIDES}/grid": {"model.strides": [[[2, 2], 1]]}, "claims": GONE}
    )
    assert trial.name == "strides-2-2-1"
    assert trial.experiment.model.strides == [[2, 2], 1]


def test_variants_are_trials_under_their_own_names(tmp_path: Path) -> None:
    plain, _, steady, _ = trials(tmp_path, "named")
    assert (plain.name, plain.overrides) == ("plain", {})
    assert steady.name == "steady"
    assert steady.experiment.lr == 0.01
    assert steady.experiment.schedule.model_dump() == {"name": "constant"}


def test_a_variant_may_be_another_network_or_lose_its_augmentation(tmp_path: Path) -> None:
    model = {"name": "resnet", "widths": [8], "blocks": [1], "activation": "relu"}
    changes = {
        f"{NAMED}/experiment": "cifar",
        f"{NAMED}/variants": {"resnet": {"model": model}, "none": {"augment": []}},
    }
    resnet, _, none, _ = trials(tmp_path, "named", changes)
    assert resnet.experiment.model.model_dump() == model | {"input": [3, 32, 32], "whitening": None}
    assert none.experiment.augment == []
    assert len(resnet.experiment.augment) == 3


def test_a_sweep_over_experiments_has_a_trial_of_each_with_the_same_overrides(tmp_path: Path) -> None:
    experiments = load(tmp_path, {}).experiments
    digits, fashion = trials(tmp_path, "look")
    assert [(trial.name, trial.overrides) for trial in (digits, fashion)] == [("digits", {}), ("fashion", {})]
    assert digits.experiment == experiments["digits"].model_copy(update={"epochs": 2})
    assert fashion.experiment == experiments["fashion"].model_copy(update={"epochs": 2})


def test_a_trial_is_the_defaults_the_experiment_the_common_overrides_and_its_point(tmp_path: Path) -> None:
    digits = load(tmp_path, {}).experiments["digits"]
    assert trials(tmp_path, "strides")[0].experiment == digits.model_copy(update={"epochs": 10})


@pytest.mark.parametrize(
    ("layers", "lr"),
    [
        ({}, 0.1),
        ({"experiments/digits/lr": 0.2}, 0.2),
        ({"experiments/digits/lr": 0.2, f"{STRIDES}/overrides": {"lr": 0.3}}, 0.3),
        ({f"{STRIDES}/overrides": {"lr": 0.3}, f"{STRIDES}/grid": {"lr": [0.4]}, "claims": GONE}, 0.4),
    ],
)
def test_the_nearer_layer_wins(tmp_path: Path, layers: Changes, lr: float) -> None:
    assert trials(tmp_path, "strides", {"lr": 0.1, **layers})[0].experiment.lr == lr


def test_a_number_that_yaml_reads_as_text_is_the_number(tmp_path: Path) -> None:
    found = trials(tmp_path, "strides", {f"{STRIDES}/grid": {"l2": ["1e-05", 0]}, "claims": GONE})
    assert [trial.experiment.l2 for trial in found] == [1e-05, 0.0]
    assert [trial.overrides["l2"] for trial in found] == [1e-05, 0]
    assert found[0].name == "l2-1e-05"


def test_so_it_is_in_a_list_and_within_a_section(tmp_path: Path) -> None:
    variants = {
        "list": {"optimizer.betas": ["9e-1", "1e-05"]},
        "section": {"schedule": {"name": "step", "every": 1, "factor": "1e-05"}},
        "augmentation": {"augment": [{"name": "mixup", "alpha": "1e-05"}]},
    }
    changes = {f"{NAMED}/experiment": "digits", f"{NAMED}/seeds": GONE, f"{NAMED}/variants": variants}
    in_list, in_section, in_augmentation = (trial.experiment for trial in trials(tmp_path, "named", changes))
    assert in_list.optimizer.betas == [0.9, 1e-05]
    assert in_section.schedule.factor == 1e-05
    assert in_augmentation.augment[0].alpha == 1e-05


# ------------------------------------------------------------------------------------------------------ seeds


def test_a_sweep_with_seeds_has_a_trial_per_point_and_seed(tmp_path: Path) -> None:
    found = trials(tmp_path, "named")
    assert [(trial.name, trial.experiment.seed) for trial in found] == [
        ("plain", 7),
        ("plain", 8),
        ("steady", 7),
        ("steady", 8),
    ]
    assert {trial.experiment.seeds for trial in found} == {1}
    assert found[0].experiment == found[1].experiment.model_copy(update={"seed": 7})


@pytest.mark.parametrize(
    ("changes", "seeds"),
    [
        ({"seeds": 3}, 3),
        ({"seeds": 3, "experiments/digits/seeds": 2}, 2),
        ({"experiments/digits/seeds": 2, f"{STRIDES}/overrides": {"seeds": 4}}, 4),
        ({"experiments/digits/seeds": 2, f"{STRIDES}/overrides": {"seeds": 4}, f"{STRIDES}/seeds": 1}, 1),
    ],
)
def test_a_sweep_has_as_many_seeds_as_it_says_or_its_experiment(
    tmp_path: Path, changes: Changes, seeds: int
) -> None:
    found = trials(tmp_path, "strides", changes)
    assert [trial.experiment.seed for trial in found] == [*range(7, 7 + seeds)] * 4


def test_each_experiment_of_a_sweep_has_its_own_seeds(tmp_path: Path) -> None:
    changes = {"experiments/digits/seeds": 2, "experiments/fashion/seed": 100}
    found = [(trial.name, trial.experiment.seed) for trial in trials(tmp_path, "look", changes)]
    assert found == [("digits", 7), ("digits", 8), ("fashion", 100)]


# ---------------------------------------------------------------------------------------------------- nesting


def test_nesting_turns_dots_into_sections() -> None:
    assert nest({"model.strides": [1], "model.dropout": 0, "lr": 1}, "here") == {
        "model": {"strides": [1], "dropout": 0},
        "lr": 1,
    }


@pytest.mark.parametrize(
    "overrides",
    [
        {"model.dropout": 0.1, "model": {"dense": [32]}},
        {"model": {"dense": [32]}, "model.dropout": 0.1},
    ],
)
def test_a_section_and_a_key_of_it_are_refused_in_either_order(overrides: dict[str, Any]) -> None:
    before = copy.deepcopy(overrides)
    with pytest.raises(InputError, match=r"^here: `model\.dropout` is set both as a whole and in part"):
        nest(overrides, "here")
    assert overrides == before
