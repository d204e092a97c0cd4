import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from scipy.ndimage import map_coordinates
from torch import Tensor
from torchvision.transforms import InterpolationMode

from convlab.data.augment.affine import affine
from convlab.data.augment.alternating_flip import coins
from convlab.data.augment.augmenter import Augmenter
from convlab.data.augment.crop import crop
from convlab.data.augment.flip import flip
from convlab.data.dataset import Split
from convlab.schema.training import Affine, AlternatingFlip, Augmentation, Crop, CutMix, Flip, Mixup
from convlab.train.loader import shuffled

CPU = torch.device("cpu")
AFFINE = Affine(name="affine", rotation=15, shift=0.1, shear=5, zoom=0.2, border="nearest")
CROP = Crop(name="crop", padding=2, border="zero")
FLIP, ALTERNATING = Flip(name="flip"), AlternatingFlip(name="alternating_flip")
MIXUP, CUTMIX = Mixup(name="mixup", alpha=1.0), CutMix(name="cutmix", alpha=1.0)
ALL: list[Augmentation] = [AFFINE, CROP, FLIP, MIXUP, CUTMIX]


def pictures(count: int = 16, channels: int = 3, size: int = 12) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=random)


def one_hot(count: int = 16) -> Tensor:
    return torch.nn.functional.one_hot(torch.arange(count) % 10, 10).float()


def turned(**amounts: Any) -> Affine:
    still: dict[str, Any] = {"rotation": 0, "shift": 0, "shear": 0, "zoom": 0, "border": "zero"}
    return Affine(name="affine", **{**still, **amounts})


def ends() -> torch.Generator:
    return torch.Generator().manual_seed(5)


# ------------------------------------------------------------------------------------------------ the streams


@pytest.mark.parametrize("step", ALL, ids=lambda step: step.name)
def test_the_same_seed_and_epoch_give_the_same_batches_and_another_epoch_others(step: Augmentation) -> None:
    def batches(seed: int, epoch: int) -> Tensor:
        augment = Augmenter([step], seed, epoch, CPU)
        return torch.stack([augment(pictures(), one_hot())[0] for _ in range(2)])

    once = batches(1, 1)
    torch.manual_seed(99)
    assert torch.equal(batches(1, 1), once)
    assert not torch.equal(once[0], once[1]), "every batch draws anew"
    assert not torch.equal(batches(1, 2), once)
    assert not torch.equal(batches(2, 1), once)


def test_each_kind_has_a_stream_of_its_own() -> None:
    alone, _ = Augmenter([CROP], 1, 1, CPU)(pictures(), one_hot())
    still = Augmenter([turned(), CROP], 1, 1, CPU)(pictures(), one_hot())[0]
    torch.testing.assert_close(alone, still, atol=1e-2, rtol=0)


@pytest.mark.parametrize("step", ALL, ids=lambda step: step.name)
@pytest.mark.parametrize("count", [1, 7])
def test_shapes_ranges_and_the_inputs_stay(step: Augmentation, count: int) -> None:
    images, targets = pictures(count), one_hot(count)
    before = images.clone(), targets.clone()
    found, mixed = Augmenter([step], 1, 1, CPU)(images, targets)
    assert found.shape == images.shape
    assert found.dtype == torch.float32
    assert 0 <= found.min() <= found.max() <= 255 + 1e-3
    torch.testing.assert_close(mixed.sum(1), torch.ones(count))
    assert torch.equal(images, before[0])
    assert torch.equal(targets, before[1])


def test_what_moves_pixels_leaves_targets_as_they_came() -> None:
    labels = torch.arange(16)
    _, targets = Augmenter([AFFINE, CROP, FLIP], 1, 1, CPU)(pictures(), labels)
    assert targets is labels


# ----------------------------------------------------------------------------------------------- the geometry


def test_no_amounts_change_nothing() -> None:
    found = affine(pictures().float(), turned(), ends())
    torch.testing.assert_close(found, pictures().float(), atol=1e-2, rtol=0)


def test_a_rotation_is_torchvisions_by_some_angle_within_its_bounds() -> None:
    image = pictures(1).float()
    found = affine(image.expand(8, -1, -1, -1).contiguous(), turned(rotation=30), ends())
    drawn = (torch.rand(6, 8, generator=ends()) * 2 - 1)[0] * 30
    for picture, degrees in zip(found, drawn.tolist(), strict=True):
        theirs = tv.rotate(image, degrees, InterpolationMode.BILINEAR)[0]
        torch.testing.assert_close(picture, theirs, atol=0.05, rtol=0)


