"""The averages of weights against their definitions."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from training import Recipe, run, same

from convlab.data.dataset import Prepared
from convlab.schema.training import EMA, Lookahead
from convlab.train.averages.registry import build_average
from convlab.train.inference import logits_of, score


def number(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def move(model: nn.Linear, value: float) -> None:
    with torch.no_grad():
        model.weight += value


def value(model: nn.Module) -> float:
    return next(model.parameters()).item()


def test_no_average_is_the_model_itself() -> None:
    model = number(1.0)
    average = build_average(model, None)
    average.update()
    assert average.model is model
    assert value(model) == 1.0


def test_a_moving_average_is_the_one_computed_by_hand() -> None:
    model = number(1.0)
    average = build_average(model, EMA(name="ema", decay=0.9))
    expected = 1.0
    for step in (2.0, -5.0, 0.5):
        move(model, step)
        average.update()
        expected = 0.9 * expected + 0.1 * value(model)
    assert value(average.model) == pytest.approx(expected)
    assert value(model) == -1.5, "the weights that are trained stay as they are"


def test_a_moving_average_is_pytorchs_with_the_statistics_of_batch_normalisation() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    ours = build_average(model, EMA(name="ema", decay=0.7))
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.7), use_buffers=True)
    theirs.update_parameters(model)  # its first call copies
    for _ in range(3):
        model(torch.randn(8, 1, 5, 5))
        with torch.no_grad():
            model[0].weight += torch.randn_like(model[0].weight)
        ours.update()
        theirs.update_parameters(model)
    for key, expected in theirs.module.state_dict().items():
        if key != "1.num_batches_tracked":
            torch.testing.assert_close(ours.model.state_dict()[key], expected)


def test_lookahead_goes_back_every_k_steps_as_in_the_paper() -> None:
    model = number(1.0)
    average = build_average(model, Lookahead(name="lookahead", every=3, alpha=0.5))
    seen = []
    for _ in range(7):
        move(model, 2.0)
        average.update()
        seen.append((value(model), value(average.model)))
    # slow 1; fast 3, 5, 7 → slow 1 + (7 − 1) / 2 = 4; fast 6, 8, 10 → slow 7; fast 9
    assert seen == [(3, 1), (5, 1), (4, 4), (6, 4), (8, 4), (7, 7), (9, 7)]


def test_lookahead_takes_the_latest_statistics_along() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1))
    average = build_average(model, Lookahead(name="lookahead", every=2, alpha=0.5))
    for _ in range(2):
        model(torch.randn(8, 1, 5, 5))
        average.update()
    for ours, theirs in zip(average.model.buffers(), model.buffers(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("keep", ["lowest_loss", "last"])
@pytest.mark.parametrize(
    "settings", [{"name": "ema", "decay": 0.8}, {"name": "lookahead", "every": 5, "alpha": 0.5}]
)
def test_what_is_validated_is_what_is_kept(
    recipe: Recipe, digits: Prepared, settings: dict[str, object], keep: str
) -> None:
    model, history = run(recipe(average=settings, keep=keep, lr=0.005), digits)
    loss, accuracy = score(
        logits_of(model, digits.validation, digits.statistics.transform(), "fp32"), digits.validation.labels
    )
    best = history.records[history.best_epoch - 1]
    assert (loss, accuracy) == (best["validation_loss"], best["validation_accuracy"])


def test_a_moving_average_changes_nothing_about_the_training_itself(recipe: Recipe, digits: Prepared) -> None:
    plain, averaged = (
        run(recipe(average=settings), digits) for settings in (None, {"name": "ema", "decay": 0.5})
    )
    for key in ("train_loss", "train_accuracy"):
        assert [row[key] for row in averaged[1].records] == [row[key] for row in plain[1].records]
    assert not same(plain[0], averaged[0])


def test_a_moving_average_that_forgets_at_once_is_the_network_itself(
    recipe: Recipe, digits: Prepared
) -> None:
    plain, averaged = (
        run(recipe(average=settings, keep="last"), digits)[0]
        for settings in (None, {"name": "ema", "decay": 0.0})
    )
    for key, expected in plain.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(averaged.state_dict()[key], expected), key


def test_the_average_shares_no_memory_with_the_model() -> None:
    model = number(1.0)
    average = build_average(model, EMA(name="ema", decay=0.9))
    before = copy.deepcopy(average.model.state_dict())
    move(model, 5.0)
    assert average.model.state_dict() == before
