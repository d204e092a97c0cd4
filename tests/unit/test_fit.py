import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from convlab.data.preprocess import Prepared, Split
from convlab.errors import InputError
from convlab.progress import Reporter
from convlab.schema import Constant, EarlyStopping, Experiment, Plateau
from convlab.train import device as devices
from convlab.train.device import Stopwatch, prepare_process, select_device, select_precision
from convlab.train.fit import Diverged, History, fit
from convlab.train.inference import logits_of, score
from convlab.train.loader import in_order, shuffled
from convlab.train.optim import BestWeights, Schedule, build_optimizer, l2_penalty
from convlab.train.run import build_model, fingerprint_of, train, weight_norm

CPU = torch.device("cpu")
Recipe = Callable[..., Experiment]


def first(split: Split, count: int) -> Split:
    return Split(split.images[:count], split.labels[:count])


def run(
    recipe: Experiment,
    digits: Prepared,
    training: Split | None = None,
    validation: Split | None = None,
    on_step: Callable[[int], None] = lambda images: None,
    on_epoch: Callable[[History], None] = lambda history: None,
) -> tuple[nn.Module, History]:
    model = build_model(recipe, [1, 8, 8], 10)
    history = fit(
        model,
        training or digits.train,
        validation or digits.validation,
        digits.statistics.transform(),
        recipe,
        CPU,
        on_step,
        on_epoch,
    )
    return model, history


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# --------------------------------------------------------------------------------------------------- learning


def test_it_learns_the_digits(recipe: Recipe, digits: Prepared) -> None:
    _, history = run(recipe(epochs=4, lr=0.005), digits)
    assert history.records[-1]["validation_accuracy"] > 0.9
    assert history.records[-1]["train_loss"] < history.records[0]["train_loss"]


def test_the_history_has_a_row_an_epoch(recipe: Recipe, digits: Prepared) -> None:
    _, history = run(recipe(epochs=3), digits)
    assert [record["epoch"] for record in history.records] == [1, 2, 3]
    assert list(history.records[0]) == [
        "epoch",
        "lr",
        "train_loss",
        "train_accuracy",
        "validation_loss",
        "validation_accuracy",
    ]
    for training, whole in zip(history.training_seconds, history.epoch_seconds, strict=True):
        assert 0 < training < whole
    assert history.device_seconds == []  # no GPU


def test_two_runs_are_equal_to_the_last_bit_whatever_the_global_generator_holds(
    recipe: Recipe, digits: Prepared
) -> None:
    torch.manual_seed(1)
    one, history = run(recipe(), digits)
    torch.manual_seed(2)
    torch.rand(3)
    other, again = run(recipe(), digits)
    assert same(one, other)
    assert history.records == again.records


def test_another_seed_gives_another_network(recipe: Recipe, digits: Prepared) -> None:
    assert not same(run(recipe(seed=1, epochs=1), digits)[0], run(recipe(seed=2, epochs=1), digits)[0])


def test_an_epoch_does_not_depend_on_how_many_follow(recipe: Recipe, digits: Prepared) -> None:
    assert run(recipe(epochs=1), digits)[1].records == run(recipe(epochs=2), digits)[1].records[:1]


@pytest.mark.parametrize(
    ("images", "steps"), [(65, [64, 1]), (128, [64, 64]), (130, [64, 64, 2]), (10, [10]), (1, [1])]
)
def test_the_last_batch_of_what_is_left_over_is_trained_on(
    recipe: Recipe, digits: Prepared, images: int, steps: list[int]
) -> None:
    seen: list[int] = []
    recipe_of_one = recipe(epochs=1)
    model, _ = run(recipe_of_one, digits, first(digits.train, images), on_step=seen.append)
    assert seen == steps
    assert not same(model, build_model(recipe_of_one, [1, 8, 8], 10))


def test_callbacks_see_the_history_so_far_at_each_epochs_end(recipe: Recipe, digits: Prepared) -> None:
    seen: list[tuple[int, int]] = []
    small = first(digits.train, 64)
    run(recipe(epochs=3), digits, small, on_epoch=lambda h: seen.append((len(h.records), h.best_epoch)))
    assert [count for count, _ in seen] == [1, 2, 3]
    assert all(1 <= best <= count for count, best in seen)


