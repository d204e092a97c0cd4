"""The explore page's pictures: what its networks are shown is what those of `convlab predict` are."""

import base64
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from convlab.book.site import STATIC
from convlab.data.catalogue import PUBLISHED
from convlab.data.framing import show_as
from convlab.data.pictures import open_picture

pytestmark = pytest.mark.campaign  # as in test_book_pages.py

MNIST, FASHION, CIFAR10 = (PUBLISHED[name] for name in ("mnist", "fashion_mnist", "cifar10"))
# As `convlab import` makes them: not framed, inverted only where all images have one background
GREY = replace(MNIST, box=None)
SMALL = replace(GREY, shape=(1, 8, 8))
LIGHT, ANY = replace(GREY, background="light"), replace(GREY, background="any")
COLOUR = replace(CIFAR10, shape=(3, 33, 33))
COLOUR_LIGHT, COLOUR_DARK = (replace(COLOUR, background=around) for around in ("light", "dark"))
DATASETS = {
    "digits": (PUBLISHED["digits"], "pad"),
    "mnist": (MNIST, "pad"),
    "fashion": (FASHION, "pad"),
    "grey": (GREY, "pad"),
    "small": (SMALL, "pad"),
    "light": (LIGHT, "crop"),
    "any": (ANY, "stretch"),
    "colour": (COLOUR, "pad"),
    "colour light": (COLOUR_LIGHT, "crop"),
    "colour dark": (COLOUR_DARK, "stretch"),
}


def photo(size: tuple[int, int], paper: int = 170, ink: int = 60, seed: int = 0) -> Image.Image:
    """Return a 7 off the centre of grey paper, unevenly lit and with noise, as a photograph shows it."""
    image = Image.new("L", size, paper)
    width, height = size
    points = [(x * width, y * height) for x, y in ((0.2, 0.3), (0.55, 0.32), (0.35, 0.85))]
    ImageDraw.Draw(image).line(points, fill=ink, width=max(2, min(size) // 12), joint="curve")
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(max(size) / 200))).astype(float)
    pixels += np.linspace(-8, 8, width)[None, :] + np.random.default_rng(seed).normal(0, 3, (height, width))
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))


def coloured(size: tuple[int, int], paper: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGB", size, paper)
    width, height = size
    drawing = ImageDraw.Draw(image)
    drawing.ellipse((width * 0.2, height * 0.3, width * 0.7, height * 0.6), fill=(200, 40, 90))
    drawing.rectangle((width * 0.4, height * 0.5, width * 0.5, height * 0.9), fill=(20, 120, 60))
    return image


def transparent(ink: int) -> Image.Image:
    image = Image.new("RGBA", (120, 160), (0, 0, 0, 0))
    drawing = ImageDraw.Draw(image)
    drawing.line(((30, 40), (90, 50), (60, 130)), fill=(ink, ink, ink, 255), width=14)
    drawing.line(((20, 140), (100, 140)), fill=(ink, ink, ink, 120), width=10)
    return image


def published_like() -> Image.Image:
    """Return an image that has MNIST's size, and is not framed as MNIST's are."""
    image = Image.new("L", (28, 28), 0)
    ImageDraw.Draw(image).rectangle((2, 3, 9, 26), fill=200)
    return image


PICTURES = {
    "a photo on grey paper": photo((300, 300)),
    "a photo of 3:4": photo((300, 400), seed=1),
    "a wide one": photo((401, 150), paper=200, ink=20, seed=2),
    "light on dark": photo((211, 340), paper=40, ink=230, seed=3),
    "a large photo": photo((1500, 2000), seed=4),
    "dark, transparent": transparent(0),
    "light, transparent": transparent(255),
    "in colour, on white": coloured((200, 260), (255, 255, 255)),
    "in colour, on black": coloured((260, 200), (0, 0, 0)),
    "in colour, on grey": coloured((199, 97), (140, 150, 160)),
    "of MNIST's size": published_like(),
    "of one pixel's height": Image.linear_gradient("L").rotate(90).resize((15, 1)),
}


@pytest.fixture(scope="module")
def page(chromium):
    """Yield a page with the script alone."""
    one = chromium.new_page()
    one.add_script_tag(path=str(STATIC / "pictures.js"))
    yield one
    one.close()


def seen_in_browser(page, content, dataset, fit):
    """Return what `pictures.js` makes of a picture's bytes: {pixels, inverted}, or None."""
    facts = {
        "shape": dataset.shape,
        "largest": dataset.max_value,
        "background": dataset.background,
        "box": dataset.box,
        "fit": fit,
    }
    return page.evaluate(
        """async ([content, facts]) => {
          const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
          return pictures.showAs(await pictures.open(new Blob([bytes])), facts);
        }""",
        [base64.b64encode(content).decode(), facts],
    )


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", DATASETS)
def test_a_network_is_shown_what_predict_shows_it(page, tmp_path, name, picture):
    (dataset, fit), path = DATASETS[name], tmp_path / "picture.png"
    PICTURES[picture].save(path)
    wanted = show_as(open_picture(path), dataset, fit)
    found = seen_in_browser(page, path.read_bytes(), dataset, fit)
    assert found["inverted"] == wanted.inverted
    values = (wanted.pixels.astype(int) * dataset.max_value + 127) // 255
    away = np.abs(np.array(found["pixels"]).reshape(dataset.shape) - values)
    assert away.max() <= 2
    assert values.max() > values.min()


@pytest.mark.parametrize("colour", [0, 60, 128, 255])
@pytest.mark.parametrize("name", DATASETS)
def test_nothing_stands_out_where_predict_says_so(page, tmp_path, name, colour):
    (dataset, fit), path = DATASETS[name], tmp_path / "picture.png"
    for width, height in ((90, 120), dataset.shape[:0:-1], (1500, 900)):
        Image.new("RGB", (width, height), (colour,) * 3).save(path)
        blank = show_as(open_picture(path), dataset, fit).blank
        assert blank == (dataset.box is not None)
        assert (seen_in_browser(page, path.read_bytes(), dataset, fit) is None) == blank


def test_a_photo_is_turned_upright(page, tmp_path):
    image = photo((90, 120))
    exif = image.getexif()
    exif[0x0112] = 6  # it was held on its side
    image.save(tmp_path / "photo.png", exif=exif)
    wanted = show_as(open_picture(tmp_path / "photo.png"), MNIST, "pad").pixels
    found = seen_in_browser(page, (tmp_path / "photo.png").read_bytes(), MNIST, "pad")["pixels"]
    assert np.abs(np.array(found) - wanted.flatten()).max() <= 2


def test_nothing_stands_out_in_a_picture_of_one_colour(page, tmp_path):
    Image.new("L", (90, 120), 0).save(tmp_path / "dark.png")
    content = (tmp_path / "dark.png").read_bytes()
    assert seen_in_browser(page, content, MNIST, "pad") is None
    assert set(seen_in_browser(page, content, GREY, "pad")["pixels"]) == {0}


def test_what_is_no_picture_is_none(page):
    assert page.evaluate("pictures.open(new Blob(['no image']))") is None
