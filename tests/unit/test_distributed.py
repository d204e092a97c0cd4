"""One training on two devices is the training on one, but for the order of additions. Here: two processes."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from pydantic import ValidationError
from test_recipes import ALL
from torch import multiprocessing, nn
from training import CPU, Make, Recipe, first

from convlab import files
from convlab.data.dataset import Prepared
from convlab.errors import InputError
from convlab.locks import Lock
from convlab.models.build import build_model
from convlab.pipeline.devices import require_devices, train_on_devices
from convlab.pipeline.identity import identity
from convlab.pipeline.ledger import TRAINING, Ledger
from convlab.pipeline.run import train
from convlab.pipeline.trainings import Trainings
from convlab.schema import Experiment
from convlab.train.distributed import network as networks
from convlab.train.distributed.layers import BatchNormOfAll, DropoutOfAll
from convlab.train.distributed.network import fit_share
from convlab.train.distributed.share import Share
from convlab.train.engine import EAGER
from convlab.train.fit import fit
from convlab.train.history import History

IMAGES = 299  # in batches of 64: the last has 43, an odd number
SGD = {"name": "sgd", "momentum": 0.9, "nesterov": True, "decoupled": False}
# Adam's steps, and the kink of ReLU, blow up differences of last bits
GENTLE: dict[str, Any] = {"optimizer": SGD, "lr": 0.01, "model.activation": "silu"}
ADAM: dict[str, Any] = {
    "optimizer": {"name": "adam", "betas": [0.9, 0.999], "eps": 1e-7},
    "lr": 0.01,
    "init": "keras",
    "model.activation": "tanh",
}
TOLERANCE = 1e-4  # of a loss; another number of threads differs by as much
RECIPES: dict[str, dict[str, Any]] = {
    "without norm, a penalty, dropout": {
        **ADAM,
        "model.norm": "none",
        "model.dropout": 0.5,
        "model.block_dropout": [0.2, 0.0],
        "l2": 0.001,
    },
    "norm, one-hot, per step": {"labels": "one_hot", "iterations": True, "label_smoothing": 0.1},
    "random augmentations": {
        "model.norm": "none",
        **ADAM,
        "augment": [
            {"name": "affine", "rotation": 10, "shift": 0.1, "shear": 5, "zoom": 0.1, "border": "zero"},
            {"name": "crop", "padding": 1, "border": "zero"},
            {"name": "mixup", "alpha": 0.4},
            {"name": "cutmix", "alpha": 1.0},
        ],
    },
    "a running mean, early stopping": {
        "average": {"name": "ema", "decay": 0.9},
        "early_stopping": {"patience": 1},
        "monitor": "penalised_loss",
        "l2": 0.01,
    },
}


BY_PARTS = "norm, by the statistics of a part of the batch"  # which would be wrong


def two_ranks(
    rank: int, folder: Path, recipes: dict[str, Experiment], digits: Prepared, device: torch.device
) -> None:
    """Train by each recipe as one of two processes; the first one puts its curves down."""
    torch.set_num_threads(1)
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo", EAGER: "1"}
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    for name, recipe in recipes.items():
        if name == BY_PARTS:
            networks.seeing_all = lambda network, share, device: network
        model, history = fitted(recipe, digits, partial(fit_share, Share(rank, 2)), device)
        content = {"records": history.records, "iterations": history.iterations, "best": history.best_epoch}
        weights = [tensor.flatten().tolist() for tensor in model.state_dict().values()]
        files.write_json(folder / f"{name}, {rank}.json", {**content, "weights": weights})
    dist.destroy_process_group()


def fitted(
    recipe: Experiment, digits: Prepared, fit: Callable[..., History], device: torch.device = CPU
) -> tuple[nn.Module, History]:
    model = build_model(recipe, [1, 8, 8], 10)
    parts = (first(digits.train, IMAGES), digits.validation, digits.statistics.transform())
    return model, fit(model, *parts, recipe, device, lambda images: None, lambda history: None, None)


def by_two(
    recipes: dict[str, Experiment], digits: Prepared, folder: Path, device: torch.device = CPU
) -> dict[str, list[dict[str, Any]]]:
    """Return what each of two processes, which share a device, has of each recipe."""
    multiprocessing.spawn(two_ranks, (folder, recipes, digits, device), nprocs=2)
    return {name: [files.read_json(folder / f"{name}, {rank}.json") for rank in (0, 1)] for name in recipes}


def furthest(some: list[dict[str, float]], others: list[dict[str, float]]) -> float:
    """Return the largest difference between the losses of two curves."""
    assert len(some) == len(others)
    assert [one["lr"] for one in some] == [other["lr"] for other in others]
    return max(
        abs(one[key] - other[key])
        for one, other in zip(some, others, strict=True)
        for key in one
        if key.endswith("loss")
    )


def test_two_processes_give_the_curve_of_one(recipe: Recipe, digits: Prepared, tmp_path: Path) -> None:
    recipes = {name: recipe({**GENTLE, **changes}, epochs=3) for name, changes in RECIPES.items()}
    parts = recipe({**GENTLE, "model.dropout": 0.0}, epochs=3)
    for name, (here, there) in by_two({**recipes, BY_PARTS: parts}, digits, tmp_path).items():
        if name == BY_PARTS:
            assert furthest(here["records"], fitted(parts, digits, fit)[1].records) > 10 * TOLERANCE
            continue
        model, history = fitted(recipes[name], digits, fit)
        assert history.records[-1]["train_loss"] < 0.99 * history.records[0]["train_loss"], name
        assert furthest(here["records"], history.records) < TOLERANCE, name
        if history.iterations:
            assert furthest(here["iterations"], history.iterations) < TOLERANCE, name
        assert here["best"] == history.best_epoch
        for weights, tensor in zip(here["weights"], model.state_dict().values(), strict=True):
            found = torch.tensor(weights, dtype=torch.float32)
            assert torch.allclose(found, tensor.flatten().float(), atol=10 * TOLERANCE), name
        assert here == there  # to the last bit: else they would part in what they decide


@pytest.mark.campaign
def test_muon_whitening_and_smaller_images_go_together_with_two_devices(
    recipe: Recipe, prepared: Path
) -> None:
    settings = recipe(ALL, epochs=2)
    alone = train("alone", settings, prepared / settings.data_key())
    shared = train_on_devices(
        "shared", settings.model_copy(update={"devices": 2}), prepared / settings.data_key()
    )
    assert furthest(shared.curves[:1], alone.curves[:1]) < 0.01  # its steps blow up differences of last bits
    assert shared.results.keys() == alone.results.keys()
    assert shared.timing.keys() == alone.timing.keys()
    assert shared.model.state_dict().keys() == alone.model.state_dict().keys()
    assert shared.results["fingerprint"] != alone.results["fingerprint"]
    assert shared.results["parameters"] == alone.results["parameters"]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A group of one process: the sums over all are its own."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield Share(0, 1)
    dist.destroy_process_group()


def test_the_norm_of_all_is_batch_normalisation(alone: Share) -> None:
    images = torch.randn(6, 3, 4, 5, requires_grad=True)
    copied = images.detach().clone().requires_grad_()
    norm, own = nn.BatchNorm2d(3, eps=1e-3, momentum=0.3), nn.BatchNorm2d(3, eps=1e-3, momentum=0.3)
    for layer in (norm, own):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([1.0, 2.0, -1.0]))
    alone.total = 6
    ours = BatchNormOfAll(own, alone)
    for _ in range(2):
        expected, found = norm(images), ours(copied)
        expected.cos().sum().backward()
        found.cos().sum().backward()
        assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(copied.grad, images.grad, atol=1e-6)
    assert torch.allclose(ours.weight.grad, norm.weight.grad, atol=1e-5)
    for one, other in zip(ours.state_dict().values(), norm.state_dict().values(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    ours.eval()
    norm.eval()
    assert torch.allclose(ours(images), norm(images), atol=1e-6)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_dropout_of_all_drops_what_one_process_drops(order: torch.memory_format) -> None:
    images = torch.randn(7, 3, 4, 5).contiguous(memory_format=order)
    torch.manual_seed(3)
    whole = nn.Dropout(0.4)(images)
    parts = []
    for rank in range(3):
        torch.manual_seed(3)
        share = Share(rank, 3, 7)
        parts.append(DropoutOfAll(0.4, share)(images[share.own]))
    assert torch.equal(torch.cat(parts), whole)
    assert [len(part) for part in parts] == [2, 2, 3]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"devices": 0}, "greater than or equal to 1"),
        ({"devices": 17, "batch_size": 64}, "less than or equal to 16"),
        ({"devices": 5, "batch_size": 4}, r"found 5; allowed: no more than the 4 images of a batch"),
        ({"devices": 2, "compile": True}, r"found True; allowed: false with several devices"),
        ({"devices": 2, "engine": "numpy"}, "numpy"),
    ],
)
def test_what_does_not_go_with_several_devices_is_refused(
    changes: dict[str, Any], said: str, recipe: Recipe
) -> None:
    with pytest.raises(ValidationError, match=said):
        recipe(changes)


def test_more_devices_than_there_are_is_refused_before_any_training(
    recipe: Recipe, sweep: Make, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    with pytest.raises(InputError, match="devices: found 5, but this machine has 4 cores; allowed: 1 to 4"):
        Trainings("s", sweep({"devices": 1}, {"devices": 5}), prepared, tmp_path).run()
    assert not any(tmp_path.iterdir())
    require_devices(recipe(devices=2, threads=2))
    with pytest.raises(InputError, match="found 3, but this machine has 2 processes of 2 threads"):
        require_devices(recipe(devices=3, threads=2))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(InputError, match=r"devices: found 2, but this machine has 1 GPUs; allowed: 1$"):
        require_devices(recipe(devices=2, device="cuda"))


def test_several_devices_depend_on_their_code_and_one_device_does_not(recipe: Recipe) -> None:
    one, two = (set(identity("train", recipe(devices=devices))) for devices in (1, 2))
    assert one < two
    assert {"train.distributed.network", "train.distributed.layers"} <= two
    assert not any("distributed" in name for name in one)
    assert "devices" not in recipe(devices=1).model_dump(exclude_defaults=True)


def test_a_training_resumes_with_another_number_of_devices(
    recipe: Recipe, sweep: Make, prepared: Path, tmp_path: Path
) -> None:
    (two,) = Trainings("digits", recipe(devices=2), prepared, tmp_path).jobs
    (one,) = Trainings("digits", recipe(), prepared, tmp_path).jobs
    assert two.key in one.elsewhere
    assert one.key in two.elsewhere
    both = Trainings("s", sweep({"devices": 1}, {"devices": 2}), prepared, tmp_path).jobs
    assert not {job.key for job in both} & {key for job in both for key in job.elsewhere}

    ledger = Ledger(tmp_path)
    files.write_text(ledger.checkpoints(two.key) / "000002-00000000-a.safetensors", "begun")
    ledger.take_over(one.key, one.elsewhere)
    assert [path.read_text() for path in ledger.checkpoints(one.key).iterdir()] == ["begun"]
    files.write_text(ledger.checkpoints(two.key) / "000001-00000000-b.safetensors", "older")
    ledger.take_over(one.key, one.elsewhere)  # it has its own now
    assert [path.read_text() for path in ledger.checkpoints(one.key).iterdir()] == ["begun"]

    held = Lock.exclusive(ledger.checkpoints(one.key).parent / TRAINING)  # another process is at it
    assert held
    shutil.rmtree(ledger.checkpoints(two.key))
    ledger.take_over(two.key, two.elsewhere)
    assert list(ledger.checkpoints(one.key).iterdir())
    held.release()
    ledger.take_over(two.key, two.elsewhere)
    assert not ledger.checkpoints(one.key).exists()
