"""Muon against its definition, and against PyTorch's own, which takes matrices alone."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training import Recipe

from convlab.train.optimizers.muon import Muon, orthogonalised
from convlab.train.optimizers.registry import build_optimizer
from convlab.train.schedules.registry import build_schedule

MUON: dict[str, Any] = {
    "name": "muon",
    "momentum": 0.95,
    "nesterov": True,
    "adamw": {"lr": 0.002, "betas": [0.9, 0.99], "eps": 1e-8},
}
KERNELS = ("0.weight", "1.weight")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    tall, wide = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 8, 2)  # 16 × 9 and 8 × 64 as matrices
    return nn.Sequential(tall, wide, nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 10))


def backward(model: nn.Module, seed: int) -> None:
    images = torch.randn(16, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    model.zero_grad()
    model(images).square().mean().backward()


def gaussian(rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("rows", "columns"), [(16, 144), (144, 16), (32, 32), (1, 9), (9, 1)])
def test_an_orthogonalised_matrix_is_nearly_semi_orthogonal(
    rows: int, columns: int, dtype: torch.dtype
) -> None:
    given = 1e-3 * gaussian(rows, columns)
    found = orthogonalised(given.to(dtype)).float()
    left, _, right = torch.linalg.svd(given, full_matrices=False)
    seen = left.T @ found @ right.T  # its singular vectors stay: this is diagonal
    assert (seen - seen.diag().diag()).abs().max() < (1e-3 if dtype == torch.float32 else 0.1)
    values = torch.linalg.svdvals(found)
    # the smallest singular value of a random square matrix is too near 0 for five steps
    usual = values[: -rows // 4] if rows == columns else values
    assert 0.6 < usual.min() <= values.max() < 1.3


def test_no_gradient_is_no_update_and_no_nan() -> None:
    assert torch.equal(orthogonalised(torch.zeros(4, 9)), torch.zeros(4, 9))


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_a_kernel_takes_the_steps_of_pytorchs_muon_on_its_matrix(
    recipe: Recipe, nesterov: bool, memory: torch.memory_format
) -> None:
    model = network().to(memory_format=memory)  # type: ignore[call-overload]
    kernels = [model[0].weight, model[1].weight]
    flat = [nn.Parameter(kernel.detach().flatten(1).clone()) for kernel in kernels]
    before = [matrix.detach().clone() for matrix in flat]
    theirs = torch.optim.Muon(flat, lr=0.1, weight_decay=0.05, momentum=0.95, nesterov=nesterov)
    settings = {**MUON, "nesterov": nesterov}
    ours = build_optimizer(model, recipe(optimizer=settings, lr=0.1, weight_decay=0.05))
    for seed in range(3):
        backward(model, seed)
        for matrix, kernel in zip(flat, kernels, strict=True):
            matrix.grad = kernel.grad.flatten(1).clone()  # type: ignore[union-attr,operator]
        ours.step()
        theirs.step()
    for matrix, kernel, start in zip(flat, kernels, before, strict=True):
        # theirs computes in bfloat16
        torch.testing.assert_close(kernel.detach().flatten(1), matrix.detach(), atol=1e-2, rtol=0)
        assert (matrix.detach() - start).abs().max() > 0.05


def test_everything_but_convolutions_takes_adamws_steps_at_its_own_rate(recipe: Recipe) -> None:
    model, other = network(), network()
    ours = build_optimizer(model, recipe(optimizer=MUON, lr=0.1, weight_decay=0.05))
    rest = [weight for name, weight in other.named_parameters() if name not in KERNELS]
    theirs = torch.optim.AdamW(rest, lr=0.002, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.05)
    for seed in range(3):
        backward(model, seed)
        for one, two in zip(model.parameters(), other.parameters(), strict=True):
            two.grad = one.grad.clone()  # type: ignore[union-attr]
        ours.step()
        theirs.step()
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        assert name in KERNELS or torch.allclose(one, two, atol=1e-6)


def test_the_schedule_sets_both_rates_in_their_proportion(recipe: Recipe) -> None:
    half = {"name": "step", "every": 1, "factor": 0.5}
    experiment = recipe(optimizer=MUON, lr=0.1, schedule=half, epochs=3)
    optimizer = build_optimizer(network(), experiment)
    schedule = build_schedule(optimizer, experiment)
    for epoch, factor in enumerate((1, 0.5, 0.25)):
        schedule.begin_step(epoch)
        assert [group["lr"] for group in optimizer.param_groups] == [0.1 * factor, 0.002 * factor]
        assert schedule.lr == 0.1 * factor
    assert isinstance(optimizer, Muon)
    assert optimizer.rest.param_groups[0]["lr"] == 0.0005, "what AdamW itself sees"


def test_a_plateau_reduces_both_rates(recipe: Recipe) -> None:
    plateau = {"name": "plateau", "factor": 0.5, "patience": 1}
    experiment = recipe(optimizer=MUON, lr=0.1, schedule=plateau)
    optimizer = build_optimizer(network(), experiment)
    schedule = build_schedule(optimizer, experiment)
    for loss in (1.0, 2.0):
        schedule.end_epoch(loss)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.001]


def test_weights_that_are_not_trained_are_left_alone(recipe: Recipe) -> None:
    model = network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    optimizer = build_optimizer(model, recipe(optimizer=MUON, lr=0.1, weight_decay=0.5))
    backward(model, 0)
    optimizer.step()
    assert torch.equal(model[0].weight, before)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_its_matrix_products_are_in_the_precision_of_the_experiment(
    recipe: Recipe, precision: str, dtype: torch.dtype
) -> None:
    optimizer = build_optimizer(network(), recipe(optimizer=MUON, precision=precision))
    assert isinstance(optimizer, Muon)
    assert optimizer.dtype is dtype