def keras_matrix(drawn: list[float], step: Affine, size: int) -> np.ndarray:
    """From a pixel of the result, (x, y, 1), to the image's, multiplied as in `ImageDataGenerator`."""
    angle, shear = math.radians(drawn[0] * step.rotation), math.radians(drawn[1] * step.shear)
    zoom_x, zoom_y = 1 + drawn[2] * step.zoom, 1 + drawn[3] * step.zoom
    shift_x, shift_y = drawn[4] * step.shift * size, drawn[5] * step.shift * size
    middle = size / 2 - 0.5
    rotation = [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    shifted = [[1, 0, shift_x], [0, 1, shift_y], [0, 0, 1]]
    sheared = [[1, -math.sin(shear), 0], [0, math.cos(shear), 0], [0, 0, 1]]
    zoomed = np.diag([zoom_x, zoom_y, 1])
    there, back = ([[1, 0, sign * middle], [0, 1, sign * middle], [0, 0, 1]] for sign in (1, -1))
    return np.linalg.multi_dot([there, rotation, shifted, sheared, zoomed, back])


@pytest.mark.parametrize(
    "amounts",
    [
        {"rotation": 30, "shift": 0.3},  # the shift turns with the image
        {"rotation": 15, "shift": 0.1, "shear": 20, "zoom": 0.2},
        {"shear": 20},
        {"shear": 20, "zoom": 0.3},
        {"shift": 0.3},
    ],
    ids=lambda amounts: " ".join(amounts),
)
def test_an_affine_image_is_rotation_shift_shear_and_zoom_multiplied_in_keras_order(amounts: Any) -> None:
    step, size = turned(border="nearest", **amounts), 12
    image = pictures(1, channels=1, size=size).float()
    found = affine(image.expand(8, -1, -1, -1).contiguous(), step, ends())
    drawn = torch.rand(6, 8, generator=ends()).T * 2 - 1
    y, x = np.mgrid[:size, :size]
    pixels = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    for picture, random in zip(found[:, 0], drawn.tolist(), strict=True):
        columns, rows, _ = keras_matrix(random, step, size) @ pixels
        theirs = map_coordinates(image[0, 0].numpy(), [rows, columns], order=1, mode="nearest")
        np.testing.assert_allclose(picture.flatten().numpy(), theirs, rtol=0, atol=0.01)


def test_a_shift_moves_by_at_most_its_share_of_the_image() -> None:
    dot = torch.zeros(200, 1, 21, 21)
    dot[:, :, 10, 10] = 255.0
    found = affine(dot, turned(shift=0.2), ends())
    rows, columns = torch.arange(21.0).view(1, 21, 1), torch.arange(21.0).view(1, 1, 21)
    mass = found[:, 0].sum((1, 2))
    for axis in (rows, columns):
        middle = (found[:, 0] * axis).sum((1, 2)) / mass
        assert 10 - 4.21 < middle.min() < 7
        assert 13 < middle.max() < 10 + 4.21


def test_a_zoom_goes_both_ways_and_by_itself_in_each_direction() -> None:
    box = torch.zeros(200, 1, 20, 20)
    box[:, :, 5:15, 5:15] = 255.0
    found = affine(box, turned(zoom=0.2), ends())[:, 0] / 255
    heights, widths = found[:, :, 10].sum(1), found[:, 10, :].sum(1)
    for side in (heights, widths):
        assert 10 / 1.25 < side.min() < 9
        assert 11.5 < side.max() < 10 / 0.79
    assert (heights - widths).abs().max() > 2


@pytest.mark.parametrize(("border", "corner"), [("zero", 0.0), ("nearest", 200.0), ("reflect", 200.0)])
def test_what_comes_in_at_the_border(border: Any, corner: float) -> None:
    flat = torch.full((64, 1, 9, 9), 200.0)
    found = affine(flat, turned(shift=0.3, border=border), ends())
    assert found.min().item() == pytest.approx(corner, abs=1e-3)
    padded = crop(flat, Crop(name="crop", padding=3, border=border), ends())
    assert padded.min().item() == pytest.approx(corner)


def test_a_crop_is_a_whole_shift_of_up_to_its_padding() -> None:
    image = pictures(1).float()
    found = crop(image.expand(300, -1, -1, -1), CROP, ends())
    padded = torch.nn.functional.pad(image, (2, 2, 2, 2))[0]
    places = {(y, x): padded[:, y : y + 12, x : x + 12] for y in range(5) for x in range(5)}
    seen = [next(at for at, window in places.items() if torch.equal(window, one)) for one in found]
    assert set(seen) == set(places), "all 25 places are reached"


@pytest.mark.parametrize(
    ("border", "mode"), [("zero", "constant"), ("nearest", "edge"), ("reflect", "reflect")]
)
def test_a_crop_is_torchvisions_at_the_place_drawn(border: Any, mode: str) -> None:
    images = pictures(40).float()
    found = crop(images, Crop(name="crop", padding=3, border=border), ends())
    places = torch.randint(7, (2, 40), generator=ends()).T.tolist()
    padded = tv.pad(images, [3, 3, 3, 3], padding_mode=mode)
    for picture, image, (top, left) in zip(found, padded, places, strict=True):
        assert torch.equal(picture, tv.crop(image, top, left, 12, 12))


def test_a_flip_is_torchvisions_of_the_images_drawn() -> None:
    images = pictures(40).float()
    drawn = (torch.rand(40, generator=ends()) < 0.5).tolist()
    for picture, image, mirrored in zip(flip(images, ends()), images, drawn, strict=True):
        assert torch.equal(picture, tv.horizontal_flip(image) if mirrored else image)


def test_a_flip_mirrors_about_half_of_the_images() -> None:
    found, _ = Augmenter([FLIP], 1, 1, CPU)(pictures(400), one_hot(400))
    images = pictures(400).float()
    mirrored = [torch.equal(one, image.flip(2)) for one, image in zip(found, images, strict=True)]
    kept = [torch.equal(one, image) for one, image in zip(found, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 150 < sum(mirrored) < 250


def epoch_of(images: Tensor, seed: int, epoch: int, batch: int = 7) -> Tensor:
    """What an epoch with alternating flips shows of each image, in the images' order."""
    shown = torch.empty(images.shape)
    augment = Augmenter([ALTERNATING], seed, epoch, CPU)
    for found, labels, indices in shuffled(Split(images, torch.arange(len(images))), batch, seed, epoch):
        assert torch.equal(labels, indices)
        shown[indices] = augment(found, labels, indices)[0]
    return shown


def test_an_alternating_flip_shows_each_image_the_other_way_round_in_the_next_epoch() -> None:
    images = pictures(400)
    epochs = [epoch_of(images, 1, epoch) for epoch in (1, 2, 3, 4)]
    for one, other in pairwise(epochs):
        assert torch.equal(one, other.flip(3))
    assert torch.equal(epochs[0], epochs[2])
    as_is = (epochs[0] == images).flatten(1).all(1)
    mirrored = (epochs[0] == images.flip(3)).flatten(1).all(1)
    assert (as_is ^ mirrored).all()
    assert 150 < mirrored.sum() < 250, "in the first epoch a random half of them"


def test_which_images_are_mirrored_first_depends_on_the_seed_alone() -> None:
    images = pictures(100)
    once = epoch_of(images, 1, 1)
    torch.manual_seed(99)
    assert torch.equal(epoch_of(images, 1, 1, batch=33), once)
    assert not torch.equal(epoch_of(images, 2, 1), once)


def test_without_indices_the_images_are_the_first_ones() -> None:
    images = pictures(30)
    alone, _ = Augmenter([ALTERNATING], 1, 1, CPU)(images[:5], one_hot(5))
    assert torch.equal(alone, epoch_of(images, 1, 1)[:5])


def test_the_coins_are_fair_and_know_nothing_of_their_neighbours_or_of_other_seeds() -> None:
    indices = torch.arange(50_000)
    seeds = [coins(indices, seed).float() for seed in (1, 2, 3)]
    for tossed in seeds:
        assert abs(tossed.mean().item() - 0.5) < 0.01  # more than four standard deviations
        for distance in (1, 2, 10, 128, 5000):
            together = torch.stack([tossed[distance:], tossed[:-distance]])
            assert abs(together.corrcoef()[0, 1].item()) < 0.02
    assert (torch.stack(seeds).corrcoef() - torch.eye(3)).abs().max() < 0.02
    assert coins(torch.tensor([2**40, 0]), 2**62).dtype == torch.bool


# ------------------------------------------------------------------------------------------------- the mixing


def test_mixup_blends_images_and_targets_by_the_same_share() -> None:
    # Images that are their own label: the first ten pixels are the one-hot target
    targets = one_hot(10)
    images = targets.view(10, 1, 1, 10)
    for _ in range(5):
        found, mixed = Augmenter([MIXUP], 1, 3, CPU)(images, targets)
        torch.testing.assert_close(found.view(10, 10), mixed)
    shares = mixed.max(1).values
    assert ((mixed > 0).sum(1) <= 2).all()
    assert shares.min() >= 0.5


def test_cutmix_pastes_one_rectangle_and_its_share_of_the_target() -> None:
    targets = one_hot(10)
    images = torch.arange(10.0).view(10, 1, 1, 1).expand(10, 1, 16, 16)
    augment = Augmenter([CUTMIX], 1, 1, CPU)
    for _ in range(20):
        found, mixed = augment(images, targets)
        for index, (picture, target) in enumerate(zip(found[:, 0], mixed, strict=True)):
            foreign = picture != index
            assert target[index].item() == pytest.approx(1 - foreign.float().mean().item(), abs=1e-6)
            rows, columns = foreign.any(1).sum(), foreign.any(0).sum()
            assert foreign.sum() == rows * columns, "a rectangle"
            assert len(picture[foreign].unique()) <= 1
