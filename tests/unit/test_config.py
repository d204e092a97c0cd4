import contextlib
import copy
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convlab.config import (
    STUDIES,
    dump_item,
    load_experiment,
    load_item,
    load_params,
    load_sweep,
    merge,
    nest,
    read_yaml,
    trials_of,
)
from convlab.errors import InputError
from convlab.explain import nearest, show
from convlab.schema import Experiment, Params, Sweep

ROOT = Path(__file__).parents[2]
GONE = object()  # as a value: the key is taken away

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
DEFAULTS = {key: value for key, value in PARAMS.items() if key not in STUDIES}
OURS = """
seed: 7
lr: 0.001
batch_size: 128
epochs: 40
l2: 0.0
split: {method: last, validation: 5000}
schedule: {name: plateau, factor: 0.5, patience: 3}
early_stopping: {patience: 7}
experiments:
  digits:
    dataset: digits
    model: {name: vgg, filters: [16, 32], kernels: [3, 3], strides: [1, 1], dense: [64], dropout: 0.5}
    split: {method: random, validation: 250}
    epochs: 30
  mnist_vgg:
    dataset: mnist
    model: {name: vgg, filters: [32, 64], kernels: [3, 3], strides: [1, 1], dense: [], dropout: 0.5}
sweeps:
  strides:
    experiment: digits
    overrides: {epochs: 10}
    grid:
      model.strides: [[1, 1], [2, 1]]
      l2: [0.0, 1.0e-4]
  named:
    experiment: mnist_vgg
    variants:
      plain: {}
      steady: {schedule: {name: constant}, lr: 0.01}
thresholds:
  digits: {test_accuracy: 0.95}
run: [digits]
run_sweeps: [strides]
"""
VALID: dict[str, Any] = DEFAULTS | yaml.safe_load(OURS)


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """VALID with `{"experiments/digits/lr": 0.1}` laid over it."""
    params = copy.deepcopy(VALID)
    for path, value in changes.items():
        *parents, key = path.split("/")
        section = params
        for parent in parents:
            section = section[parent]
        if value is GONE:
            del section[key]
        else:
            section[key] = value
    return params


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Params]:
    def write_and_load(changes: dict[str, Any]) -> Params:
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(changed(changes), sort_keys=False))
        return load_params(path)

    return write_and_load


@pytest.fixture
def refusal(load: Callable[..., Params], tmp_path: Path) -> Callable[..., str]:
    """The one line that refuses VALID with changes, without the file's name."""

    def message_for(changes: dict[str, Any]) -> str:
        with pytest.raises(InputError) as error:
            load(changes)
        assert len(str(error.value).splitlines()) == 1
        start = f"{tmp_path / 'params.yaml'}: "
        assert str(error.value).startswith(start)
        return str(error.value).removeprefix(start)

    return message_for


# ------------------------------------------------------------------------------------------------- what loads


def test_the_params_of_this_repository_load() -> None:
    params = load_params(ROOT / "params.yaml")
    assert {"digits", "mnist_vgg"} <= params.experiments.keys()
    assert params.experiments["mnist_vgg"].seed == 20250318
    assert params.run
    assert "digits" in params.datasets()


def test_an_experiment_is_the_defaults_with_its_overrides(load: Callable[..., Params]) -> None:
    digits = load({}).experiments["digits"]
    assert (digits.lr, digits.epochs, digits.split.validation) == (0.001, 30, 250)


def test_a_section_with_the_same_name_is_merged_key_by_key() -> None:
    base = {"schedule": {"name": "plateau", "factor": 0.5, "patience": 3}, "lr": 1}
    assert merge(base, {"schedule": {"factor": 0.1}})["schedule"] == {
        "name": "plateau",
        "factor": 0.1,
        "patience": 3,
    }


def test_a_section_with_another_name_replaces_the_whole() -> None:
    base = {"schedule": {"name": "plateau", "factor": 0.5, "patience": 3}, "lr": 1}
    assert merge(base, {"schedule": {"name": "constant"}}) == {"schedule": {"name": "constant"}, "lr": 1}


def test_merging_leaves_both_sides_as_they_were() -> None:
    base, overrides = {"a": {"b": [1]}}, {"a": {"c": [2]}}
    merge(base, overrides)["a"]["b"].append(3)
    merge(base, overrides)["a"]["c"].append(3)
    assert (base, overrides) == ({"a": {"b": [1]}}, {"a": {"c": [2]}})


