from typing import Any

import pytest
import torch
from torch import nn
from training import Recipe

from convlab.schema import Experiment
from convlab.schema.training import EarlyStopping
from convlab.train.best import BestWeights
from convlab.train.optimizers.registry import build_optimizer
from convlab.train.penalty import l2_penalty
from convlab.train.schedules.registry import build_schedule
from convlab.train.schedules.schedule import Factor


def test_of_equal_epochs_the_first_is_the_best() -> None:
    model = nn.Linear(1, 1)
    best = BestWeights("lowest_loss", EarlyStopping(patience=2))
    assert [best.update(epoch, 0.5, 0.9, model) for epoch in (1, 2, 3)] == [False, False, True]
    assert best.epoch == 1


def test_the_best_weights_are_a_copy() -> None:
    model = nn.Linear(1, 1)
    best = BestWeights("lowest_loss", None)
    best.update(1, 0.5, 0.9, model)
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    best.update(2, 0.6, 0.9, model)
    best.restore(model)
    assert torch.equal(model.weight, before)


def optimizer_of(recipe: Experiment) -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.lr)


def factor(recipe: Experiment) -> Factor:
    """The factor of the rate, a function of time."""
    return build_schedule(optimizer_of(recipe), recipe).factor


def rates(recipe: Experiment, losses: list[float]) -> list[float]:
    """The rate in force in each epoch, when validation gives these losses."""
    optimizer = optimizer_of(recipe)
    schedule = build_schedule(optimizer, recipe)
    found = []
    for epoch, loss in enumerate(losses):
        schedule.begin_step(epoch)
        found.append(schedule.lr)
        optimizer.step()
        schedule.end_epoch(loss)
    schedule.begin_step(len(losses))
    return [*found, schedule.lr]


def plateau(patience: int) -> dict[str, Any]:
    return {"name": "plateau", "factor": 0.5, "patience": patience}


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_a_plateau_reduces_the_rate_at_the_nth_epoch_without_a_better_loss(
    recipe: Recipe, patience: int
) -> None:
    found = rates(recipe(schedule=plateau(patience), lr=1.0), [1.0] + [2.0] * (2 * patience))
    assert found == [1.0] * (1 + patience) + [0.5] * patience + [0.25]


@pytest.mark.parametrize(
    ("losses", "last"),
    [
        ([1.0, 0.9, 0.8, 0.7, 0.6], 1.0),  # better each time
        ([1.0, 1.1, 0.9, 1.0, 0.8], 1.0),  # one bad epoch at a time
        ([1.0, 1.1, 1.2, 0.5, 0.4], 0.5),
        ([1.0, 1.0 - 0.9e-4, 1.0 - 0.95e-4], 0.5),  # better by less than 1e-4 is not better
        ([1.0, 1.0 - 1.1e-4, 1.0 - 2.2e-4], 1.0),
        ([0.1, 0.1 - 0.9e-4, 0.1 - 0.95e-4], 0.5),  # whatever the loss itself is
    ],
)
def test_better_means_lower_by_a_ten_thousandth(recipe: Recipe, losses: list[float], last: float) -> None:
    assert rates(recipe(schedule=plateau(2), lr=1.0), losses)[-1] == last


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"name": "constant"}, [1, 1, 1, 1, 1, 1, 1]),
        ({"name": "step", "every": 2, "factor": 0.5}, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]),
        ({"name": "multistep", "milestones": [3, 6], "factor": 0.1}, [1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]),
        ({"name": "cosine", "warmup": 0}, [1, 0.933, 0.75, 0.5, 0.25, 0.067, 0]),
        ({"name": "cosine", "warmup": 2}, [0, 0.5, 1, 0.854, 0.5, 0.146, 0]),
        ({"name": "one_cycle", "warmup": 0.5}, [0.04, 0.36, 0.68, 1, 0.75, 0.25, 0]),
    ],
)
def test_the_rate_at_the_beginning_of_each_epoch(
    recipe: Recipe, schedule: dict[str, Any], expected: list[float]
) -> None:
    found = rates(recipe(schedule=schedule, epochs=6, lr=2.0), [1.0] * 6)
    assert [rate / 2 for rate in found] == pytest.approx(expected, abs=5e-4)


def test_a_cosine_moves_within_an_epoch_and_a_step_does_not(recipe: Recipe) -> None:
    cosine = factor(recipe(schedule={"name": "cosine", "warmup": 1}, epochs=10))
    assert 0 < cosine(0.25) < cosine(0.5) < cosine(0.75) < cosine(1.0) == 1
    step = factor(recipe(schedule={"name": "step", "every": 1, "factor": 0.5}, epochs=10))
    assert step(1.0) == step(1.999) == 0.5


def test_one_cycle_is_pytorchs_but_for_the_end(recipe: Recipe) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=101, pct_start=0.3, anneal_strategy="cos", final_div_factor=1e9
    )
    ours = factor(recipe(schedule={"name": "one_cycle", "warmup": 0.3}, epochs=10))
    for step in range(100):
        time = step / 10
        if time >= 3:  # before it PyTorch rises along a cosine, ours along a line
            assert ours(time) == pytest.approx(optimizer.param_groups[0]["lr"], abs=0.015)
        optimizer.step()
        theirs.step()


