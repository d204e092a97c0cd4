"""studies.yaml, and changed defaults that conflict with what is not selected."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from params import VALID, Changes, load, resolve, stage

from convlab import cli
from convlab.config import APART, load_params, read_params
from convlab.errors import InputError
from convlab.results import claims, load_plans

FLOOR = "thresholds/digits/test_accuracy"


def write(folder: Path, params: dict[str, Any], studies: Any) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    text = studies if isinstance(studies, str) else yaml.safe_dump(studies, sort_keys=False)
    path.with_name("studies.yaml").write_text(text)
    return path


def apart(content: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide VALID as the repository is divided."""
    studies = {key: content[key] for key in APART if key in content}
    return {key: value for key, value in content.items() if key not in APART}, studies


def test_sections_may_stand_apart(tmp_path: Path) -> None:
    path = write(tmp_path, *apart(VALID))
    together = tmp_path / "together"
    together.mkdir()
    assert load_params(path) == load(together, {})
    assert read_params(path) == VALID


@pytest.mark.parametrize("studies", ["", "{}"])
def test_an_empty_file_is_no_study(tmp_path: Path, studies: str) -> None:
    params = apart(VALID)[0] | {"run_sweeps": []}
    assert load_params(write(tmp_path, params, studies)).sweeps == {}


@pytest.mark.parametrize(
    ("params", "studies", "message"),
    [
        ({}, {"lr": 0.1}, "unknown key `lr`; allowed: sweeps, claims, feature_maps, thresholds"),
        ({"claims": {}}, VALID["claims"] and {"claims": {}}, "`claims` is in "),
        ({}, [1], r"found \[1\] \(list\); allowed: a mapping of keys to values"),
        ({}, "claims: [", "line 1: not valid YAML: "),
    ],
)
def test_what_is_wrong_with_the_file_names_it(
    tmp_path: Path, params: dict[str, Any], studies: Any, message: str
) -> None:
    path = write(tmp_path, {**apart(VALID)[0], **params}, studies)
    with pytest.raises(InputError, match=rf"studies\.yaml: {message}"):
        load_params(path)


@pytest.mark.parametrize(
    ("changes", "file"),
    [
        ({"sweeps/strides/grid": {"epochs": [0]}}, "studies.yaml: sweeps.strides.grid.epochs"),
        ({"claims/strides_cost/b": "digts"}, "studies.yaml: claims.strides_cost.b"),
        ({"feature_maps": {"digits": ["3"]}}, "studies.yaml: feature_maps.digits"),
        ({FLOOR: 95}, "studies.yaml: thresholds.digits.test_accuracy"),
        ({"experiments/digits/lr": 0}, "params.yaml: experiments.digits.lr"),
        ({"lr": 0}, "params.yaml: lr"),
        ({"run_sweeps": ["stride"]}, "params.yaml: run_sweeps"),
    ],
)
def test_an_error_names_the_file_in_which_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: Changes, file: str
) -> None:
    resolve(tmp_path, changes)  # writes params.yaml with the changes
    write(tmp_path, *apart(yaml.safe_load((tmp_path / "params.yaml").read_text())))
    status, message = stage(tmp_path, "resolve")
    assert (status, len(message.splitlines())) == (2, 1)
    assert message.startswith(f"resolve: {file}: found ")


# ------------------------------------------------------------------------------- what is not selected

NUMPY = {"sweeps/engines": {"experiment": "fashion", "variants": {"by_hand": {"engine": "numpy"}}}}
COSINE = {"schedule": {"name": "cosine", "warmup": 2}, "epochs": 2, "experiments/digits/epochs": 30}


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        (
            {**NUMPY, "device": "cuda"},
            "sweeps.engines.variants.by_hand: device: found cuda; allowed: cpu with engine: numpy, "
            "or engine: torch; not selected, so left out",
        ),
        (
            COSINE,
            "experiments.cifar: schedule.warmup: found 2; allowed: fewer than the 2 epochs; "
            "not selected, so left out",
        ),
        (
            {**COSINE, "sweeps/look/experiments": ["digits"]},
            "sweeps.look.experiments: schedule.warmup: found 2; allowed: fewer than the 2 epochs; "
            "not selected, so left out",
        ),
    ],
)
def test_a_default_that_conflicts_with_something_unselected_is_a_warning(
    tmp_path: Path, changes: Changes, left_out: str
) -> None:
    status, said = resolve(tmp_path, changes)
    assert status == 0, said
    assert f"resolve: warning: {left_out}\n" in said
    _, name, *_ = left_out.replace(":", ".").split(".")
    assert not (tmp_path / f"data/configs/{name}.yaml").exists()
    assert (tmp_path / "data/configs/digits.yaml").exists()


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        (
            {**NUMPY, "device": "cuda", "run_sweeps": ["engines"]},
            "resolve: params.yaml: sweeps.engines.variants.by_hand: device: found cuda;",
        ),
        ({**COSINE, "run": ["cifar"]}, "resolve: params.yaml: experiments.cifar: schedule.warmup: found 2;"),
        # What is wrong whatever the defaults are is refused, selected or not
        (
            {"experiments/cifar/augment": [{"name": "flip"}] * 2},
            "resolve: params.yaml: experiments.cifar.augment:",
        ),
        ({"experiments/cifar/lr": -1}, "resolve: params.yaml: experiments.cifar.lr: found -1"),
    ],
)
def test_what_is_selected_or_wrong_in_itself_is_refused(tmp_path: Path, changes: Changes, start: str) -> None:
    status, said = resolve(tmp_path, changes)
    assert (status, len(said.splitlines())) == (2, 1)
    assert said.startswith(start)


def test_a_claim_about_a_trial_of_another_grid_is_a_warning_and_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, said = resolve(tmp_path, {"sweeps/strides/grid": {"l2": [0.0, 0.1]}})
    assert status == 0
    assert "warning: claims.strides_cost.a: found 'strides/strides-2-1_l2-0.0' (str); allowed: " in said
    monkeypatch.chdir(tmp_path)
    (judged,) = claims.judge_all(load_params(), load_plans())
    assert judged["verdict"] == "not run"
    assert judged["reason"].startswith("strides/strides-2-1_l2-0.0 is not among the trials")


def test_the_command_names_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    resolve(tmp_path, {**NUMPY, "device": "cuda"})
    monkeypatch.setattr(sys, "argv", ["convlab", "validate"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert not (tmp_path / ".convlab").exists(), "without a selection to put back, it writes nothing"
    assert "warning: sweeps.engines.variants.by_hand: device: found cuda; " in capsys.readouterr().out
