import math

import pytest
import torch
from training import CPU, Recipe, run

from convlab.data.dataset import Prepared, Split
from convlab.errors import InputError
from convlab.models.build import build_model
from convlab.schema.training import Resize
from convlab.train import device as devices
from convlab.train.device import Stopwatch, prepare_process, select_device, select_precision
from convlab.train.inference import BATCH, logits_of, score
from convlab.train.loader import in_order, resized, shuffled, size_at


def order(split: Split, seed: int, epoch: int, batch_size: int = 64) -> list[int]:
    numbered = Split(torch.arange(len(split.labels)).view(-1, 1), split.labels)
    return [
        number
        for images, _, _ in shuffled(numbered, batch_size, seed, epoch)
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
    for images, found, indices in shuffled(numbered, 50, 1, 1):
        assert torch.equal(found, labels[images[:, 0]])
        assert torch.equal(images[:, 0], indices)


def test_the_size_of_the_images_follows_the_share_of_the_training_that_is_done() -> None:
    stages = [Resize(until=0.3, size=16), Resize(until=0.5, size=24)]
    assert [size_at(stages, epoch / 10) for epoch in range(10)] == [16] * 3 + [24] * 2 + [None] * 5
    assert size_at([], 0.0) is None


def test_smaller_images_are_the_large_ones_without_aliasing() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(16).expand(2, 3, 32, 32)  # finer than 16 pixels can show
    assert resized(stripes, None) is stripes
    small = resized(stripes, 16)
    assert small.shape == (2, 3, 16, 16)
    torch.testing.assert_close(small[:, :, :, 1:-1], torch.full((2, 3, 16, 14), 0.5))
    flat = torch.full((1, 1, 28, 28), 7.0)
    torch.testing.assert_close(resized(flat, 20), torch.full((1, 1, 20, 20), 7.0))


def test_in_order_goes_from_first_to_last(digits: Prepared) -> None:
    batches = list(in_order(digits.test, 100))
    assert [len(labels) for _, labels in batches] == [100, 100, 100, 60]
    assert torch.equal(torch.cat([images for images, _ in batches]), digits.test.images)


def test_logits_do_not_depend_on_the_mode_and_come_in_the_splits_order(
    recipe: Recipe, digits: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(recipe({"model.dropout": 0.9}), [1, 8, 8], 10).train()
    transform = digits.statistics.transform()
    whole = logits_of(model, digits.test, transform, "fp32")
    model.train()
    monkeypatch.setitem(BATCH, "cpu", 50)
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


def test_precision_is_what_is_asked_for_and_auto_is_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVLAB_FP32", raising=False)
    assert select_precision("fp32", CPU) == "fp32"
    assert select_precision("bf16", CPU) == "bf16"
    assert select_precision("auto", CPU) in ("fp32", "bf16")
    monkeypatch.setenv("CONVLAB_FP32", "1")
    assert select_precision("auto", CPU) == "fp32"
    assert select_precision("bf16", CPU) == "bf16"


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