def test_a_schedule_of_another_kind_needs_no_settings_of_the_default_one(load: Callable[..., Params]) -> None:
    params = load({"experiments/digits/schedule": {"name": "constant"}})
    assert params.experiments["digits"].schedule.model_dump() == {"name": "constant"}


def test_null_early_stopping_switches_it_off(load: Callable[..., Params]) -> None:
    assert load({"experiments/digits/early_stopping": None}).experiments["digits"].early_stopping is None


@pytest.mark.parametrize("key", ["lr", "l2"])
def test_a_float_that_yaml_reads_as_a_string_is_a_float(load: Callable[..., Params], key: str) -> None:
    assert isinstance(yaml.safe_load("1e-05"), str)  # what `dvc exp run -S lr=1e-05` leaves in the file
    value = getattr(load({key: "1e-05"}).experiments["digits"], key)
    assert isinstance(value, float)
    assert value == 1e-05


def test_a_grid_is_all_combinations_with_names_that_say_what_varies(load: Callable[..., Params]) -> None:
    trials = load({}).sweeps["strides"].trials
    assert [trial.name for trial in trials] == [
        "strides-1-1_l2-0.0",
        "strides-1-1_l2-0.0001",
        "strides-2-1_l2-0.0",
        "strides-2-1_l2-0.0001",
    ]
    assert trials[3].overrides == {"model.strides": [2, 1], "l2": 1e-4}
    assert trials[3].experiment.model.strides == [2, 1]
    assert trials[3].experiment.l2 == 1e-4


def test_a_trial_is_the_defaults_the_experiment_the_common_overrides_and_its_point(
    load: Callable[..., Params],
) -> None:
    params = load({})
    first = params.sweeps["strides"].trials[0].experiment
    assert first == params.experiments["digits"].model_copy(update={"epochs": 10})


def test_a_grid_value_written_as_a_string_is_the_number(load: Callable[..., Params]) -> None:
    trials = load({"sweeps/strides/grid": {"l2": ["1e-05", 0]}}).sweeps["strides"].trials
    assert [trial.experiment.l2 for trial in trials] == [1e-05, 0.0]
    assert trials[0].name == "l2-1e-05"


def test_variants_are_trials_under_their_own_names(load: Callable[..., Params]) -> None:
    plain, steady = load({}).sweeps["named"].trials
    assert (plain.name, plain.overrides) == ("plain", {})
    assert steady.name == "steady"
    assert steady.experiment.lr == 0.01
    assert steady.experiment.schedule.model_dump() == {"name": "constant"}


def test_only_the_data_sets_of_what_is_selected_are_wanted(load: Callable[..., Params]) -> None:
    assert load({}).datasets() == ["digits"]
    assert load({"run_sweeps": ["named", "strides"]}).datasets() == ["digits", "mnist"]


def test_no_sweep_need_be_selected_and_thresholds_may_be_absent(load: Callable[..., Params]) -> None:
    params = load({"run_sweeps": [], "thresholds": GONE})
    assert (params.run_sweeps, params.thresholds) == ([], {})


def test_a_threshold_is_a_number_from_0_to_1_however_it_is_written(load: Callable[..., Params]) -> None:
    params = load({"thresholds/digits": {"test_accuracy": "5e-1", "train_accuracy": 1}})
    assert params.thresholds == {"digits": {"test_accuracy": 0.5, "train_accuracy": 1.0}}


def test_a_resolved_configuration_reads_back_as_it_was(tmp_path: Path) -> None:
    params = load_params(ROOT / "params.yaml")
    for name, item in (params.experiments | params.sweeps).items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(dump_item(item))
        assert load_item(path) == item


def test_an_experiment_stands_for_one_training_and_a_sweep_for_its_trials(
    load: Callable[..., Params],
) -> None:
    params = load({})
    only = trials_of("digits", params.experiments["digits"])
    assert [(trial.name, trial.overrides, trial.experiment) for trial in only] == [
        ("digits", {}, params.experiments["digits"])
    ]
    assert trials_of("strides", params.sweeps["strides"]) == params.sweeps["strides"].trials


