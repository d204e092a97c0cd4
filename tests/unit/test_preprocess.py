from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from convlab.data.dataset import Prepared, load_split, load_statistics, save
from convlab.data.preprocess import prepare
from convlab.data.readers.raw import Raw
from convlab.data.transform import Transform
from convlab.errors import InputError
from convlab.schema import SPLITS, Experiment

TRAIN, HELD_OUT, TEST = 40, 10, 20  # images


@pytest.fixture
def colour() -> Raw:
    """Random colour images, the channels of different brightness and spread; each starts with its number."""
    random = np.random.default_rng(0)
    low, high = np.array([0, 100, 50])[:, None, None], np.array([256, 256, 90])[:, None, None]

    def images(count: int) -> np.ndarray:
        pixels = random.integers(low, high, (count, 3, 32, 32)).astype(np.uint8)
        pixels[:, 0, 0, 0] = np.arange(count)
        return pixels

    total = TRAIN + HELD_OUT
    return Raw(images(total), np.arange(total) % 10, images(TEST), np.arange(TEST) % 10)


@pytest.fixture
def make(colour: Raw, recipe: Callable[..., Experiment]) -> Callable[..., Prepared]:
    def prepare_with(changes: dict | None = None, raw: Raw = colour) -> Prepared:
        base = {"dataset": "cifar10", "split.method": "last", "split.validation": HELD_OUT}
        return prepare(raw, recipe(base | (changes or {})))

    return prepare_with


def numbers(images: Tensor) -> list[int]:
    return images[:, 0, 0, 0].tolist()


# ------------------------------------------------------------------------------------------------- the splits


def test_the_last_images_are_held_out_in_the_order_in_which_they_are_published(
    make: Callable[..., Prepared], colour: Raw
) -> None:
    found = make()
    assert numbers(found.train.images) == list(range(TRAIN))
    assert numbers(found.validation.images) == list(range(TRAIN, TRAIN + HELD_OUT))
    assert np.array_equal(found.test.images, colour.test_images)
    assert found.train.labels.tolist() == [number % 10 for number in range(TRAIN)]


def test_a_random_split_uses_every_image_once_with_its_label(make: Callable[..., Prepared]) -> None:
    found = make({"split.method": "random"})
    drawn = numbers(found.train.images) + numbers(found.validation.images)
    assert sorted(drawn) == list(range(TRAIN + HELD_OUT))
    assert drawn != sorted(drawn)
    assert (len(found.train.labels), len(found.validation.labels)) == (TRAIN, HELD_OUT)
    labels = torch.cat([found.train.labels, found.validation.labels]).tolist()
    assert labels == [number % 10 for number in drawn]


def test_a_random_split_depends_on_the_seed_alone(make: Callable[..., Prepared]) -> None:
    def drawn(seed: int) -> list[int]:
        return numbers(make({"split.method": "random", "seed": seed}).validation.images)

    torch.manual_seed(1)
    first = drawn(5)
    torch.manual_seed(2)
    assert drawn(5) == first
    assert drawn(6) != first


@pytest.mark.parametrize("method", ["last", "random"])
def test_the_test_split_is_as_published(make: Callable[..., Prepared], colour: Raw, method: str) -> None:
    found = make({"split.method": method})
    assert np.array_equal(found.test.images, colour.test_images)
    assert np.array_equal(found.test.labels, colour.test_labels)


def test_images_stay_bytes_and_labels_are_int64(make: Callable[..., Prepared]) -> None:
    found = make({"preprocess.scaling": "zscore_channel", "preprocess.greyscale": True})
    for split in (found.train, found.validation, found.test):
        assert split.images.dtype == torch.uint8
        assert split.images.shape[1:] == (3, 32, 32)
        assert split.labels.dtype == torch.int64


def test_one_image_may_be_left_to_train_on(make: Callable[..., Prepared]) -> None:
    assert len(make({"split.validation": TRAIN + HELD_OUT - 1}).train.labels) == 1


# --------------------------------------------------------------------------------------------- the statistics


@pytest.mark.parametrize("greyscale", [False, True])
@pytest.mark.parametrize("scaling", ["none", "unit", "zscore_channel", "zscore_image"])
def test_statistics_come_from_the_training_split_alone(
    make: Callable[..., Prepared], colour: Raw, scaling: str, greyscale: bool
) -> None:
    changes = {"preprocess.scaling": scaling, "preprocess.greyscale": greyscale}
    images = colour.train_images.copy()
    images[TRAIN:] = 255
    other = replace(colour, train_images=images, test_images=np.zeros_like(colour.test_images))
    assert make(changes, other).statistics == make(changes).statistics


def test_statistics_do_depend_on_the_training_split(make: Callable[..., Prepared], colour: Raw) -> None:
    images = colour.train_images.copy()
    images[0] = 255
    changes = {"preprocess.scaling": "zscore_channel"}
    assert make(changes, replace(colour, train_images=images)).statistics != make(changes).statistics


@pytest.mark.parametrize("greyscale", [False, True])
def test_zscore_gives_each_channel_of_the_training_split_mean_0_and_deviation_1(
    make: Callable[..., Prepared], greyscale: bool
) -> None:
    found = make({"preprocess.scaling": "zscore_channel", "preprocess.greyscale": greyscale})
    pixels = found.statistics.transform()(found.train.images).double()
    assert pixels.shape[1] == (1 if greyscale else 3)
    torch.testing.assert_close(
        pixels.mean((0, 2, 3)), torch.zeros(pixels.shape[1]).double(), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        pixels.std((0, 2, 3), correction=0), torch.ones(pixels.shape[1]).double(), atol=1e-5, rtol=0
    )


