"""The sections of an experiment: what each kind takes, and what an experiment knows of itself."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from params import Changes, load, resolve
from pydantic import ValidationError

from convlab.schema import CNN, Experiment
from convlab.schema.section import Section

Recipe = Callable[..., Experiment]

BLOCKS = {
    "filters": [8, 16, 32],
    "convolutions": 2,
    "kernels": [3, [5, 3], 1],
    "strides": [2, [1, 2], 1],
    "pools": [2, 1, 1],
    "norm": "block",
    "activation": "gelu",
    "block_dropout": [0.1, 0.0, 0.2],
    "dense": [],
    "dropout": 0.0,
}
SECTIONS = [
    {"model": {"name": "cnn", **BLOCKS}},
    {"model": {"name": "resnet", "widths": [8, 16], "blocks": [1, 2], "activation": "tanh"}},
    {"model": {"name": "preact", "stem": 4, "widths": [8], "activation": "silu"}},
    {"optimizer": {"name": "adam", "betas": [0.9, 0.99], "eps": 0.1}},
    {"optimizer": {"name": "adamw", "betas": [0.9, 0.99], "eps": 0.1}},
    {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True, "decoupled": False}},
    {
        "optimizer": {
            "name": "muon",
            "momentum": 0.9,
            "nesterov": False,
            "adamw": {"lr": 0.5, "betas": [0.9, 0.99], "eps": 0.1},
        }
    },
    {"average": {"name": "ema", "decay": 0.5}},
    {"average": {"name": "lookahead", "every": 5, "alpha": 0.5}},
    {"schedule": {"name": "plateau", "factor": 0.5, "patience": 3}},
    {"schedule": {"name": "constant"}},
    {"schedule": {"name": "step", "every": 5, "factor": 0.5}},
    {"schedule": {"name": "multistep", "milestones": [1, 16], "factor": 0.5}},
    {"schedule": {"name": "cosine", "warmup": 0.5}},
    {"schedule": {"name": "one_cycle", "warmup": 0.3}},
    {
        "augment": [
            {"name": "affine", "rotation": 180, "shift": 0.5, "shear": 5, "zoom": 0.5, "border": "zero"}
        ]
    },
    {"augment": [{"name": "crop", "padding": 4, "border": "reflect"}, {"name": "flip"}]},
    {"augment": [{"name": "mixup", "alpha": 0.2}, {"name": "cutmix", "alpha": 1.0}]},
    {"augment": [{"name": "alternating_flip"}], "test_time_augmentation": "flip_shift"},
    {"labels": "one_hot", "keep": "highest_accuracy", "weight_decay": 0.5, "label_smoothing": 0.5},
    {
        "init": "keras",
        "batch_norm": "keras",
        "monitor": "penalised_loss",
        "l2_on": "kernels_and_biases",
    },
    {"labels": "index", "keep": "last", "early_stopping": {"patience": 1}, "lr": 0.5, "l2": 0.5},
]


def names(section: Any) -> str:
    (value, *_) = section.values()
    found = value if isinstance(value, list) else [value]
    return "-".join(part["name"] if isinstance(part, dict) else str(part) for part in found)


@pytest.mark.parametrize("section", SECTIONS, ids=names)
def test_a_section_of_each_kind_is_taken_as_it_is_written(recipe: Recipe, section: Changes) -> None:
    content = recipe(section).model_dump()
    for key, value in section.items():
        expected = {"input": None, "whitening": None, **value} if key == "model" else value
        if key == "optimizer" and value["name"] == "muon":
            expected = {"sgd": None, "steps": 5, "normalise": False, **value}
        assert content[key] == expected


def floats(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path] * isinstance(tree, float) + [
        leaf for key, part in inside for leaf in floats(part, (*path, key))
    ]


@pytest.mark.parametrize("section", SECTIONS, ids=names)
def test_every_float_may_be_written_in_a_form_that_yaml_reads_as_text(
    recipe: Recipe, section: Changes
) -> None:
    assert isinstance(yaml.safe_load("1e-05"), str)  # what `dvc exp run -S lr=1e-05` leaves in the file
    content = recipe(section).model_dump()
    paths = floats(content)
    assert {("lr",), ("l2",), ("weight_decay",), ("label_smoothing",)} <= set(paths)
    for *parents, key in paths:
        written = copy.deepcopy(content)
        inner: Any = written
        for parent in parents:
            inner = inner[parent]
        inner[key] = "1e-05"
        read: Any = Experiment.model_validate(written).model_dump()
        for part in (*parents, key):
            read = read[part]
        assert isinstance(read, float)
        assert read == 1e-05


@pytest.mark.parametrize("key", ["lr", "l2", "weight_decay", "label_smoothing"])
def test_so_it_is_at_the_top_of_the_file(tmp_path: Path, key: str) -> None:
    value = getattr(load(tmp_path, {key: "1e-05"}).experiments["digits"], key)
    assert isinstance(value, float)
    assert value == 1e-05


def test_a_configuration_does_not_change(recipe: Recipe) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        recipe().lr = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd_needs_momentum_for_nesterovs_form_alone(recipe: Recipe, momentum: float, nesterov: bool) -> None:
    section = {"name": "sgd", "momentum": momentum, "nesterov": nesterov, "decoupled": True}
    assert recipe(optimizer=section).optimizer.model_dump() == section


# --------------------------------------------------------------------------------------- a cnn's convolutions


def test_a_kernel_is_for_all_convolutions_of_its_block_and_a_stride_for_the_first(recipe: Recipe) -> None:
    model = recipe(model={"name": "cnn", **BLOCKS}).model
    assert isinstance(model, CNN)
    assert [model.kernels_of(block) for block in range(3)] == [[3, 3], [5, 3], [1, 1]]
    assert [model.strides_of(block) for block in range(3)] == [[2, 1], [1, 2], [1, 1]]


def test_of_one_convolution_a_number_and_a_list_say_the_same(recipe: Recipe) -> None:
    changes = {"model.convolutions": 1, "model.kernels": [5, [5]], "model.strides": [2, [2]]}
    model = recipe(changes).model
    assert model.kernels_of(0) == model.kernels_of(1) == [5]
    assert model.strides_of(0) == model.strides_of(1) == [2]


# ----------------------------------------------------------------------------------------------- its own data


@pytest.mark.parametrize(
    ("dataset", "greyscale", "shape"),
    [
        ("digits", False, [1, 8, 8]),
        ("mnist", False, [1, 28, 28]),
        ("fashion_mnist", False, [1, 28, 28]),
        ("cifar10", False, [3, 32, 32]),
        ("cifar10", True, [1, 32, 32]),
    ],
)
def test_the_input_is_the_data_sets_as_preprocess_leaves_it(
    recipe: Recipe, dataset: str, greyscale: bool, shape: list[int]
) -> None:
    changes = {"dataset": dataset, "preprocess.greyscale": greyscale}
    assert recipe(changes).input_shape == shape
    assert recipe(changes | {"model.input": shape}).model.input == shape  # a network may state it, or not
    assert recipe(changes).model.input is None


@pytest.mark.parametrize(("dataset", "images"), [("digits", 1437), ("cifar10", 50_000), ("mnist", 60_000)])
def test_all_but_one_of_the_training_images_may_be_held_out(
    recipe: Recipe, dataset: str, images: int
) -> None:
    assert recipe({"dataset": dataset, "split.validation": images - 1}).split.validation == images - 1
    with pytest.raises(ValidationError, match=f"fewer than the {images:,} training images of {dataset}"):
        recipe({"dataset": dataset, "split.validation": images})


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"lr": 0.5, "seed": 8, "seeds": 3}, True),
        ({"augment": [{"name": "flip"}], "labels": "one_hot", "model.dense": [7]}, True),
        ({"seed": 8, "split.method": "random"}, False),
        ({"split.validation": 4}, False),
        ({"preprocess.scaling": "none"}, False),
        ({"dataset": "mnist"}, False),
    ],
)
def test_the_data_key_depends_on_what_the_prepared_data_depends_on(
    recipe: Recipe, changes: Changes, same: bool
) -> None:
    base = {"seed": 1, "split.method": "last"}
    assert (recipe(base).data_key() == recipe({**base, **changes}).data_key()) is same


def test_the_data_key_of_a_random_split_depends_on_the_seed(recipe: Recipe) -> None:
    assert recipe({"split.method": "random"}, seed=1).data_key() != recipe(seed=2).data_key()


# ------------------------------------------------------------------------------------------------------ seeds


def test_an_experiment_of_several_seeds_is_one_of_each(recipe: Recipe) -> None:
    several = recipe(seed=5, seeds=3).each_seed()
    assert several == [recipe(seed=seed, seeds=1) for seed in (5, 6, 7)]


def test_an_experiment_of_one_seed_is_itself(recipe: Recipe) -> None:
    assert recipe(seeds=1).each_seed() == [recipe(seeds=1)]


def test_the_largest_seed_has_its_successors_too(recipe: Recipe) -> None:
    last = recipe(seed=2**63 - 1001, seeds=1000).each_seed()[-1]
    assert last.seed == 2**63 - 2
    assert Experiment.model_validate(last.model_copy(update={"seed": 2**63 - 1001}).model_dump()).seeds == 1


# --------------------------------------------------------------------------------------------------- warnings


@pytest.mark.parametrize(
    ("dataset", "warned"), [("digits", True), ("mnist", True), ("fashion_mnist", False), ("cifar10", False)]
)
def test_mirroring_digits_is_warned_of_and_done(tmp_path: Path, dataset: str, warned: bool) -> None:
    changes = {
        "experiments/digits/dataset": dataset,
        "experiments/digits/augment": [{"name": "crop", "padding": 1, "border": "zero"}, {"name": "flip"}],
    }
    warning = (
        f"experiments.digits.augment: flip mirrors {dataset}, where a mirrored image is none of the classes "
        "(a 2 becomes no digit): the network learns what the test images never show"
    )
    params = load(tmp_path, changes)
    assert params.warnings == ([warning] if warned else [])
    assert [step.name for step in params.experiments["digits"].augment] == ["crop", "flip"]
    assert resolve(tmp_path, changes) == (0, f"resolve: warning: {warning}\n" if warned else "")
    assert (tmp_path / "data/configs/digits.yaml").is_file()


def test_a_flip_by_default_is_warned_of_for_each_experiment_that_takes_it(tmp_path: Path) -> None:
    warnings = load(tmp_path, {"augment": [{"name": "flip"}]}).warnings
    assert [warning.partition(":")[0] for warning in warnings] == ["experiments.digits.augment"]


def test_a_flip_that_a_sweep_adds_is_warned_of_there_and_once(tmp_path: Path) -> None:
    flips = {"sweeps/strides/overrides": {"epochs": 10, "augment": [{"name": "flip"}]}}
    (warning,) = load(tmp_path, flips).warnings
    assert warning.startswith("sweeps.strides: flip mirrors digits, ")


def test_an_alternating_flip_and_a_flip_at_test_time_are_warned_of_too(tmp_path: Path) -> None:
    flips = {
        "experiments/digits/augment": [{"name": "alternating_flip"}],
        "experiments/digits/test_time_augmentation": "flip_shift",
    }
    first, second = load(tmp_path, flips).warnings
    assert first.startswith("experiments.digits.augment: flip mirrors digits, ")
    assert second.startswith("experiments.digits.test_time_augmentation: flip mirrors digits, ")
    assert second.endswith("(a 2 becomes no digit): the network is tested on images of no class")
    (swept,) = load(tmp_path, {"sweeps/strides/overrides": {"test_time_augmentation": "flip"}}).warnings
    assert swept.startswith("sweeps.strides: flip mirrors digits, ")


def test_other_augmentations_of_digits_are_not_warned_of(tmp_path: Path) -> None:
    assert load(tmp_path, {"experiments/digits/augment": [{"name": "mixup", "alpha": 0.2}]}).warnings == []


# 1,187 images of the digits remain: 30 epochs of 10 steps
@pytest.mark.parametrize(
    ("average", "told"),
    [
        ({"name": "ema", "decay": 0.99}, None),
        (
            {"name": "ema", "decay": 0.999},
            "ema with decay 0.999 spans 1,000 steps, but the training has 300 (30 × 10): the kept weights "
            "are 74% initial",
        ),
        ({"name": "lookahead", "every": 300, "alpha": 0.5}, None),
        (
            {"name": "lookahead", "every": 301, "alpha": 0.5},
            "lookahead goes back every 301 steps, but the training has 300 (30 × 10): the initial "
            "weights are kept",
        ),
    ],
)
def test_an_average_that_stays_at_the_initial_weights_is_warned_of(
    tmp_path: Path, average: dict[str, Any], told: str | None
) -> None:
    params = load(tmp_path, {"experiments/digits/average": average})
    own = [warning for warning in params.warnings if warning.startswith("experiments.")]
    assert own == ([f"experiments.digits.average: {told}"] if told else [])


def test_an_average_is_weighed_against_the_epochs_of_each_trial(tmp_path: Path) -> None:
    # 10 and 2 epochs of 10 steps in the sweeps; the other experiments have thousands
    average = {"average": {"name": "ema", "decay": 0.995}}
    sweeps = [warning.partition(": ")[0] for warning in load(tmp_path, average).warnings]
    assert sweeps == ["sweeps.strides", "sweeps.look"]


@pytest.mark.parametrize(
    ("schedule", "share"),
    [
        ({"name": "cosine", "warmup": 27}, None),
        ({"name": "cosine", "warmup": 28.5}, "95%"),
        ({"name": "one_cycle", "warmup": 0.9}, None),
        ({"name": "one_cycle", "warmup": 0.97}, "97%"),
    ],
)
def test_a_warm_up_that_takes_the_whole_training_is_warned_of(
    tmp_path: Path, schedule: dict[str, Any], share: str | None
) -> None:
    changes = {"experiments/digits/schedule": schedule, "sweeps": {}, "run_sweeps": [], "claims": {}}
    told = (
        f"experiments.digits.schedule: {schedule['name']} warms up for {share} of the 30 epochs: the rate "
        "has too little time to fall"
    )
    assert load(tmp_path, changes).warnings == ([told] if share else [])


# A record leaves out what is as the schema has it by default, so another default would leave results fresh
# that were computed with the one before.
RELIED_ON = {
    "Experiment.devices": 1,
    "Experiment.portable": False,
    "Experiment.train_images_scored": None,
    "Muon.adamw": None,
    "Muon.normalise": False,
    "Muon.sgd": None,
    "Muon.steps": 5,
    "Network.input": None,
    "Network.whitening": None,
}


def below(section: type[Section]) -> Iterator[type[Section]]:
    yield section
    for one in section.__subclasses__():
        yield from below(one)


def test_defaults_on_which_results_rely_are_what_they_were() -> None:
    names = {"Experiment", *Experiment.model_json_schema()["$defs"]}
    sections = [section for section in below(Section) if section.__name__ in names]
    owners = {base for section in sections for base in section.__mro__ if issubclass(base, Section)}
    found = {
        f"{owner.__name__}.{key}": owner.model_fields[key].get_default(call_default_factory=True)
        for owner in owners
        for key in owner.__annotations__
        if key in owner.model_fields and not owner.model_fields[key].is_required()
    }
    assert found == RELIED_ON, (
        "A default of the schema differs. A new key, whose default computes what there was before: add it to "
        "RELIED_ON. Any other: leave it as it was, and set the new value in params.yaml, so that the results "
        "that it concerns become stale."
    )