def test_a_sweep_is_not_taken_for_an_experiment_nor_the_other_way(
    load: Callable[..., Params], tmp_path: Path
) -> None:
    params = load({})
    experiment, sweep = tmp_path / "experiment.yaml", tmp_path / "sweep.yaml"
    experiment.write_text(dump_item(params.experiments["digits"]))
    sweep.write_text(dump_item(params.sweeps["strides"]))
    assert isinstance(load_experiment(experiment), Experiment)
    assert isinstance(load_sweep(sweep), Sweep)
    with pytest.raises(InputError, match="a sweep, where an experiment is wanted"):
        load_experiment(sweep)
    with pytest.raises(InputError, match="an experiment, where a sweep is wanted"):
        load_sweep(experiment)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"lr": 0.5, "seed": 8}, True),
        ({"seed": 8, "split.method": "random"}, False),
        ({"split.validation": 4}, False),
        ({"preprocess.scaling": "none"}, False),
        ({"dataset": "mnist"}, False),
    ],
)
def test_the_data_key_depends_on_what_the_prepared_data_depends_on(
    recipe: Callable[..., Experiment], changes: dict[str, Any], same: bool
) -> None:
    base = {"seed": 1, "split.method": "last"}
    assert (recipe(base).data_key() == recipe({**base, **changes}).data_key()) is same


def test_the_data_key_of_a_random_split_depends_on_the_seed(recipe: Callable[..., Experiment]) -> None:
    assert recipe({"split.method": "random"}, seed=1).data_key() != recipe(seed=2).data_key()


# ---------------------------------------------------------------------------------------------- what does not