def test_the_training_loss_is_the_mean_over_images_and_not_over_batches(
    recipe: Recipe, digits: Prepared
) -> None:
    # With a rate of next to nothing and no dropout, every batch is scored by the initial weights.
    still = recipe({"model.dropout": 0.0}, epochs=1, lr=1e-30, batch_size=100)
    training = first(digits.train, 130)
    _, history = run(still, digits, training)
    model = build_model(still, [1, 8, 8], 10).train()
    losses, correct = [], 0
    for images, labels in shuffled(training, 100, still.seed, 1):
        logits = model(digits.statistics.transform()(images))
        losses += nn.functional.cross_entropy(logits, labels, reduction="none").tolist()
        correct += (logits.argmax(1) == labels).sum().item()
    assert history.records[0]["train_loss"] == pytest.approx(sum(losses) / 130, rel=1e-5)
    assert history.records[0]["train_accuracy"] == correct / 130


# --------------------------------------------------------------------------- the best epoch, and when to stop


@pytest.fixture
def hopeless(digits: Prepared) -> Split:
    """A validation split with random labels: the better a network learns, the worse it does on it."""
    labels = torch.randint(0, 10, digits.validation.labels.shape, generator=torch.Generator().manual_seed(0))
    return Split(digits.validation.images, labels)


def test_early_stopping_ends_after_its_patience_and_restores_the_best_epochs_weights(
    recipe: Recipe, digits: Prepared, hopeless: Split
) -> None:
    stopping = recipe({"early_stopping": {"patience": 2}}, epochs=20, lr=0.005)
    model, history = run(stopping, digits, validation=hopeless)
    losses = [record["validation_loss"] for record in history.records]
    assert history.best_epoch == losses.index(min(losses)) + 1
    assert len(losses) == history.best_epoch + 2 < 20
    logits = logits_of(model, hopeless, digits.statistics.transform(), "fp32")
    assert score(logits, hopeless.labels)[0] == min(losses)


def test_without_early_stopping_it_trains_to_the_end_and_restores_the_best_all_the_same(
    recipe: Recipe, digits: Prepared, hopeless: Split
) -> None:
    to_the_end = recipe({"early_stopping": None}, epochs=6, lr=0.005)
    model, history = run(to_the_end, digits, validation=hopeless)
    losses = [record["validation_loss"] for record in history.records]
    assert len(losses) == 6
    assert history.best_epoch == losses.index(min(losses)) + 1 < 6
    best, _ = run(
        recipe({"early_stopping": None}, epochs=history.best_epoch, lr=0.005), digits, None, hopeless
    )
    assert same(model, best)


def test_of_equal_epochs_the_first_is_the_best() -> None:
    model = nn.Linear(1, 1)
    best = BestWeights(EarlyStopping(patience=2))
    assert [best.update(epoch, 0.5, model) for epoch in (1, 2, 3)] == [False, False, True]
    assert best.epoch == 1


def test_the_best_weights_are_a_copy() -> None:
    model = nn.Linear(1, 1)
    best = BestWeights(None)
    best.update(1, 0.5, model)
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    best.update(2, 0.6, model)
    best.restore(model)
    assert torch.equal(model.weight, before)


# ------------------------------------------------------------------------------------------ the learning rate


