"""A user's picture, made like the images of a data set: inverted if needed, and framed as they are.

MNIST's digits are light on black, 20 pixels of 28 tall, with their centre of mass in the middle. A digit
drawn on paper is none of that, and a network that never saw such a digit may predict anything.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from convlab.data.catalogue import Background, Dataset
from convlab.data.pictures import BRIGHT, SMOOTH, Pixels, border_of, to_pixels
from convlab.schema.datasets import Fit

WORKED_ON = 1000  # pixels a side: more would be lost in an image of 28 anyway
INK = 0.25  # of the strongest: what is fainter is paper


class Seen(NamedTuple):
    """What a network is shown: uint8 [C, H, W], and what was done to the picture besides resizing; `blank` if
    nothing stands out in it: it is of one colour, and the data set's images are framed."""

    pixels: Pixels
    inverted: bool
    framed: bool
    blank: bool = False


def show_as(image: Image.Image, dataset: Dataset, fit: Fit) -> Seen:
    """Convert a picture (see `open_picture`) to what a network of a data set expects, from 0 to 255.

    A picture of exactly the data set's size is assumed to be one of its kind: it is not framed.
    """
    channels, height, width = dataset.shape
    box = dataset.box if channels == 1 else None
    alike = box is None or image.size == (width, height)
    if not alike:
        image = image.copy()
        image.thumbnail((WORKED_ON, WORKED_ON), SMOOTH)
    pixels = to_pixels(image, dataset.shape if alike else (1, image.height, image.width), fit)
    if box is not None and (pixels == pixels[:, :1, :1]).all():  # elsewhere a colour may be all that counts
        pixels, _ = turned(to_pixels(image, dataset.shape, fit), dataset.background)
        return Seen(pixels, inverted=False, framed=False, blank=True)
    pixels, inverted = turned(pixels, dataset.background)
    if box is None or alike:
        return Seen(pixels, inverted, framed=False)
    return Seen(_framed(pixels[0], (height, width), box), inverted, framed=True)


def turned(pixels: Pixels, background: Background) -> tuple[Pixels, bool]:
    """Invert an image [C, H, W] whose border is light where a data set's is dark, or the other way round.

    Paper becomes black, and ink white (or the reverse): in a photograph, paper is grey.
    """
    border = border_of(pixels)
    light = border.mean() >= BRIGHT
    if background == "any" or light == (background == "light"):
        return pixels, False
    away = np.abs(pixels - border[:, None, None])  # distance from the background: 0 on it
    ink = away * 255 / max(away.max(), 1.0)
    return (255 - ink if background == "light" else ink).round().astype(np.uint8), True


def _framed(ink: Pixels, size: tuple[int, int], box: float) -> Pixels:
    """Cut out the ink of [h, w], light on dark, and put it into [1, H, W]: its longer side is `box` of the
    image's, its centre of mass in the middle."""
    strong = ink >= max(1.0, INK * ink.max())
    rows, columns = (np.flatnonzero(strong.any(axis)) for axis in (1, 0))
    cut = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = box * min(size) / max(cut.size)
    small = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))), SMOOTH)
    pixels = np.asarray(small).astype(np.float64)
    framed = np.zeros((1, *size), np.uint8)
    starts = []
    for axis, length in enumerate(size):
        weights = pixels.sum(1 - axis)
        centre = (weights * np.arange(len(weights))).sum() / max(weights.sum(), 1.0)
        starts.append(int(np.clip(round((length - 1) / 2 - centre), 0, length - len(weights))))
    framed[0, starts[0] : starts[0] + small.height, starts[1] : starts[1] + small.width] = np.asarray(small)
    return framed
