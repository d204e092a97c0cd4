"""params.yaml: defaults and overrides become experiments, which the resolve stage writes. Sweeps, the schema,
claims and all that is refused have files of their own."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from params import GONE, REPOSITORYS, ROOT, Changes, changed, load, resolve

from convlab.config import (
    dump_item,
    load_experiment,
    load_item,
    load_params,
    load_sweep,
    merge,
    read_yaml,
    trials_of,
)
from convlab.errors import InputError
from convlab.schema import Experiment, Sweep

PLATEAU = {"name": "plateau", "factor": 0.5, "patience": 3}


# ------------------------------------------------------------------------------------------------- what loads


def test_the_params_of_this_repository_load_without_a_warning() -> None:
    params = load_params(ROOT / "params.yaml")
    assert {"digits", "mnist_vgg"} <= params.experiments.keys()
    assert params.experiments["mnist_vgg"].seed == 20250318
    assert params.run
    assert "digits" in params.datasets()
    assert params.claims.keys() == REPOSITORYS["claims"].keys()
    assert params.warnings == []


def test_an_experiment_is_the_defaults_with_its_overrides(tmp_path: Path) -> None:
    digits = load(tmp_path, {}).experiments["digits"]
    assert (digits.lr, digits.epochs, digits.split.validation) == (0.001, 30, 250)


def test_only_the_data_sets_of_what_is_selected_are_wanted(tmp_path: Path) -> None:
    assert load(tmp_path, {}).datasets() == ["digits"]
    assert load(tmp_path, {"run_sweeps": ["named", "strides"]}).datasets() == ["digits", "fashion_mnist"]
    assert load(tmp_path, {"run": ["cifar"], "run_sweeps": []}).datasets() == ["cifar10"]


def test_no_sweep_need_be_selected_and_thresholds_claims_and_sweeps_may_be_absent(tmp_path: Path) -> None:
    absent = {"run_sweeps": [], "thresholds": GONE, "claims": GONE, "sweeps": GONE}
    params = load(tmp_path, absent)
    assert (params.run_sweeps, params.thresholds, params.claims, params.sweeps) == ([], {}, {}, {})


# ---------------------------------------------------------------------------------------------------- merging


def test_a_section_with_the_same_name_is_merged_key_by_key() -> None:
    base = {"schedule": PLATEAU, "lr": 1}
    assert merge(base, {"schedule": {"factor": 0.1}})["schedule"] == PLATEAU | {"factor": 0.1}
    assert merge(base, {"schedule": {"name": "plateau", "factor": 0.1}})["schedule"]["patience"] == 3


def test_a_section_with_another_name_replaces_the_whole() -> None:
    base = {"schedule": PLATEAU, "lr": 1}
    assert merge(base, {"schedule": {"name": "constant"}}) == {"schedule": {"name": "constant"}, "lr": 1}


def test_a_list_replaces_the_list() -> None:
    base = {"augment": [{"name": "flip"}], "model": {"filters": [16, 32]}}
    assert merge(base, {"augment": [], "model": {"filters": [8]}}) == {
        "augment": [],
        "model": {"filters": [8]},
    }


def test_merging_leaves_both_sides_as_they_were() -> None:
    base, overrides = {"a": {"b": [1]}}, {"a": {"c": [2]}}
    merge(base, overrides)["a"]["b"].append(3)
    merge(base, overrides)["a"]["c"].append(3)
    assert (base, overrides) == ({"a": {"b": [1]}}, {"a": {"c": [2]}})


def test_a_section_of_another_kind_needs_no_settings_of_the_default_one(tmp_path: Path) -> None:
    changes = {
        "experiments/digits/schedule": {"name": "constant"},
        "experiments/digits/optimizer": {
            "name": "sgd",
            "momentum": 0.0,
            "nesterov": False,
            "decoupled": False,
        },
    }
    digits = load(tmp_path, changes).experiments["digits"]
    assert digits.schedule.model_dump() == {"name": "constant"}
    assert digits.optimizer.model_dump() == {
        "name": "sgd",
        "momentum": 0.0,
        "nesterov": False,
        "decoupled": False,
    }


def test_null_early_stopping_switches_it_off(tmp_path: Path) -> None:
    digits = load(tmp_path, {"experiments/digits/early_stopping": None}).experiments["digits"]
    assert digits.early_stopping is None


# ----------------------------------------------------------------------------------- resolved configurations


def test_a_resolved_configuration_reads_back_as_it_was(tmp_path: Path) -> None:
    params = load_params(ROOT / "params.yaml")
    for name, item in (params.experiments | params.sweeps).items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(dump_item(item))
        assert load_item(path).model_dump() == item.model_dump()  # without the `base` of a trial


def test_an_experiment_stands_for_its_seeds_and_a_sweep_for_its_trials(tmp_path: Path) -> None:
    params = load(tmp_path, {"experiments/cifar/seeds": 2})
    digits, cifar = params.experiments["digits"], params.experiments["cifar"]
    only = trials_of("digits", digits)
    assert [(trial.name, trial.overrides, trial.experiment) for trial in only] == [("digits", {}, digits)]
    both = trials_of("cifar", cifar)
    assert [(trial.name, trial.experiment.seed) for trial in both] == [("cifar", 7), ("cifar", 8)]
    assert [trial.experiment for trial in both] == cifar.each_seed()
    assert trials_of("strides", params.sweeps["strides"]) == params.sweeps["strides"].trials


def test_a_sweep_is_not_taken_for_an_experiment_nor_the_other_way(tmp_path: Path) -> None:
    params = load(tmp_path, {})
    experiment, sweep = tmp_path / "experiment.yaml", tmp_path / "sweep.yaml"
    experiment.write_text(dump_item(params.experiments["digits"]))
    sweep.write_text(dump_item(params.sweeps["strides"]))
    assert isinstance(load_experiment(experiment), Experiment)
    assert isinstance(load_sweep(sweep), Sweep)
    with pytest.raises(InputError, match="is a sweep; expected an experiment"):
        load_experiment(sweep)
    with pytest.raises(InputError, match="is an experiment; expected a sweep"):
        load_sweep(experiment)


# ------------------------------------------------------------------------------------------ the resolve stage


def test_the_resolve_stage_writes_every_item_and_the_data_sets(tmp_path: Path) -> None:
    assert resolve(tmp_path, {}) == (0, "")
    configs = tmp_path / "data/configs"
    written = sorted(path.stem for path in configs.iterdir())
    assert written == ["cifar", "datasets", "digits", "fashion", "look", "named", "strides"]
    assert read_yaml(configs / "datasets.yaml") == ["digits"]
    params = load_params(tmp_path / "params.yaml")
    assert load_item(configs / "digits.yaml") == params.experiments["digits"]
    assert load_item(configs / "strides.yaml").model_dump() == params.sweeps["strides"].model_dump()


@pytest.mark.parametrize(
    ("changes", "reached"),
    [
        ({"experiments/fashion/lr": 0.5}, {"fashion", "named", "look"}),
        ({"sweeps/named/seeds": 3}, {"named"}),
        (
            {"sweeps/look/experiments": ["fashion"], "experiments/digits/labels": "one_hot"},
            {"digits", "strides", "look"},
        ),
        ({"claims": GONE, "thresholds": GONE}, set()),
    ],
)
def test_the_resolve_stage_changes_only_what_an_edit_reaches(
    tmp_path: Path, changes: Changes, reached: set[str]
) -> None:
    def contents() -> dict[str, str]:
        return {path.stem: path.read_text() for path in (tmp_path / "data/configs").iterdir()}

    resolve(tmp_path, {})
    before = contents()
    resolve(tmp_path, changes)
    after = contents()
    assert {name for name in before if before[name] != after[name]} == reached


def test_an_error_in_the_shell_is_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed({"schedule/patiense": 3})))
    done = subprocess.run(
        [sys.executable, ROOT / "stages/resolve.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("resolve: params.yaml: schedule: unknown key `patiense`")
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    "change",
    [{"compile": True}, {"precision": "bf16"}, {"deterministic": True}, {"seeds": 2}, {"threads": 1}],
)
def test_a_default_may_be_changed_for_all(change: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(REPOSITORYS | change, sort_keys=False))
    assert load_params(path).sweeps["fashion_preact_engines"].trials
