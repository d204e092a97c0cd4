"""A tiny data set of coloured shapes, drawn: what the tests import, train on and predict."""

import random
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw

SHAPES = ("circle", "square", "triangle")


def draw(shape: str, chance: random.Random) -> Image.Image:
    """Draw one dark shape on a light ground, in a picture of any size."""
    width, height = chance.randint(40, 90), chance.randint(40, 90)
    image = Image.new("RGB", (width, height), tuple(chance.randint(180, 255) for _ in range(3)))
    colour = tuple(chance.randint(0, 120) for _ in range(3))
    radius = chance.randint(11, min(width, height) // 2 - 2)
    x, y = chance.randint(radius, width - radius - 1), chance.randint(radius, height - radius - 1)
    pen = ImageDraw.Draw(image)
    match shape:
        case "circle":
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        case "square":
            side = round(0.8 * radius)
            pen.rectangle((x - side, y - side, x + side, y + side), fill=colour)
        case "triangle":
            pen.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=colour)
        case _:
            raise ValueError(shape)
    return image


def draw_into(folder: Path, counts: Mapping[str, int], seed: int = 1) -> Path:
    """Draw a folder per shape, with `counts` images in each; every third is a JPEG."""
    chance = random.Random(seed)
    for shape, count in counts.items():
        (folder / shape).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            kind = "jpg" if number % 3 == 2 else "png"
            draw(shape, chance).save(folder / shape / f"{number:03}.{kind}", quality=95)
    return folder
