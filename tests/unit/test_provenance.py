import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from convlab.pipeline import provenance
from convlab.pipeline.provenance import environment, fingerprint, hash_files, run_context
from convlab.schema import Experiment
from convlab.seeds import derive, derive_seed


def test_a_stream_depends_on_seed_purpose_and_epoch_alone() -> None:
    random.seed(1)
    torch.manual_seed(1)
    first = torch.rand(5, generator=derive(7, "order", 3))
    random.seed(2)
    torch.manual_seed(2)
    assert torch.equal(torch.rand(5, generator=derive(7, "order", 3)), first)


def test_streams_differ_from_each_other() -> None:
    seeds = {
        derive_seed(seed, purpose, epoch)
        for seed in (0, 1, 20250318)
        for purpose in ("order", "dropout", "init", "split")
        for epoch in range(50)
    }
    assert len(seeds) == 3 * 4 * 50
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_deriving_does_not_disturb_the_global_generator() -> None:
    before = torch.get_rng_state()
    torch.rand(5, generator=derive(7, "order"))
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_stay_as_they_are() -> None:
    # A change here changes every published result.
    assert derive_seed(20250318, "order", 1) == 5504062444149894584


@pytest.mark.parametrize(
    "changes",
    [
        {"lr": 0.5},
        {"seed": 9},
        {"model.dense": [33]},
        {"precision": "bf16"},
        {"augment": [{"name": "mixup", "alpha": 0.2}]},
        {"labels": "one_hot"},
        {"keep": "last"},
    ],
)
def test_the_fingerprint_depends_on_the_configuration(
    recipe: Callable[..., Experiment], changes: dict[str, Any]
) -> None:
    assert fingerprint(recipe(), "data") == fingerprint(recipe(), "data")
    assert fingerprint(recipe(changes), "data") != fingerprint(recipe(), "data")


def test_the_fingerprint_depends_on_the_data_and_on_the_code(
    recipe: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(recipe(), "data")
    assert fingerprint(recipe(), "other data") != before
    monkeypatch.setattr(provenance, "identity", lambda phase, experiment: {"train.fit": "other code"})
    assert fingerprint(recipe(), "data") != before


def test_each_of_several_seeds_is_the_training_of_that_seed_alone(
    recipe: Callable[..., Experiment],
) -> None:
    first, second = recipe(seed=1, seeds=2).each_seed()
    assert fingerprint(first, "data") == fingerprint(recipe(seed=1), "data")
    assert fingerprint(second, "data") == fingerprint(recipe(seed=2), "data")


def test_a_hash_covers_contents_and_order(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"1")
    other.write_bytes(b"2")
    assert hash_files([one, other]) == hash_files([one, other])
    assert hash_files([one, other]) != hash_files([other, one])
    before = hash_files([one])
    one.write_bytes(b"1 ")
    assert hash_files([one]) != before


def test_bytes_do_not_slip_from_one_file_into_the_next(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abcd"]
    for path, content in zip(paths, (b"12", b"3", b"1", b"23"), strict=True):
        path.write_bytes(content)
    assert hash_files(paths[:2]) != hash_files(paths[2:])


def test_hardware_and_versions_stand_beside_a_timing() -> None:
    facts = environment(torch.device("cpu"))
    assert facts["device"] == "cpu"
    assert "cores" in facts["device_name"]
    assert facts["torch"] == torch.__version__
    assert facts["threads"] == torch.get_num_threads()


def test_outside_git_a_run_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("DVC_EXP_NAME", "brave-exp")
    found = run_context()
    assert found["git_commit"] is None
    monkeypatch.setenv("CONVLAB_COMMIT", "abc")  # a copy on a machine without git
    assert run_context()["git_commit"] == "abc"
    assert found["git_dirty"] is None  # nobody knows
    assert found["dvc_experiment"] == "brave-exp"