def test_adam_gets_its_settings(recipe: Recipe) -> None:
    adam = recipe({"optimizer": {"betas": [0.8, 0.99], "eps": 1e-3}}, lr=0.5)
    (group,) = build_optimizer(nn.Linear(1, 1), adam).param_groups
    assert (group["lr"], group["betas"], group["eps"]) == (0.5, (0.8, 0.99), 1e-3)
    assert group["weight_decay"] == 0


def test_the_l2_penalty_is_lambda_times_the_sum_of_squares() -> None:
    kernels = [torch.full((2, 3), 2.0), torch.full((4,), -1.0)]
    assert l2_penalty(kernels, 0.1).item() == pytest.approx(0.1 * (6 * 4 + 4))


def test_the_l2_penalty_pulls_each_kernel_by_twice_lambda() -> None:
    kernel = nn.Parameter(torch.tensor([3.0, -2.0]))
    l2_penalty([kernel], 0.25).backward()
    assert kernel.grad is not None
    assert kernel.grad.tolist() == [1.5, -1.0]


@pytest.mark.parametrize(("keep", "epoch"), [("lowest_loss", 2), ("highest_accuracy", 3), ("last", 4)])
def test_the_epoch_that_is_kept(keep: str, epoch: int) -> None:
    model = nn.Linear(1, 1)
    best = BestWeights(keep, EarlyStopping(patience=2))
    history = [(0.5, 0.7), (0.3, 0.8), (0.4, 0.9), (0.5, 0.9)]
    weights, stops = [], []
    for number, (loss, accuracy) in enumerate(history, start=1):
        with torch.no_grad():
            model.weight += 1
        weights.append(model.weight.detach().clone())
        stops.append(best.update(number, loss, accuracy, model))
    assert stops == [False, False, False, True], "early stopping watches the loss, whatever is kept"
    best.restore(model)
    assert best.epoch == epoch
    assert torch.equal(model.weight, weights[epoch - 1])


@pytest.mark.parametrize(
    ("settings", "family"),
    [
        ({"name": "adam", "betas": [0.9, 0.999], "eps": 1e-8}, torch.optim.Adam),
        ({"name": "adamw", "betas": [0.9, 0.999], "eps": 1e-8}, torch.optim.AdamW),
        ({"name": "sgd", "momentum": 0.9, "nesterov": True, "decoupled": False}, torch.optim.SGD),
        ({"name": "sgd", "momentum": 0.0, "nesterov": False, "decoupled": False}, torch.optim.SGD),
    ],
)
def test_each_optimiser_takes_the_step_of_pytorchs_own(
    recipe: Recipe, settings: dict[str, Any], family: Any
) -> None:
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    made = build_optimizer(ours, recipe(optimizer=settings, lr=0.1, weight_decay=0.01))
    plain = family(
        theirs.parameters(),
        lr=0.1,
        weight_decay=0.01,
        **{k: v for k, v in settings.items() if k not in ("name", "decoupled")},
    )
    assert type(made) is family
    for _ in range(3):
        for model, optimizer in ((ours, made), (theirs, plain)):
            optimizer.zero_grad()
            model(torch.ones(1, 3)).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def decoupled(momentum: float, nesterov: bool, on: bool = True) -> dict[str, Any]:
    return {"name": "sgd", "momentum": momentum, "nesterov": nesterov, "decoupled": on}


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_decoupled_decay_takes_lr_times_lambda_of_the_weight_apart_from_the_momentum(
    recipe: Recipe, momentum: float, nesterov: bool
) -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    model = nn.ParameterList([weight])
    optimizer = build_optimizer(
        model, recipe(optimizer=decoupled(momentum, nesterov), lr=0.1, weight_decay=0.5)
    )
    expected, velocity = weight.detach().clone(), torch.zeros(2)
    for step in range(4):
        gradient = torch.tensor([0.3, -0.7]) * (step + 1)
        weight.grad = gradient.clone()
        rate = optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)  # as a schedule does
        optimizer.step()
        velocity = momentum * velocity + gradient
        update = gradient + momentum * velocity if nesterov else velocity
        expected = expected - rate * 0.5 * expected - rate * update
    torch.testing.assert_close(weight.detach(), expected)


def test_without_decay_decoupled_or_not_is_the_same_to_the_last_bit(recipe: Recipe) -> None:
    weights = []
    for on in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = build_optimizer(model, recipe(optimizer=decoupled(0.9, True, on), lr=0.1))
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(1, 3)).square().sum().backward()
            optimizer.step()
        weights.append(model.weight.detach())
    assert torch.equal(*weights)


def test_weight_decay_is_decoupled_in_adamw_alone(recipe: Recipe) -> None:
    moved = {}
    for name in ("adam", "adamw"):
        model = nn.Linear(1, 1, bias=False)
        nn.init.constant_(model.weight, 1.0)
        settings = {"name": name, "betas": [0.9, 0.999], "eps": 1e-8}
        optimizer = build_optimizer(model, recipe(optimizer=settings, lr=0.1, weight_decay=0.5))
        model.weight.grad = torch.zeros(1, 1)
        optimizer.step()
        moved[name] = 1 - model.weight.item()
    assert moved["adamw"] == pytest.approx(0.1 * 0.5)  # lr · decay · weight
    assert moved["adam"] == pytest.approx(0.1, rel=1e-3)  # the decay as a gradient, which Adam normalises
