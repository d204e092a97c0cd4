"""Weights in git: a clone predicts with them, but only if they match the record."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import result
import yaml
from params import ROOT, write
from training import Command

from convlab import files
from convlab.errors import InputError
from convlab.models.build import build_model
from convlab.models.weights import hash_weights
from convlab.networks import champions
from convlab.networks.trained import load_trained, trained_here
from convlab.schema import Experiment

SEED = 1


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Callable[..., Experiment]) -> str:
    """A folder with a network in git whose data and whose own weights are gone; return its hash."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {})
    one = recipe({"preprocess.scaling": "zscore_channel"}, seed=SEED)
    model = build_model(one, one.input_shape, 10)
    weights = hash_weights(model)
    record = result.training("digits", SEED, configuration=one.model_dump(mode="json"), weights=weights)
    result.put([record], [result.evaluation(record)])
    files.write_tensors(files.weights("digits", SEED), model.state_dict())
    statistics = {"scale": 0.5, "mean": [1.0], "std": [2.0], "greyscale": False, "per_image": False}
    statistics |= {"input_shape": [1, 8, 8], "classes": list("0123456789")}
    kept_at = files.PROCESSED / "digits" / one.data_key() / "statistics.json"
    files.write_json(kept_at, statistics)
    trained = load_trained("digits")
    champions.keep("digits", weights, trained.model.state_dict(), trained.statistics)
    shutil.rmtree("data")
    return weights


def test_a_network_in_git_is_used_without_training_and_without_data(kept: str) -> None:
    trained = load_trained("digits@champion")
    assert trained.weights == files.champion("digits")
    assert hash_weights(trained.model) == kept
    assert (trained.statistics.scale, trained.statistics.mean) == (0.5, [1.0])
    assert trained_here() == ["digits"]


def test_weights_trained_here_take_precedence(kept: str) -> None:
    files.weights("digits", SEED).parent.mkdir(parents=True)
    shutil.copy(files.champion("digits"), files.weights("digits", SEED))
    assert load_trained("digits").weights == files.weights("digits", SEED)


def test_other_weights_here_do_not_hide_those_in_git(kept: str, recipe: Callable[..., Experiment]) -> None:
    one = recipe(seed=SEED + 1)
    files.write_tensors(files.weights("digits", SEED), build_model(one, one.input_shape, 10).state_dict())
    trained = load_trained("digits")
    assert trained.weights == files.champion("digits")
    assert hash_weights(trained.model) == kept


def test_weights_of_an_earlier_training_are_not_used(kept: str, recipe: Callable[..., Experiment]) -> None:
    one = recipe(seed=SEED)
    again = result.training("digits", SEED, configuration=one.model_dump(mode="json"), weights="another")
    result.put([again], [result.evaluation(again)])
    with pytest.raises(InputError, match="digits: not trained here"):
        load_trained("digits")


def test_a_damaged_file_is_one_line(kept: str) -> None:
    path = files.champion("digits")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"unreadable .*; `git checkout champions/digits\.safetensors`"):
        load_trained("digits")


def test_the_command_keeps_what_git_can_hold(
    kept: str, convlab: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files.champion("digits").read_bytes()
    status, out, _ = convlab("export", "digits", "--keep")
    assert (status, out.partition(":")[0]) == (0, "champions/digits.safetensors")
    assert files.champion("digits").read_bytes() == before
    monkeypatch.setattr(champions, "MOST", 1000)
    status, out, err = convlab("export", "digits", "--keep")
    assert (status, out) == (2, "")
    assert "--keep: digits has 0.0 MB of weights; allowed in git: at most 0 MB" in err


def test_a_trial_is_not_kept(kept: str) -> None:
    with pytest.raises(
        InputError, match="--keep: found strides/a, a trial of a sweep; allowed: an experiment"
    ):
        champions.keep("strides/a", kept, {}, load_trained("digits").statistics)


def test_dvc_names_what_is_kept_and_all_of_it_is_of_the_committed_results() -> None:
    from safetensors import safe_open

    named = yaml.safe_load((ROOT / "dvc.yaml").read_text())["artifacts"].values()
    listed = subprocess.run(
        ["git", "ls-files", "champions"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert sorted(one["path"] for one in named) == sorted(listed.stdout.split())
    for one in named:
        name = Path(one["path"]).stem
        with safe_open(ROOT / one["path"], "pt") as file:
            weights = json.loads(file.metadata()[champions.FACTS])["weights"]
        shown = ["git", "show", f"HEAD:metrics/{name}/trainings.json"]
        committed = subprocess.run(shown, cwd=ROOT, capture_output=True, check=True).stdout
        assert weights == json.loads(committed)[0]["weights"]
        assert f"--model {name}`" in one["desc"]