BAD = {
    # keys
    "unknown key at the top": ({"epoch": 3}, "unknown key `epoch`", "did you mean `epochs`?"),
    "unknown key that is a number": ({"experiments/digits/1": 2}, "experiments.digits: unknown key `1`"),
    "unknown key in an experiment": (
        {"experiments/digits/leraning_rate": 3},
        "experiments.digits: unknown key `leraning_rate`",
        "allowed: seed, ",
    ),
    "unknown key in a default section": (
        {"schedule/patiense": 3},
        "schedule: unknown key `patiense`",
        "did you mean `patience`?",
    ),
    "unknown key in an overriding section": (
        {"experiments/digits/schedule": {"patiense": 3}},
        "experiments.digits.schedule: unknown key `patiense`",
        "did you mean `patience`?",
    ),
    "missing default": ({"seed": GONE}, "experiments.digits.seed: missing", "defaults at the top"),
    "missing data set": ({"experiments/digits/dataset": GONE}, "experiments.digits.dataset: missing"),
    "missing model": ({"experiments/digits/model": GONE}, "experiments.digits.model: missing"),
    # values
    "word for a number": ({"lr": "fast"}, "lr: found 'fast' (str); allowed: a valid number"),
    "number in quotes for an integer": ({"epochs": "5"}, "epochs: found '5' (str)", "a valid integer"),
    "fraction for an integer": ({"epochs": 1.5}, "epochs: found 1.5 (float)", "a valid integer"),
    "truth for a number": ({"lr": True}, "lr: found True (bool)", "a valid number"),
    "truth for an integer": ({"seed": True}, "seed: found True (bool)", "a valid integer"),
    "word for a truth": ({"deterministic": "maybe"}, "deterministic: found 'maybe' (str)", "a valid boolean"),
    "nothing for a number": ({"lr": None}, "lr: found nothing", "a valid number"),
    "nothing for a section": ({"split": None}, "split: found nothing"),
    "number for a section": ({"split": 3}, "split: found 3 (int)"),
    "section without its name": (
        {"schedule": {}},
        "schedule: found {} (dict); allowed: a mapping with a `name`",
    ),
    "negative learning rate": ({"lr": -0.1}, "lr: found -0.1 (float)", "greater than 0"),
    "learning rate of 0": ({"experiments/digits/lr": 0}, "experiments.digits.lr: found 0", "greater than 0"),
    "negative l2": ({"l2": -1e-9}, "l2: found -1e-09 (float)", "greater than or equal to 0"),
    "no epochs": ({"epochs": 0}, "epochs: found 0 (int)", "greater than or equal to 1"),
    "batch of nothing": ({"batch_size": 0}, "batch_size: found 0", "greater than or equal to 1"),
    "seed too large": ({"seed": 2**63}, f"seed: found {2**63} (int)", f"less than {2**63}"),
    "dropout of all": (
        {"experiments/digits/model/dropout": 1.0},
        "experiments.digits.model.dropout: found 1.0",
        "less than 1",
    ),
    "NaN": ({"lr": float("nan")}, "lr: found nan (float)", "a finite number"),
    "infinity": ({"l2": float("inf")}, "l2: found inf (float)", "a finite number"),
    "infinity in a string": ({"lr": "inf"}, "lr: found", "a finite number"),
    "NaN in a string": ({"lr": "nan"}, "lr: found", "a finite number"),
    "integer beyond any float": ({"lr": 10**400}, "lr: found 1000"),
    "factor of 1": ({"schedule/factor": 1.0}, "schedule.factor: found 1.0", "less than 1"),
    "beta of 1": ({"optimizer/betas": [0.9, 1.0]}, "optimizer.betas.1: found 1.0", "less than 1"),
    "one beta": ({"optimizer/betas": [0.9]}, "optimizer.betas: found [0.9] (list)"),
    "no filters": ({"experiments/digits/model/filters": []}, "experiments.digits.model.filters: found []"),
    "a kernel too few": (
        {"experiments/digits/model/kernels": [3]},
        "experiments.digits.model.kernels: found [3]",
        "allowed: 2 numbers, one per block as in filters",
    ),
    "a stride too many": (
        {"experiments/digits/model/strides": [1, 1, 2]},
        "experiments.digits.model.strides: found [1, 1, 2]",
        "allowed: 2 numbers",
    ),
    "stride of 0": (
        {"experiments/digits/model/strides": [1, 0]},
        "experiments.digits.model.strides.1: found 0",
        "greater than or equal to 1",
    ),
    # names
    "unknown data set": (
        {"experiments/digits/dataset": "minst"},
        "experiments.digits.dataset: found 'minst' (str)",
        "allowed: digits, mnist, fashion_mnist, cifar10",
        "did you mean `mnist`?",
    ),
    "unknown model": (
        {"experiments/digits/model/name": "vggg"},
        "experiments.digits.model.name: found 'vggg' (str)",
        "did you mean `vgg`?",
    ),
    "unknown schedule at the top": (
        {"schedule/name": "platau"},
        "schedule.name: found 'platau' (str); allowed: plateau, constant; did you mean `plateau`?",
    ),
    "unknown schedule in an experiment": (
        {"experiments/digits/schedule": {"name": "constnat"}},
        "experiments.digits.schedule.name: found 'constnat' (str)",
        "did you mean `constant`?",
    ),
    "unknown optimiser": ({"optimizer/name": "adm"}, "optimizer.name: found 'adm'", "did you mean `adam`?"),
    "name that is a list": ({"schedule/name": [1]}, "schedule.name: found [1] (list)"),
    "unknown split": ({"split/method": "first"}, "split.method: found 'first'", "allowed: last, random"),
    "unknown scaling": (
        {"preprocess/scaling": "zscore"},
        "preprocess.scaling: found 'zscore'",
        "zscore_channel",
    ),
    "unknown device": ({"device": "cuda:0"}, "device: found 'cuda:0'", "did you mean `cuda`?"),
    "unknown precision": ({"precision": "fp16"}, "precision: found 'fp16'", "auto, fp32, bf16"),
    # experiments and their names
    "experiments that are a list": ({"experiments": ["digits"]}, "experiments: found ['digits'] (list)"),
    "experiment that is nothing": ({"experiments/digits": None}, "experiments.digits: found nothing"),
    "no experiments": ({"experiments": {}, "sweeps": {}}, "run: found 'digits'"),
    "experiment called datasets": (
        {"experiments/datasets": {}},
        "experiments: the name 'datasets' is taken by data/configs/datasets.yaml",
    ),
    "sweep called datasets": ({"sweeps/datasets": {}}, "sweeps: the name 'datasets' is taken"),
    "sweep called as an experiment": (
        {"sweeps/digits": VALID["sweeps"]["strides"]},
        "sweeps.digits: an experiment has this name too",
    ),
    **{
        f"name {name!r}": (
            {"experiments": {**VALID["experiments"], name: {}}},
            f"experiments: found the name {name!r}",
            "allowed: letters, digits, `_`, `-`, `.`",
        )
        for name in ("a b", "../a", "a/b", ".a", "-a", "", "ä", "a\nb", 7)
    },
    "name of 101 letters": ({"experiments": {"x" * 101: {}}}, "experiments: found the name 'xxx"),
    # run and run_sweeps
    "empty run": ({"run": []}, "run: found an empty list", "`run: [digits]`", "of digits, mnist_vgg"),
    "run that is a name": ({"run": "digits"}, "run: found 'digits' (str)", "-S 'run=[NAME]'"),
    "run that is nothing": ({"run": None}, "run: found nothing", "a list such as `run: [digits]`"),
    "run that is not there": ({"run": GONE}, "run: found nothing"),
    "run that is a mapping": ({"run": {"digits": 1}}, "run: found {'digits': 1} (dict)"),
    "run of a number": ({"run": [1]}, "run: found [1] (list)"),
    "run of an unknown name": (
        {"run": ["digit"]},
        "run: found 'digit' (str); allowed: digits, mnist_vgg; did you mean `digits`?",
    ),
    "run of a sweep": ({"run": ["strides"]}, "run: found 'strides'", "allowed: digits, mnist_vgg"),
    "a name twice in run": ({"run": ["digits", "digits"]}, "run: 'digits' is listed twice"),
    "run_sweeps of an unknown name": ({"run_sweeps": ["stride"]}, "run_sweeps: found 'stride'", "`strides`?"),
    "run_sweeps that is nothing": ({"run_sweeps": None}, "run_sweeps: found nothing"),
    # sweeps
    "sweep that is nothing": ({"sweeps/strides": None}, "sweeps.strides"),
    "sweep of an unknown experiment": (
        {"sweeps/strides/experiment": "digit"},
        "sweeps.strides.experiment: found 'digit'",
        "did you mean `digits`?",
    ),
    "sweep without an experiment": (
        {"sweeps/strides/experiment": GONE},
        "sweeps.strides.experiment: missing",
    ),
    "unknown key in a sweep": (
        {"sweeps/strides/gird": {}},
        "sweeps.strides: unknown key `gird`",
        "did you mean `grid`?",
    ),
    "grid over an unknown key": (
        {"sweeps/strides/grid": {"model.stride": [[1, 1]]}},
        "sweeps.strides.grid.model: unknown key `stride`",
        "did you mean `strides`?",
    ),
    "grid over a wrong value": (
        {"sweeps/strides/grid": {"l2": [0.1, -1]}},
        "sweeps.strides.grid.l2: found -1",
    ),
    "grid over a number": ({"sweeps/strides/grid": {"l2": 3}}, "sweeps.strides.grid.l2: found 3 (int)"),
    "grid over no values": ({"sweeps/strides/grid": {"l2": []}}, "sweeps.strides.grid.l2: found []"),
    "grid over no keys": ({"sweeps/strides/grid": {}}, "sweeps.strides.grid"),
    "a grid value twice": ({"sweeps/strides/grid": {"l2": [0.1, 0.1]}}, "two trials are called 'l2-0.1'"),
    "both grid and variants": (
        {"sweeps/strides/variants": {"a": {"lr": 0.1}}},
        "sweeps.strides",
        "found both of grid and variants",
        "exactly one",
    ),
    "neither grid nor variants": ({"sweeps/strides/grid": GONE}, "sweeps.strides", "found neither"),
    "no variants": ({"sweeps/named/variants": {}}, "sweeps.named.variants: found {}"),
    "variant with a bad name": ({"sweeps/named/variants": {"a b": {}}}, "sweeps.named.variants", "'a b'"),
    "variant with a wrong value": (
        {"sweeps/named/variants": {"fast": {"lr": 0}}},
        "sweeps.named.variants.fast.lr: found 0",
    ),
    "variant of an unknown key": (
        {"sweeps/named/variants": {"fast": {"lrr": 1}}},
        "sweeps.named.variants.fast: unknown key `lrr`",
        "did you mean `lr`?",
    ),
    "a key as a whole and in part": (
        {"sweeps/strides/overrides": {"model": 3, "model.dropout": 0.1}},
        "sweeps.strides.overrides: `model.dropout` is set both as a whole and in part",
    ),
    # thresholds
    "threshold of an unknown experiment": (
        {"thresholds": {"digit": {}}},
        "thresholds: found 'digit'",
        "did you mean `digits`?",
    ),
    "threshold of an unknown metric": (
        {"thresholds/digits": {"test_acuracy": 0.9}},
        "thresholds.digits: unknown metric `test_acuracy`",
        "did you mean `test_accuracy`?",
    ),
    **{
        f"threshold of {floor!r}": (
            {"thresholds/digits/test_accuracy": floor},
            "thresholds.digits.test_accuracy: found",
            "allowed: a number from 0 to 1",
        )
        for floor in (1.5, -0.1, "high", None, True, float("nan"), [0.9])
    },
    "threshold that is a number": ({"thresholds/digits": 0.9}, "thresholds.digits: found 0.9 (float)"),
    "thresholds that are a list": ({"thresholds": []}, "thresholds: found [] (list)"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_value_is_one_line_that_names_the_key_what_was_found_and_what_is_allowed(
    refusal: Callable[..., str], case: str
) -> None:
    changes, place, *parts = BAD[case]
    message = refusal(changes)
    assert place in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"epochs": 0, "experiments/digits/epochs": GONE}, "epochs: found 0"),
        ({"experiments/digits/epochs": 0}, "experiments.digits.epochs: found 0"),
        ({"split/method": "all"}, "split.method: found 'all'"),
        ({"experiments/digits/split/method": "all"}, "experiments.digits.split.method: found 'all'"),
        ({"schedule/patiense": 1}, "schedule: unknown key `patiense`"),
        ({"experiments/digits/schedule": {"patiense": 1}}, "experiments.digits.schedule: unknown key"),
        ({"sweeps/strides/grid": {"epochs": [0]}}, "sweeps.strides.grid.epochs: found 0"),
        ({"sweeps/named/variants": {"a": {"epochs": 0}}}, "sweeps.named.variants.a.epochs: found 0"),
        # the default is wrong although an experiment lays another key of the section over it
        (
            {"schedule/patiense": 1, "experiments/digits/schedule": {"factor": 0.1}},
            "schedule: unknown key `patiense`",
        ),
        ({"sweeps/strides/overrides": {"epochs": 0}}, "sweeps.strides.overrides.epochs: found 0"),
        ({"sweeps/strides/overrides": {"epoch": 1}}, "sweeps.strides.overrides: unknown key `epoch`"),
    ],
)
def test_an_error_names_the_key_where_the_user_wrote_it(
    refusal: Callable[..., str], changes: dict[str, Any], place: str
) -> None:
    assert refusal(changes).startswith(place)


