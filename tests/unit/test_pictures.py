"""Images of any kind become network inputs, or are refused in one line."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from convlab.data.catalogue import DATASETS, Dataset
from convlab.data.framing import show_as, turned
from convlab.data.pictures import MOST_PIXELS, border_of, open_picture, to_pixels
from convlab.errors import InputError

MNIST, CIFAR = DATASETS["mnist"], DATASETS["cifar10"]
PIXELS = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and holds no pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def png(tmp_path: Path) -> bytes:
    Image.fromarray(PIXELS).save(tmp_path / "whole.png")
    return (tmp_path / "whole.png").read_bytes()


# ------------------------------------------------------------------------------------------------ any picture


@pytest.mark.parametrize("kind", ["png", "bmp", "gif"])
def test_a_grey_picture_of_the_right_size_keeps_every_value(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    Image.fromarray(PIXELS).save(path)
    image = open_picture(path)
    assert np.array_equal(to_pixels(image, (1, 28, 28), "pad")[0], PIXELS)
    colour = to_pixels(image, (3, 28, 28), "pad")
    assert colour.shape == (3, 28, 28)
    assert all(np.array_equal(channel, PIXELS) for channel in colour)


def test_colour_becomes_luma_where_one_channel_is_wanted(tmp_path: Path) -> None:
    Image.new("RGB", (5, 5), (200, 100, 50)).save(tmp_path / "a.png")
    pixels = to_pixels(open_picture(tmp_path / "a.png"), (1, 5, 5), "pad")
    assert np.unique(pixels).tolist() == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    Image.fromarray(PIXELS.astype(np.uint16) * 257).save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(open_picture(tmp_path / "a.png")), PIXELS)


@pytest.mark.parametrize(("ink", "ground"), [((0, 0, 0), 255), ((255, 255, 255), 0)])
def test_what_is_transparent_contrasts_with_what_is_not(
    tmp_path: Path, ink: tuple[int, int, int], ground: int
) -> None:
    image = Image.new("RGBA", (20, 20), (128, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((8, 8, 11, 11), fill=(*ink, 255))
    image.save(tmp_path / "a.png")
    pixels = to_pixels(open_picture(tmp_path / "a.png"), (1, 20, 20), "pad")
    assert pixels[0, 0, 0] == ground
    assert pixels[0, 9, 9] == 255 - ground


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.new("L", (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "a.jpg", exif=exif)
    assert open_picture(tmp_path / "a.jpg").size == (20, 30)


@pytest.mark.parametrize(
    ("fit", "left", "middle"),
    [("pad", 255, 0), ("crop", 0, 0), ("stretch", 0, 0)],
    ids=lambda value: str(value),
)
def test_a_long_picture_is_padded_cropped_or_stretched(fit, left: int, middle: int) -> None:
    image = Image.new("L", (20, 60), 255)
    ImageDraw.Draw(image).rectangle((2, 2, 17, 57), fill=0)
    pixels = to_pixels(image, (1, 20, 20), fit)
    assert pixels.shape == (1, 20, 20)
    assert pixels[0, 10, 4] == left, "padding has the colour of the border"
    assert abs(int(pixels[0, 10, 10]) - middle) < 10


@pytest.mark.parametrize("size", [(4000, 10), (10, 4000)])
def test_a_sliver_keeps_a_pixel_where_it_is_padded(size: tuple[int, int]) -> None:
    image = Image.new("L", size, 200)
    image.paste(10, (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4))
    pixels = to_pixels(image, (1, 28, 28), "pad")
    assert pixels.shape == (1, 28, 28)
    assert pixels.min() < 150


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a picture; allowed: PNG, JPEG"),
        (b"plain text", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (png_header(100_000, 3), "found 100,000 × 3 pixels; allowed: at most 20,000 pixels a side"),
        (png_header(12_000, 12_000), "found 12,000 × 12,000 pixels"),
        (png_header(60_000, 60_000), "allowed: at most"),
        (png_header(20, 20), "a damaged picture"),
    ],
    ids=["empty", "text", "svg", "wide", "large", "bomb", "no pixels"],
)
def test_what_is_no_picture_is_refused_in_a_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        open_picture(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_every_cut_of_a_picture_is_refused(tmp_path: Path) -> None:
    whole, path = png(tmp_path), tmp_path / "cut.png"
    for length in range(0, len(whole) - 40, 7):  # 40: checksums and marks, behind the last pixel
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            open_picture(path)


def test_what_is_not_there_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png: not there"):
        open_picture(tmp_path / "a.png")
    with pytest.raises(InputError, match="is a folder; expected a picture"):
        open_picture(tmp_path)


def test_the_bound_is_more_than_any_camera_takes() -> None:
    assert MOST_PIXELS > 8000 * 6000


# ---------------------------------------------------------------------------------------------- like a set's


def digit(size: tuple[int, int], ink: int, ground: int, box: tuple[int, int, int, int]) -> Image.Image:
    image = Image.new("L", size, ground)
    ImageDraw.Draw(image).rectangle(box, fill=ink)
    return image


@pytest.mark.parametrize(("ink", "ground", "inverted"), [(255, 0, False), (0, 255, True), (40, 190, True)])
def test_a_drawing_becomes_light_on_black_and_is_framed_as_in_mnist(
    ink: int, ground: int, inverted: bool
) -> None:
    seen = show_as(digit((300, 200), ink, ground, (200, 20, 229, 99)), MNIST, "pad")
    assert (seen.inverted, seen.framed) == (inverted, True)
    assert seen.pixels.shape == (1, 28, 28)
    assert border_of(seen.pixels).tolist() == [0.0]
    rows, columns = (np.flatnonzero(seen.pixels[0].max(axis) > 127) for axis in (1, 0))
    assert (rows[0], rows[-1]) == (4, 23), "20 pixels tall, in the middle"
    assert columns[0] + columns[-1] in (26, 27, 28)
    assert seen.pixels.max() >= 250


def test_a_picture_of_the_sets_own_size_is_left_as_it_is() -> None:
    image = digit((28, 28), 200, 0, (2, 3, 9, 20))
    seen = show_as(image, MNIST, "pad")
    assert (seen.inverted, seen.framed) == (False, False)
    assert np.array_equal(seen.pixels[0], np.asarray(image))


def test_an_empty_sheet_is_shown_as_one() -> None:
    assert show_as(Image.new("L", (200, 200), 240), MNIST, "pad").pixels.max() == 0
    assert show_as(Image.new("L", (200, 200), 0), MNIST, "pad").pixels.max() == 0


@pytest.mark.parametrize("size", [(90, 120), (28, 28), (1, 1), (1500, 900)])
@pytest.mark.parametrize("colour", [0, 60, 127, 128, 255])
@pytest.mark.parametrize("dataset", [MNIST, CIFAR])
def test_nothing_stands_out_in_a_picture_of_one_colour(
    dataset: Dataset, colour: int, size: tuple[int, int]
) -> None:
    seen = show_as(Image.new("L", size, colour), dataset, "pad")
    framed_alike = dataset is MNIST  # elsewhere a colour may be all that counts
    assert (seen.blank, seen.inverted, seen.framed) == (framed_alike, False, False)
    assert seen.pixels.shape == dataset.shape
    marked = Image.new("L", (90, 120), colour)
    marked.putpixel((40, 50), (colour + 128) % 256)
    assert not show_as(marked, dataset, "pad").blank


def test_photographs_are_neither_inverted_nor_framed() -> None:
    seen = show_as(Image.new("RGB", (90, 60), (250, 240, 230)), CIFAR, "pad")
    assert (seen.inverted, seen.framed) == (False, False)
    assert seen.pixels[:, 0, 0].tolist() == [250, 240, 230]


def test_light_on_dark_is_inverted_for_a_set_of_drawings_on_paper() -> None:
    pixels = np.asarray(digit((9, 9), 255, 0, (3, 3, 5, 5)))[None]
    shown, inverted = turned(pixels, "light")
    assert inverted
    assert shown[0, 0, 0] == 255
    assert shown[0, 4, 4] == 0
