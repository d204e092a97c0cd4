"""The figures of a result as the book shows them: small files, each with a caption and an alt text."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from convlab import files
from convlab.book.contents import figures
from convlab.results import figure_data
from convlab.results.figure_data import readable
from convlab.results.folders import confusions

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

QUALITY = 82  # of WebP: half a PNG's size, no visible difference
# What each kind of figure shows, in the order of a page: its caption, and its section
KINDS = {
    "curves": ("Learning curves", "training"),
    "curves_train": ("Learning curves on the training images, as the loops print them", "training"),
    "iterations": ("Loss and accuracy of every step", "training"),
    "augmentation": ("Augmented images, as the training sees them", "training"),
    "trials": ("The trials side by side", "training"),
    "histograms": ("Histograms of the weights", "weights"),
    "confusion": ("Confusion matrix of the test images", "errors"),
    "confused": ("The classes that are confused most", "errors"),
    "correct": ("Test images that are classified correctly", "errors"),
    "wrong": ("Test images that are classified wrongly, the most confident first", "errors"),
    "gradcam": ("Grad-CAM: where the network looked", "inside"),
    "features_correct": ("Feature maps, layer by layer, of a correct image", "inside"),
    "features_wrong": ("Feature maps, layer by layer, of a wrong image", "inside"),
    "pairs": ("Pairs: a wrong image beside a right one of the class it was taken for", "inside"),
    "pair_distances": (
        "Distances of such pairs at every layer, over the wrong images, at most the 500 most confident",
        "inside",
    ),
    "activation": ("Its activation function, and the derivative", "network"),
    "model": ("The network, layer by layer", "network"),
}
SECTIONS = {
    "errors": "Right and wrong",
    "inside": "What the network saw",
    "training": "Training",
    "weights": "Weights",
    "network": "The network",
}


@dataclass(frozen=True)
class Image:
    """A figure: its address from the book's root, its size in pixels, what it shows and of which result."""

    address: str
    width: int
    height: int
    caption: str
    section: str
    name: str

    @property
    def alt(self) -> str:
        """The text in place of the image."""
        return f"{self.caption}, of {self.name}"


class Images:
    """Puts figures into the book's folder, each once."""

    def __init__(self, folder: Path):
        self.folder = folder / "images"
        (folder / "assets").mkdir()

    def of(self, name: str) -> list[Image]:
        """Return the figures of an experiment or a sweep, in the order of KINDS."""
        found = {path.stem: path for path in figures(name)}
        order = [*(kind for kind in KINDS if kind in found), *sorted(found.keys() - KINDS.keys())]
        return [self._put(name, kind, found[kind]) for kind in order]

    def cells(self, name: str) -> dict[str, Any] | None:
        """Return where the images behind the cells of a confusion matrix are; None where there are none.

        `address` is that of the picture, the rest as in cells.json (see figures/cells.py).
        """
        if (facts := cells_of(name)) is None:
            return None
        source = files.PLOTS / name / "figures/cells.jpg"
        target = self.folder / name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        address = target.relative_to(self.folder.parent).as_posix()
        return {"address": address, **facts}

    def _put(self, name: str, kind: str, path: Path) -> Image:
        caption, section = _told(kind)
        target = self.folder / name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".svg":
            target.write_bytes(path.read_bytes())
            size = _size_of_svg(path)
        else:
            target = target.with_suffix(".webp")
            size = _write_webp(path, target)
        address = target.relative_to(self.folder.parent).as_posix()
        return Image(address, *size, caption, section, name)


def cells_of(name: str) -> dict[str, Any] | None:
    """Return cells.json of an experiment; None where it or its picture is missing or another training's.

    Raises:
        InputError: one of them is damaged.
    """
    folder = files.PLOTS / name / "figures"
    if not all((folder / file).is_file() for file in ("cells.jpg", "cells.json")):
        return None
    if (facts := figure_data.cells(name)) is None:
        return None
    (width, height), (columns, rows) = facts.size, facts.grid
    if _decoded(folder / "cells.jpg").size != (columns * width, rows * height):
        return None
    pairs = confusions(name)
    own = all(
        pairs[index : index + 1] == [(cell.actual, cell.predicted)]
        for cell in facts.cells
        for index in cell.images
    )
    return facts.model_dump(mode="json") if own else None


def _told(kind: str) -> tuple[str, str]:
    """Return the caption and the section of a kind of figure."""
    if kind.startswith("features_") and kind not in KINDS:  # of a chosen image: `features_frog_0`
        label, _, index = kind.removeprefix("features_").rpartition("_")
        return f"Feature maps, layer by layer, of a chosen image: {label}, number {index}", "inside"
    return KINDS.get(kind, (kind.replace("_", " "), "training"))


def _write_webp(path: Path, target: Path) -> tuple[int, int]:
    picture = _decoded(path)
    if not target.exists():
        picture.save(target, quality=QUALITY, method=4)
    return picture.size


def _decoded(path: Path) -> "Picture":
    """Return the pixels of a picture."""
    from PIL import Image as pillow

    with readable(path), pillow.open(path) as picture:
        return picture.convert("RGB")


def _size_of_svg(path: Path) -> tuple[int, int]:
    """Return width and height of a drawing, from its viewBox."""
    with readable(path):
        box = ElementTree.parse(path).getroot().get("viewBox", "0 0 800 600")
        _, _, width, height = (round(float(number)) for number in box.split())
    return width, height