@pytest.mark.parametrize(
    ("section", "name"),
    [("experiments.digits", "plateau"), ("experiments.digits.model", "adam"), ("schedule", "constant")],
)
def test_an_unknown_key_may_be_called_like_a_kind_of_section(
    refusal: Callable[..., str], section: str, name: str
) -> None:
    message = refusal({f"{section.replace('.', '/')}/{name}": {"x": 1}})
    assert message.startswith(f"{section}: unknown key `{name}`")


def test_only_the_keys_of_the_schedule_in_use_are_said_to_be_allowed(refusal: Callable[..., str]) -> None:
    message = refusal({"schedule": {"name": "constant", "patience": 3}})
    assert message == "schedule: unknown key `patience`; allowed: name"


@pytest.mark.parametrize(
    ("changes", "place", "typo"),
    [
        ({"early_stopping": {"patiense": 3}}, "early_stopping: ", "`patiense`"),
        ({"schedule": {"name": "plateau", "factor": 0.5, "patiense": 3}}, "schedule: ", "`patiense`"),
        ({"experiments/digits/datset": "digits", "experiments/digits/dataset": GONE}, "", "`datset`"),
    ],
)
def test_a_typo_is_named_rather_than_the_key_that_it_leaves_missing(
    refusal: Callable[..., str], changes: dict[str, Any], place: str, typo: str
) -> None:
    message = refusal(changes)
    assert message.startswith(place)
    assert f"unknown key {typo}" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"sweeps/strides": None},
        {"sweeps/strides/grid": GONE},
        {"sweeps/strides/grid/l2": []},
        {"sweeps/strides/grid": {}},
        {"split": 3},
        {"schedule": None},
        {"optimizer/betas": [0.9]},
        {"experiments/digits/model/filters": []},
    ],
)
def test_a_message_speaks_of_the_file_and_not_of_the_code(
    refusal: Callable[..., str], changes: dict[str, Any]
) -> None:
    message = refusal(changes)
    for jargon in ("instance of", "object to extract", "after validation", "dictionary", ".:", "the name ''"):
        assert jargon not in message


