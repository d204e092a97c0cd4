import pytest
import torch
from torch import nn
from training import Recipe, first, run, same

from convlab.data.dataset import Prepared, Split
from convlab.models.build import build_model
from convlab.models.weights import kernel_norm, kernels_of, penalised
from convlab.schema import L2On
from convlab.train.history import Diverged
from convlab.train.inference import logits_of, score
from convlab.train.loader import shuffled


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
        "penalty",
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
    for images, labels, _ in shuffled(training, 100, still.seed, 1):
        logits = model(digits.statistics.transform()(images))
        losses += nn.functional.cross_entropy(logits, labels, reduction="none").tolist()
        correct += (logits.argmax(1) == labels).sum().item()
    assert history.records[0]["train_loss"] == pytest.approx(sum(losses) / 130, rel=1e-5)
    assert history.records[0]["train_accuracy"] == correct / 130


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


def test_training_uses_the_schedule_and_records_the_rate_of_each_epoch(
    recipe: Recipe, digits: Prepared, hopeless: Split
) -> None:
    plateau = recipe({"schedule": {"name": "plateau", "factor": 0.1, "patience": 1}}, epochs=6, lr=0.01)
    _, history = run(plateau, digits, validation=hopeless)
    lowest, rate, expected = float("inf"), 0.01, []
    for record in history.records:
        expected.append(rate)
        rate *= 1 if record["validation_loss"] < lowest else 0.1
        lowest = min(lowest, record["validation_loss"])
    assert [record["lr"] for record in history.records] == pytest.approx(expected)
    assert len(set(expected)) > 1


def test_an_l2_penalty_lowers_the_kernel_norm(recipe: Recipe, digits: Prepared) -> None:
    plain, strong = (run(recipe(l2=strength), digits)[0] for strength in (0.0, 0.05))
    assert kernel_norm(strong) < 0.9 * kernel_norm(plain)


def test_the_recorded_losses_are_without_the_penalty(recipe: Recipe, digits: Prepared) -> None:
    # at next to no rate the weights stay as they are
    plain, strong = (run(recipe(l2=strength, lr=1e-30, epochs=1), digits)[1] for strength in (0.0, 0.05))
    penalties = [[record.pop("penalty") for record in history.records] for history in (plain, strong)]
    assert strong.records == plain.records
    squares = sum(kernel.square().sum().item() for kernel in kernels_of(build_model(recipe(), [1, 8, 8], 10)))
    assert penalties == [[0.0], [pytest.approx(0.05 * squares)]]


@pytest.mark.parametrize("l2_on", ["kernels", "kernels_and_biases"])
@pytest.mark.parametrize("average", [None, {"name": "ema", "decay": 0.9}])
def test_the_penalty_is_of_the_weights_that_are_validated(
    recipe: Recipe, digits: Prepared, l2_on: L2On, average: dict[str, object] | None
) -> None:
    settings = recipe(l2=0.01, l2_on=l2_on, average=average, keep="last")
    model, history = run(settings, digits, first(digits.train, 200))
    squares = sum(weight.double().square().sum().item() for weight in penalised(model, l2_on))
    assert history.records[-1]["penalty"] == pytest.approx(0.01 * squares, rel=1e-9)


def test_what_is_monitored_steers_the_plateau_the_early_stopping_and_the_epoch_that_is_kept(
    recipe: Recipe, digits: Prepared, hopeless: Split
) -> None:
    # From Keras' larger weights the penalty falls faster than the cross-entropy on random labels rises
    settings = {
        "schedule": {"name": "plateau", "factor": 0.5, "patience": 1},
        "early_stopping": {"patience": 2},
        "l2": 0.1,
        "lr": 0.005,
        "init": "keras",
    }
    kept, lengths = {}, {}
    for monitor in ("cross_entropy", "penalised_loss"):
        with_penalty = monitor == "penalised_loss"
        model, history = run(recipe(settings, epochs=6, monitor=monitor), digits, validation=hopeless)
        records = history.records
        monitored = [record["validation_loss"] + with_penalty * record["penalty"] for record in records]
        lowest, rate = float("inf"), 0.005
        for record, loss in zip(records, monitored, strict=True):
            assert record["lr"] == pytest.approx(rate)
            rate *= 1 if loss < lowest else 0.5
            lowest = min(lowest, loss)
        assert history.best_epoch == monitored.index(min(monitored)) + 1
        assert len(records) == min(6, history.best_epoch + 2)
        squares = sum(kernel.double().square().sum().item() for kernel in kernels_of(model))
        assert records[history.best_epoch - 1]["penalty"] == pytest.approx(0.1 * squares, rel=1e-9)
        kept[monitor], lengths[monitor] = history.best_epoch, len(records)
    assert kept["cross_entropy"] < kept["penalised_loss"]
    assert lengths["cross_entropy"] < lengths["penalised_loss"]