def test_statistics_do_not_depend_on_how_many_images_are_measured_at_once(
    make: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"preprocess.scaling": "zscore_channel"}
    whole = make(changes).statistics
    monkeypatch.setattr("convlab.data.preprocess.STATISTICS_BATCH", 7)
    parts = make(changes).statistics
    assert parts.mean == pytest.approx(whole.mean, rel=1e-12)
    assert parts.std == pytest.approx(whole.std, rel=1e-12)


def test_zscore_of_each_image_gives_each_image_mean_0_and_deviation_1(make: Callable[..., Prepared]) -> None:
    found = make({"preprocess.scaling": "zscore_image"})
    pixels = found.statistics.transform()(found.test.images)
    torch.testing.assert_close(pixels.mean((1, 2, 3)), torch.zeros(TEST), atol=1e-5, rtol=0)
    torch.testing.assert_close(pixels.std((1, 2, 3), correction=0), torch.ones(TEST), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scaling", ["zscore_image", "zscore_channel"])
@pytest.mark.parametrize("value", [0, 77, 255])
def test_what_is_of_one_colour_stays_finite(
    make: Callable[..., Prepared], colour: Raw, scaling: str, value: int
) -> None:
    images = colour.train_images.copy()
    images[:, 1] = value  # a channel
    images[0] = value  # an image
    found = make({"preprocess.scaling": scaling}, replace(colour, train_images=images))
    pixels = found.statistics.transform()(found.train.images)
    assert pixels.isfinite().all()
    assert pixels.abs().max() < 100


def test_unit_scaling_divides_by_the_largest_value_that_a_pixel_can_take(
    make: Callable[..., Prepared], digits: Prepared
) -> None:
    found = make()
    expected = found.train.images.double() / 255
    torch.testing.assert_close(found.statistics.transform()(found.train.images).double(), expected)
    assert digits.statistics.transform()(digits.train.images).max() == 1  # 16 in the digits


def test_no_scaling_leaves_the_values_as_they_are(make: Callable[..., Prepared]) -> None:
    found = make({"preprocess.scaling": "none"})
    assert torch.equal(found.statistics.transform()(found.train.images), found.train.images.float())


def test_the_input_shape_is_what_the_transform_gives(make: Callable[..., Prepared]) -> None:
    for greyscale, shape in ((False, [3, 32, 32]), (True, [1, 32, 32])):
        found = make({"preprocess.greyscale": greyscale})
        assert found.statistics.input_shape == shape
        assert list(found.statistics.transform()(found.test.images).shape) == [TEST, *shape]


def test_classes_are_those_of_the_catalogue(make: Callable[..., Prepared]) -> None:
    assert make().statistics.classes[:3] == ["airplane", "automobile", "bird"]


# ---------------------------------------------------------------------------------------------- the transform


@pytest.mark.parametrize(("channel", "weight"), [(0, 0.299), (1, 0.587), (2, 0.114)])
def test_grey_is_the_weighted_sum_of_red_green_and_blue(channel: int, weight: float) -> None:
    images = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    images[:, channel] = 200
    grey = Transform(1.0, [0.0], [1.0], greyscale=True, per_image=False)(images)
    assert grey.shape == (1, 1, 2, 2)
    assert torch.equal(grey, torch.full((1, 1, 2, 2), weight) * 200)


def test_white_stays_white_in_grey() -> None:
    images = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    grey = Transform(1 / 255, [0.0], [1.0], greyscale=True, per_image=False)(images)
    torch.testing.assert_close(grey, torch.ones(1, 1, 2, 2))


def test_greyscale_comes_before_the_statistics() -> None:
    images = torch.randint(
        0, 256, (5, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    found = Transform(1 / 255, [0.4], [0.2], greyscale=True, per_image=False)(images)
    luma = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).view(1, 3, 1, 1)
    expected = ((images.double() / 255 * luma).sum(1, keepdim=True) - 0.4) / 0.2
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def test_a_transform_has_nothing_to_train_and_nothing_to_save() -> None:
    transform = Transform(1.0, [0.0], [1.0], greyscale=False, per_image=False)
    assert list(transform.parameters()) == []
    assert transform.state_dict() == {}


# ------------------------------------------------------------------------------------------------------ files


def test_prepared_data_reads_back_as_it_was_saved(make: Callable[..., Prepared], tmp_path: Path) -> None:
    found = make({"preprocess.scaling": "zscore_channel", "split.method": "random"})
    save(found, tmp_path / "folder")
    for name in SPLITS:
        split, expected = load_split(tmp_path / "folder", name), getattr(found, name)
        assert split.images.dtype == torch.uint8
        assert torch.equal(split.images, expected.images)
        assert torch.equal(split.labels, expected.labels)
    assert load_statistics(tmp_path / "folder") == found.statistics


def test_saving_again_gives_the_same_bytes(make: Callable[..., Prepared], tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save(make({"preprocess.scaling": "zscore_channel"}), tmp_path / folder)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_missing_prepared_data_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not there"):
        load_split(tmp_path, "train")
    with pytest.raises(InputError, match="not there"):
        load_statistics(tmp_path)


def test_preparing_does_not_change_the_raw_arrays(make: Callable[..., Prepared], colour: Raw) -> None:
    before = colour.train_images.copy()
    make().train.images.zero_()
    assert np.array_equal(colour.train_images, before)
