"""One picture file of any kind and size → the pixels that a network takes.

Importing a data set and predicting share this code: a network sees pictures as those it was trained on.
"""

import struct
import warnings
from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from convlab.errors import InputError
from convlab.schema.datasets import Fit

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
MOST_SIDE = 20_000  # pixels: a file of a few bytes can ask for gigabytes of memory
MOST_PIXELS = 64_000_000
BRIGHT = 128  # of 255
DEEP = ("I", "F")  # modes of more than 8 bits a pixel
SMOOTH = Image.Resampling.LANCZOS

Pixels = NDArray[np.uint8]


def open_picture(path: Path) -> Image.Image:
    """Open a picture: upright, opaque, and grey (mode L) or in colour (RGB), 8 bits a channel.

    Transparent areas become black behind bright objects and white behind dark ones, so that these stay
    visible. Of an animation, the first frame is taken.

    Raises:
        InputError: not a picture, a damaged one, or one too large to be opened.
    """
    allowed = f"allowed: {', '.join(FORMATS)}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own bounds are narrower than Pillow's
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                if max(width, height) > MOST_SIDE or width * height > MOST_PIXELS:
                    raise _too_large(path, f"{width:,} × {height:,} pixels")
                image.load()
                return _plain(ImageOps.exif_transpose(image))
    except FileNotFoundError:
        raise InputError(f"{path}: not there") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a picture") from None
    except Image.DecompressionBombError:
        raise _too_large(path, "many more") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: not a picture; {allowed}") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: a damaged picture ({reason}); {allowed}") from None


def _too_large(path: Path, found: str) -> InputError:
    most = f"{MOST_SIDE:,} pixels a side and {MOST_PIXELS:,} in all"
    return InputError(f"{path}: found {found}; allowed: at most {most}; make it smaller first")


def _plain(image: Image.Image) -> Image.Image:
    if image.mode.startswith(DEEP):
        deep = np.asarray(image).astype(np.float64)  # Pillow itself would clip what is over 255
        return Image.fromarray((deep.clip(0, 65_535) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        return _opaque(image.convert("RGBA"))
    return image.convert("L" if image.mode in ("L", "1") else "RGB")


def _opaque(image: Image.Image) -> Image.Image:
    alpha = np.asarray(image.getchannel("A")).astype(np.float64)
    luma = np.asarray(image.convert("RGB").convert("L"))
    bright = alpha.sum() > 0 and (luma * alpha).sum() / alpha.sum() >= BRIGHT
    behind = Image.new("RGBA", image.size, "black" if bright else "white")
    return Image.alpha_composite(behind, image).convert("RGB")


def to_pixels(image: Image.Image, shape: tuple[int, int, int], fit: Fit) -> Pixels:
    """Convert a picture to uint8 [C, H, W] of a shape; 1 channel is its luma, 0.299 R + 0.587 G + 0.114 B.

    `fit` says what is done about another aspect ratio: `pad` adds the colour of the border, `crop` cuts off
    what is too long, `stretch` distorts. A picture that has the shape already keeps every value.
    """
    channels, height, width = shape
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        match fit:
            case "pad":
                behind = _border_colour(image)
                if round(image.height / image.width * width) == 0:
                    image = image.resize((width, 1), SMOOTH)  # Pillow would round a sliver's side to 0
                elif round(image.width / image.height * height) == 0:
                    image = image.resize((1, height), SMOOTH)
                image = ImageOps.pad(image, (width, height), SMOOTH, behind)
            case "crop":
                image = ImageOps.fit(image, (width, height), SMOOTH)
            case "stretch":
                image = image.resize((width, height), SMOOTH)
            case _:
                assert_never(fit)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def border_of(pixels: Pixels) -> NDArray[np.float64]:
    """Return the median of each channel along the border of an image [C, H, W]: float64 [C]."""
    edges = (pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1])
    return np.median(np.concatenate(edges, axis=1), axis=1)


def _border_colour(image: Image.Image) -> int | tuple[int, ...]:
    pixels = np.asarray(image)
    channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    colour = tuple(int(value) for value in border_of(channels))
    return colour[0] if len(colour) == 1 else colour