@pytest.mark.parametrize(("lr", "precision"), [(1e30, "fp32"), (1e30, "bf16")])
def test_a_nan_loss_ends_the_training_and_says_where(
    recipe: Recipe, digits: Prepared, lr: float, precision: str
) -> None:
    where = r"in epoch 1, step 2 of 2, at lr 1e\+30 the training loss is (nan|inf); try a lower lr, or "
    with pytest.raises(Diverged, match=where):
        run(recipe(lr=lr, precision=precision), digits, first(digits.train, 128))


def test_a_nan_validation_loss_counts_too(recipe: Recipe, digits: Prepared) -> None:
    nowhere = digits.validation.images.new_zeros(0, 1, 8, 8)
    empty = Split(nowhere, digits.validation.labels[:0])
    with pytest.raises(Diverged, match=r"after epoch 1 at lr 0\.002 the validation loss is nan"):
        run(recipe(epochs=1), digits, first(digits.train, 64), empty)


def test_dropout_draws_anew_each_epoch(recipe: Recipe, digits: Prepared) -> None:
    # On a single image at next to no rate, only dropout tells the epochs apart.
    still = recipe({"model.dropout": 0.5}, epochs=3, lr=1e-30)
    _, history = run(still, digits, first(digits.train, 1))
    assert len({record["train_loss"] for record in history.records}) == 3


def test_batches_that_are_prepared_together_train_as_each_by_itself(
    recipe: Recipe, digits: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, first = run(recipe(epochs=2), digits)
    monkeypatch.setattr("convlab.train.fit.prepared_at_once", lambda *arguments: 3)  # as on a GPU
    other, second = run(recipe(epochs=2), digits)
    assert first.records == second.records
    assert same(one, other)


def test_every_step_has_its_row(recipe: Recipe, digits: Prepared) -> None:
    cosine = recipe(epochs=2, schedule={"name": "cosine", "warmup": 0}, lr=0.01, iterations=True)
    _, history = run(cosine, digits, first(digits.train, 130))
    assert [row["iteration"] for row in history.iterations] == [1, 2, 3, 4, 5, 6]
    assert [row["epoch"] for row in history.iterations] == [1, 1, 1, 2, 2, 2]
    losses = [row["loss"] for row in history.iterations[:3]]
    mean = (64 * losses[0] + 64 * losses[1] + 2 * losses[2]) / 130
    assert history.records[0]["train_loss"] == pytest.approx(mean)
    rates = [row["lr"] for row in history.iterations]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 0.01
    assert [record["lr"] for record in history.records] == [rates[2], rates[5]]
    assert run(recipe(epochs=1), digits)[1].iterations == []


def test_one_hot_labels_give_the_same_loss_and_the_same_network(recipe: Recipe, digits: Prepared) -> None:
    index, one_hot = (run(recipe(labels=labels, epochs=1), digits) for labels in ("index", "one_hot"))
    for key, value in index[1].records[0].items():
        assert one_hot[1].records[0][key] == pytest.approx(value, rel=1e-4)
    for one, other in zip(index[0].parameters(), one_hot[0].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_label_smoothing_is_trained_on_and_not_validated_with(recipe: Recipe, digits: Prepared) -> None:
    plain, smooth = (
        run(recipe({"model.dropout": 0.0}, label_smoothing=share, lr=1e-30, epochs=1), digits)[1].records[0]
        for share in (0.0, 0.2)
    )
    assert smooth["validation_loss"] == plain["validation_loss"]
    assert smooth["train_loss"] != plain["train_loss"]


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixing_trains_on_mixed_labels(recipe: Recipe, digits: Prepared, name: str) -> None:
    mixed = recipe(augment=[{"name": name, "alpha": 1.0}], epochs=3, lr=0.005)
    model, history = run(mixed, digits)
    again, _ = run(mixed, digits)
    assert same(model, again)
    assert history.records[-1]["validation_accuracy"] > 0.8
    assert history.records[-1]["train_accuracy"] < history.records[-1]["validation_accuracy"]


def test_augmentation_is_for_training_images_alone(recipe: Recipe, digits: Prepared) -> None:
    crop = [{"name": "crop", "padding": 2, "border": "zero"}]
    # Without normalisation and at next to no rate, nothing of an epoch is left in the network.
    still = {"model.norm": "none", "lr": 1e-30, "epochs": 1}
    plain, shifted = (run(recipe(still, augment=a), digits)[1].records[0] for a in ([], crop))
    assert shifted["validation_loss"] == plain["validation_loss"]
    assert shifted["train_loss"] != plain["train_loss"]


def test_compiled_or_not_the_steps_and_the_names_of_the_weights_are_the_same(
    recipe: Recipe, digits: Prepared
) -> None:
    few = first(digits.train, 150)  # two whole batches and a smaller one
    plain, _ = run(recipe(epochs=1), digits, few)
    torch.compiler.set_stance(
        "force_eager"
    )  # a minute less: only who calls whom, not what the compiler makes
    try:
        compiled, _ = run(recipe(epochs=1, compile=True), digits, few)
    finally:
        torch.compiler.set_stance("default")
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    assert same(compiled, plain)