def rates(settings: Plateau | Constant, losses: list[float]) -> list[float]:
    """The rate in force in each epoch, when validation gives these losses."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = Schedule(optimizer, settings)
    found = []
    for loss in losses:
        found.append(schedule.lr)
        optimizer.step()
        schedule.step(loss)
    return [*found, schedule.lr]


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_a_plateau_reduces_the_rate_at_the_nth_epoch_without_a_better_loss(patience: int) -> None:
    plateau = Plateau(name="plateau", factor=0.5, patience=patience)
    found = rates(plateau, [1.0] + [2.0] * (2 * patience))
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
def test_better_means_lower_by_a_ten_thousandth(losses: list[float], last: float) -> None:
    assert rates(Plateau(name="plateau", factor=0.5, patience=2), losses)[-1] == last


def test_a_constant_rate_stays() -> None:
    assert rates(Constant(name="constant"), [1.0, 2.0, 3.0, 4.0]) == [1.0] * 5


def test_training_uses_the_schedule_and_records_the_rate_of_each_epoch(
    recipe: Recipe, digits: Prepared, hopeless: Split
) -> None:
    plateau = recipe({"schedule": {"name": "plateau", "factor": 0.1, "patience": 1}}, epochs=6, lr=0.01)
    _, history = run(plateau, digits, validation=hopeless)
    expected = rates(plateau.schedule, [record["validation_loss"] for record in history.records])[:-1]
    assert [record["lr"] for record in history.records] == pytest.approx([0.01 * rate for rate in expected])
    assert len(set(expected)) > 1


def test_adam_gets_its_settings(recipe: Recipe) -> None:
    adam = recipe({"optimizer": {"betas": [0.8, 0.99], "eps": 1e-3}}, lr=0.5)
    (group,) = build_optimizer(nn.Linear(1, 1), adam).param_groups
    assert (group["lr"], group["betas"], group["eps"]) == (0.5, (0.8, 0.99), 1e-3)
    assert group["weight_decay"] == 0


# ------------------------------------------------------------------------------------------------ L2, failure


def test_the_l2_penalty_is_lambda_times_the_sum_of_squares() -> None:
    kernels = [torch.full((2, 3), 2.0), torch.full((4,), -1.0)]
    assert l2_penalty(kernels, 0.1).item() == pytest.approx(0.1 * (6 * 4 + 4))


def test_the_l2_penalty_pulls_each_kernel_by_twice_lambda() -> None:
    kernel = nn.Parameter(torch.tensor([3.0, -2.0]))
    l2_penalty([kernel], 0.25).backward()
    assert kernel.grad is not None
    assert kernel.grad.tolist() == [1.5, -1.0]


def test_an_l2_penalty_lowers_the_weight_norm(recipe: Recipe, digits: Prepared) -> None:
    plain, strong = (run(recipe(l2=strength), digits)[0] for strength in (0.0, 0.05))
    assert weight_norm(strong) < 0.9 * weight_norm(plain)


def test_the_recorded_losses_are_without_the_penalty(recipe: Recipe, digits: Prepared) -> None:
    # at next to no rate the weights stay as they are
    plain, strong = (run(recipe(l2=strength, lr=1e-30, epochs=1), digits)[1] for strength in (0.0, 0.05))
    assert strong.records == plain.records


@pytest.mark.parametrize(("lr", "precision"), [(1e30, "fp32"), (1e30, "bf16")])
def test_a_loss_that_is_no_number_ends_the_training_and_says_where(
    recipe: Recipe, digits: Prepared, lr: float, precision: str
) -> None:
    with pytest.raises(Diverged, match=r"in epoch 1 at lr 1e\+30 .* try a lower lr, or precision: fp32"):
        run(recipe(lr=lr, precision=precision), digits, first(digits.train, 128))


def test_a_validation_loss_that_is_no_number_counts_too(recipe: Recipe, digits: Prepared) -> None:
    nowhere = digits.validation.images.new_zeros(0, 1, 8, 8)
    empty = Split(nowhere, digits.validation.labels[:0])
    with pytest.raises(Diverged, match="the validation loss nan"):
        run(recipe(epochs=1), digits, first(digits.train, 64), empty)


# ------------------------------------------------------------------------------------------------ the batches


def order(split: Split, seed: int, epoch: int, batch_size: int = 64) -> list[int]:
    numbered = Split(torch.arange(len(split.labels)).view(-1, 1), split.labels)
    return [
        number
        for images, _ in shuffled(numbered, batch_size, seed, epoch)
        for number in images[:, 0].tolist()
    ]


def test_an_epoch_is_a_permutation_that_depends_on_the_seed_and_the_epoch_alone(digits: Prepared) -> None:
    torch.manual_seed(1)
    once = order(digits.train, seed=1, epoch=1)
    torch.manual_seed(2)
    assert order(digits.train, seed=1, epoch=1) == once
    assert order(digits.train, seed=1, epoch=1, batch_size=7) == once
    assert sorted(once) == list(range(len(digits.train.labels)))
    assert once != order(digits.train, seed=1, epoch=2)
    assert once != order(digits.train, seed=2, epoch=1)
    assert once != sorted(once)


def test_images_keep_their_labels(digits: Prepared) -> None:
    labels = digits.train.labels
    numbered = Split(torch.arange(len(labels)).view(-1, 1), labels)
    for images, found in shuffled(numbered, 50, 1, 1):
        assert torch.equal(found, labels[images[:, 0]])


def test_in_order_goes_from_first_to_last(digits: Prepared) -> None:
    batches = list(in_order(digits.test, 100))
    assert [len(labels) for _, labels in batches] == [100, 100, 100, 60]
    assert torch.equal(torch.cat([images for images, _ in batches]), digits.test.images)


# ------------------------------------------------------------------------------- inference, device, precision


def test_logits_do_not_depend_on_the_mode_and_come_in_the_splits_order(
    recipe: Recipe, digits: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(recipe({"model.dropout": 0.9}), [1, 8, 8], 10).train()
    transform = digits.statistics.transform()
    whole = logits_of(model, digits.test, transform, "fp32")
    model.train()
    monkeypatch.setattr("convlab.train.inference.BATCH", 50)
    torch.testing.assert_close(logits_of(model, digits.test, transform, "fp32"), whole)
    alone = logits_of(model, Split(digits.test.images[7:8], digits.test.labels[7:8]), transform, "fp32")
    torch.testing.assert_close(alone, whole[7:8])
    assert not whole.requires_grad


def test_a_score_is_the_mean_cross_entropy_in_nats_and_the_share_that_is_right() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])
    loss, accuracy = score(logits, torch.tensor([1, 1]))
    assert loss == pytest.approx((-math.log(0.75) - math.log(0.5)) / 2)
    assert accuracy == 0.5


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none_is_an_input_error_and_auto_is_the_cpu() -> None:
    with pytest.raises(InputError, match=r"device: found 'cuda', .*; allowed: auto, cpu"):
        select_device("cuda")
    assert select_device("auto") == CPU
    assert select_device("cpu") == CPU


def test_precision_is_what_is_asked_for_and_auto_is_one_of_them() -> None:
    assert select_precision("fp32", CPU) == "fp32"
    assert select_precision("bf16", CPU) == "bf16"
    assert select_precision("auto", CPU) in ("fp32", "bf16")


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this CPU has no bfloat16")
def test_bf16_trains_nearly_as_fp32_and_keeps_its_weights_in_fp32(recipe: Recipe, digits: Prepared) -> None:
    _, full = run(recipe(precision="fp32"), digits)
    model, half = run(recipe(precision="bf16"), digits)
    assert half.records != full.records
    for one, other in zip(half.records, full.records, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=0.05)
        assert one["validation_accuracy"] == pytest.approx(other["validation_accuracy"], abs=0.05)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_process_gets_the_threads_that_are_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        prepare_process(1, deterministic=False)
        assert torch.get_num_threads() == 1
        prepare_process(None, deterministic=True)
        assert torch.get_num_threads() == devices.ALL_THREADS
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        prepare_process(before, deterministic=False)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_stopwatch_on_the_cpu_knows_the_wall_clock_alone() -> None:
    stopwatch = Stopwatch(CPU)
    first_stop, device_seconds = stopwatch.stop()
    assert 0 <= first_stop <= stopwatch.stop()[0]
    assert device_seconds is None


# ------------------------------------------------------------------------------------------- a whole training


@pytest.fixture
def folder(prepared: Path, recipe: Recipe) -> Path:
    return prepared / recipe().data_key()


def test_the_test_split_is_never_read_by_training(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    blind = tmp_path / "blind"
    shutil.copytree(folder, blind)
    (blind / "test.safetensors").unlink()
    seeing, unseeing = train("seeing", recipe(), folder), train("unseeing", recipe(), blind)
    assert same(seeing.model, unseeing.model)
    assert seeing.results == unseeing.results
    assert seeing.curves == unseeing.curves


def test_the_results_say_what_was_trained_and_how_it_ended(
    recipe: Recipe, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = train("digits", recipe(), folder)
    best = trained.curves[trained.results["best_epoch"] - 1]
    assert trained.results["epochs"] == len(trained.curves) == 2
    assert trained.results["validation_loss"] == best["validation_loss"]
    assert trained.results["validation_accuracy"] == best["validation_accuracy"]
    assert trained.results["fingerprint"] == trained.timing["fingerprint"] == fingerprint_of(recipe(), folder)
    assert (trained.results["device"], trained.results["precision"]) == ("cpu", "fp32")
    assert len(trained.timing["epoch_seconds"]) == 2
    assert trained.timing["seconds"] == pytest.approx(sum(trained.timing["epoch_seconds"]))
    assert trained.timing["images_per_second"] > 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("digits epoch 1/2 · loss ")


def test_progress_off_a_terminal_is_a_plain_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter("digits", epochs=10, images=100, progress=None)
    reporter.step(50)
    record = {
        "epoch": 1,
        "lr": 0.001,
        "train_loss": 1.5,
        "train_accuracy": 0.5,
        "validation_loss": 1.25,
        "validation_accuracy": 0.625,
    }
    reporter.epoch(History([record], [1.0], [0.5]))
    line = capsys.readouterr().out
    assert line.startswith(
        "digits epoch  1/10 · loss 1.5000 / 1.2500 · accuracy  50.00% /  62.50% · lr 0.001 · 200 images/s · "
    )
    assert line.endswith(" left at most\n")


def test_dropout_draws_anew_each_epoch(recipe: Recipe, digits: Prepared) -> None:
    # On a single image at next to no rate, only dropout tells the epochs apart.
    still = recipe({"model.dropout": 0.5}, epochs=3, lr=1e-30)
    _, history = run(still, digits, first(digits.train, 1))
    assert len({record["train_loss"] for record in history.records}) == 3