@pytest.mark.parametrize(
    "changes",
    [
        {"a\nb": 1},
        {"experiments/digits/a\nb": 1},
        {"thresholds/digits/a\nb": 1},
        {"sweeps/strides/grid": {"a\nb": [1]}},
        {"sweeps/strides/overrides": {"a\nb": 1}},
        {"sweeps/strides/grid/l2": ["a\nb"]},
        {"experiments/digits/model/a\nb": 1},
    ],
)
def test_a_line_break_in_a_key_does_not_break_the_line(
    refusal: Callable[..., str], changes: dict[str, Any]
) -> None:
    assert "b" in refusal(changes)


@pytest.mark.parametrize(
    "overrides",
    [
        {"model.dropout": 0.1, "model": {"dense": [32]}},
        {"model": {"dense": [32]}, "model.dropout": 0.1},
    ],
)
def test_a_section_and_a_key_of_it_are_both_kept_or_refused_in_either_order(
    overrides: dict[str, Any],
) -> None:
    refused: InputError | None = None
    nested: dict[str, Any] = {}
    try:
        nested = nest(copy.deepcopy(overrides), "here")
    except InputError as error:
        refused = error
    assert nested == {"model": {"dropout": 0.1, "dense": [32]}} or "both as a whole" in str(refused)


