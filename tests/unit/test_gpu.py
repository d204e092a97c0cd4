"""What only a GPU can show; skipped where there is none. `pytest -m gpu` runs these alone."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_distributed import GENTLE, by_two, fitted, furthest
from test_recipes import ALL
from test_resume import RECIPES
from training import Recipe, run, same

from convlab.data.dataset import Prepared
from convlab.train.device import prepare_process
from convlab.train.fit import fit

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
GPU = torch.device("cuda")
ON_TORCH = [name for name, changes in RECIPES.items() if changes.get("engine") != "numpy"]


@pytest.fixture
def deterministic() -> Iterator[None]:
    prepare_process(None, deterministic=True)
    yield
    torch.use_deterministic_algorithms(False)


def test_a_training_is_as_on_the_cpu_but_for_rounding(recipe: Recipe, digits: Prepared) -> None:
    changes = {"model.dropout": 0.0, "epochs": 1}  # dropout draws from the device's own stream
    here, there = (run(recipe(changes), digits, device=device)[1] for device in (GPU, torch.device("cpu")))
    for key in ("train_loss", "validation_loss"):
        assert here.records[0][key] == pytest.approx(there.records[0][key], rel=0.01)


def test_its_time_is_taken_by_device_events_too(recipe: Recipe, digits: Prepared) -> None:
    history = run(recipe(), digits, device=GPU)[1]
    for device, wall in zip(history.device_seconds, history.epoch_seconds, strict=True):
        assert 0 < device <= 1.1 * wall


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("name", ON_TORCH)
def test_deterministic_gives_the_same_bits_twice(name: str, recipe: Recipe, digits: Prepared) -> None:
    changes = RECIPES[name] | {"deterministic": True}
    (one, first), (other, second) = (run(recipe(changes), digits, device=GPU) for _ in range(2))
    assert first.records == second.records
    assert same(one, other)


def test_two_processes_on_one_gpu_give_the_curve_of_one(
    recipe: Recipe, digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `SyncBatchNorm`; over gloo, as NCCL refuses two processes on one GPU."""
    monkeypatch.setenv("CONVLAB_EAGER", "1")
    settings = recipe(
        {**GENTLE, "model.dropout": 0.0}, epochs=3
    )  # dropout draws from the device's own stream
    here, there = by_two({"norm": settings}, digits, tmp_path, GPU)["norm"]
    assert here == there
    assert furthest(here["records"], fitted(settings, digits, fit, GPU)[1].records) < 0.01


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("name", ON_TORCH)
def test_a_step_as_a_graph_gives_the_same_bits_as_launched_kernel_by_kernel(
    name: str, recipe: Recipe, digits: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(RECIPES[name] | {"deterministic": True})
    one, first = run(settings, digits, device=GPU)
    monkeypatch.setenv("CONVLAB_EAGER", "1")
    other, second = run(settings, digits, device=GPU)
    assert first.records == second.records
    assert same(one, other)


def test_compiled_it_learns_the_same(recipe: Recipe, digits: Prepared) -> None:
    changes = {"model.dropout": 0.0}
    plain = run(recipe(changes), digits, device=GPU)[1].records[-1]
    compiled = run(recipe(changes | {"compile": True}), digits, device=GPU)[1].records[-1]
    assert compiled["train_loss"] == pytest.approx(plain["train_loss"], rel=0.02)


@pytest.mark.parametrize("changes", [{}, ALL], ids=["plain", "everything"])
def test_no_step_waits_for_the_device(changes: dict[str, Any], recipe: Recipe, digits: Prepared) -> None:
    waits: list[str] = []
    steps = 0

    def on_step(images: int) -> None:
        nonlocal steps
        steps += 1
        # From the end of the first step to the end of the tenth, all within an epoch
        torch.cuda.set_sync_debug_mode("warn" if steps < 10 else "default")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(recipe({**changes, "epochs": 1}), digits, device=GPU, on_step=on_step)
        waits = [str(one.message) for one in caught if "called a synchronizing" in str(one.message)]
    assert steps > 10
    assert waits == []