def test_nesting_leaves_the_overrides_as_they_were() -> None:
    overrides = {"model": {"dense": [32]}, "model.dropout": 0.1}
    before = copy.deepcopy(overrides)
    with contextlib.suppress(InputError):
        nest(overrides, "here")
    assert overrides == before


def test_nesting_turns_dots_into_sections() -> None:
    assert nest({"model.strides": [1], "model.dropout": 0, "lr": 1}, "here") == {
        "model": {"strides": [1], "dropout": 0},
        "lr": 1,
    }


def test_more_errors_than_one_are_counted(refusal: Callable[..., str]) -> None:
    assert refusal({"lr": -1, "l2": -1, "seed": -1}).endswith("(and 2 more)")


# -------------------------------------------------------------------------------------- what is not even YAML


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"lr: 1\nlr: 2\n", ["line 2: key `lr` is given twice"]),
        (b"split:\n  method: last\n  method: random\n", ["line 3: key `method` is given twice"]),
        (b"lr: 1\nrun: [digits\nseed: 3\n", ["line 3: not valid YAML"]),
        (b"lr: 1\n\tseed: 3\n", ["line 2: not valid YAML", "\\t"]),
        (b"lr: 1\n--- \nlr: 2\n", ["line 2: not valid YAML"]),
        (b"lr: *nowhere\n", ["line 1: not valid YAML", "nowhere"]),
        (b"lr: !!python/object/apply:os.system ['true']\n", ["line 1: not valid YAML", "python/object"]),
        (b"lr: 1\nseed: !unknown 3\n", ["line 2: not valid YAML", "!unknown"]),
        (b"name: caf\xe9\n", ["unreadable", "utf-8"]),
        (b"\x00\x01", ["unreadable"]),
        (b"day: 2020-13-45\n", ["unreadable", "month"]),
        (b"[" * 3000, ["unreadable", "recursion"]),
        (b"a: &a [*a]\n", ["not valid YAML", "recursive"]),
        (b"", ["found nothing", "a mapping"]),
        (b"- lr\n", ["found ['lr'] (list)", "a mapping"]),
        (b"lr\n", ["found 'lr' (str)", "a mapping"]),
        (b"1: 2\n", ["unknown key `1`"]),
        (b"~: 2\n", ["unknown key `None`"]),
        # tags and keys that YAML knows and that hold nothing sensible
        (b"? [a, b]\n: 1\n", ["line 1"]),
        (b"{a: 1}: 2\n", ["line 1"]),
        (b"lr: !!bool maybe\n", ["maybe"]),
        (b"lr: !!timestamp soon\n", [""]),
        (b"lr: !!int ''\n", [""]),
        (b"lr: !!float x\n", ["unreadable"]),
    ],
)
def test_a_file_that_is_no_params_file_is_one_line_that_names_it(
    tmp_path: Path, content: bytes, parts: list[str]
) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_params(path)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(f"{path}: ")
    for part in parts:
        assert part in message


def test_a_yaml_tag_runs_nothing(tmp_path: Path) -> None:
    path, marker = tmp_path / "params.yaml", tmp_path / "ran"
    path.write_text(f"lr: !!python/object/apply:os.system ['touch {marker}']\n")
    with pytest.raises(InputError):
        load_params(path)
    assert not marker.exists()


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"params\.yaml: not there; run this in the repository's root"):
        load_params(tmp_path / "params.yaml")


def test_a_folder_in_the_files_place_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unreadable"):
        read_yaml(tmp_path)


@pytest.mark.parametrize("content", ["3", "[]", "", "trials: 3", "experiment: digits\ntrials: [3]", "lr: 1"])
def test_an_altered_configuration_is_one_line_that_names_its_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "digits.yaml"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        load_item(path)
    assert len(str(error.value).splitlines()) == 1
    assert str(error.value).startswith(str(path))


def test_an_unknown_key_in_a_trial_of_a_configuration_is_named(
    load: Callable[..., Params], tmp_path: Path
) -> None:
    content = load({}).sweeps["strides"].model_dump()
    content["trials"][1]["experiment"]["lrr"] = 1
    path = tmp_path / "strides.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="unknown key `lrr`") as error:
        load_item(path)
    assert str(error.value).startswith(str(path))


# ----------------------------------------------------------------------------------------------- any mutation


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path] * bool(path) + [leaf for key, value in inside for leaf in leaves(value, (*path, key))]


WORDS = st.sampled_from(["digits", "plateau", "vgg", "adam", "model.strides", "name", "lr", "1e-05", "../x"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.binary(max_size=4)
    | WORDS
)
KEYS = WORDS | st.text("abc_.- /", max_size=5) | st.integers() | st.none()
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,  # the same examples in every run of CI
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(where=st.sampled_from(leaves(VALID)), junk=JUNK, drop=st.integers(0, 9))
def test_any_mutation_loads_or_is_refused_in_one_line(
    tmp_path: Path, where: tuple[Any, ...], junk: Any, drop: int
) -> None:
    params = copy.deepcopy(VALID)
    section: Any = params
    for key in where[:-1]:
        section = section[key]
    if drop == 0:
        del section[where[-1]]
    else:
        section[where[-1]] = junk
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
    message = None
    try:
        load_params(path)
    except InputError as error:
        message = str(error)
    assert message is None or (message.startswith(f"{path}: ") and len(message.splitlines()) == 1)


# ------------------------------------------------------------------------------------------ the resolve stage


def test_the_resolve_stage_refuses_bad_params_with_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed({"schedule/patiense": 3})))
    done = subprocess.run(
        [sys.executable, ROOT / "stages/resolve.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("resolve: params.yaml: schedule: unknown key `patiense`")
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.fixture
def resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run stages/resolve.py in this process, in a folder with VALID and changes; give its exit status."""

    def run_stage(changes: dict[str, Any]) -> int:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed(changes)))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["stages/resolve.py"])
        with pytest.raises(SystemExit) as exit_:
            runpy.run_path(str(ROOT / "stages/resolve.py"), run_name="__main__")
        return exit_.value.code or 0

    return run_stage


def test_the_resolve_stage_writes_every_item_and_the_data_sets(
    resolve: Callable[..., int], tmp_path: Path
) -> None:
    assert resolve({}) == 0
    configs = tmp_path / "data/configs"
    assert sorted(path.stem for path in configs.iterdir()) == [
        "datasets",
        "digits",
        "mnist_vgg",
        "named",
        "strides",
    ]
    assert read_yaml(configs / "datasets.yaml") == ["digits"]
    params = load_params(tmp_path / "params.yaml")
    assert load_item(configs / "digits.yaml") == params.experiments["digits"]
    assert load_item(configs / "strides.yaml") == params.sweeps["strides"]


def test_the_resolve_stage_changes_only_what_an_edit_reaches(
    resolve: Callable[..., int], tmp_path: Path
) -> None:
    def contents() -> dict[str, str]:
        return {path.stem: path.read_text() for path in (tmp_path / "data/configs").iterdir()}

    resolve({})
    before = contents()
    resolve({"experiments/mnist_vgg/lr": 0.5})
    after = contents()
    assert {name for name in before if before[name] != after[name]} == {"mnist_vgg", "named"}


def test_the_resolve_stage_refuses_a_selected_network_that_leaves_nothing_of_the_image(
    resolve: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resolve({"experiments/digits/model/strides": [4, 4]}) == 2
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert "experiments.digits.model: block 2" in message
    assert "smaller strides" in message
    assert not (tmp_path / "data").exists()


# ------------------------------------------------------------------------------------------ parts of messages


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
    assert (
        nearest("patiense", ["factor", "patience"]) == "; allowed: factor, patience; did you mean `patience`?"
    )


def test_a_name_near_to_nothing_names_no_nearest() -> None:
    assert nearest("zzz", ["factor", "patience"]) == "; allowed: factor, patience"


def test_a_number_that_yaml_reads_as_text_is_a_number_in_a_trial_too(load: Callable[..., Params]) -> None:
    trials = load({"sweeps/strides/grid": {"l2": ["1e-05", 0.1]}}).sweeps["strides"].trials
    assert [trial.overrides["l2"] for trial in trials] == [1e-05, 0.1]
