"""Where your own images come from: a folder, an .npz file, one of torchvision's sets."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convlab import files
from convlab.config.explain import short, show
from convlab.data.pictures import SUFFIXES, open_picture
from convlab.data.sources import MIRROR, mirror_from_environment
from convlab.errors import InputError
from convlab.own.npz import Part, read_npz
from convlab.schema.datasets import DatasetEntry, Published

PARTS = ("train", "test")
LARGEST_LABEL = np.iinfo(np.int64).max
LITTER = ("Thumbs.db", "desktop.ini", "__MACOSX")  # what file managers leave
LONGEST = 60  # characters of a class's name
FORBIDDEN = set("<>&\"'`/\\|$")  # special in HTML, in a path, or in the text of a figure
MOST_CLASSES = 200  # every figure and every page of them stays small enough to be drawn and opened


@dataclass(frozen=True)
class LabelledImage:
    """An image of a source: `key` names it, `label` is the index of its class."""

    key: str
    label: int
    open: Callable[[], Image.Image]


@dataclass(frozen=True)
class Source:
    """Images by class. `test` is None where the source does not say which are for testing; `notes` say what
    became of all else that it holds."""

    classes: list[str]
    train: list[LabelledImage]
    test: list[LabelledImage] | None
    notes: tuple[str, ...] = ()


def read_source(where: str, entry: DatasetEntry) -> Source:
    """List the images that a declaration names; pictures are opened later, one by one.

    Args:
        where: the place of the declaration in params.yaml, for messages.
        entry: the declaration.

    Raises:
        InputError: nothing there, no classes or too many, a class's name that is not allowed, arrays that do
            not fit.
    """
    if entry.folder is not None:
        folder = _at_home(f"{where}.folder", entry.folder)
        return _check(f"{where}.folder", _from_folder(f"{where}.folder", folder))
    if entry.npz is not None:
        parts, names, unused = read_npz(f"{where}.npz", _at_home(f"{where}.npz", entry.npz))
        source = _check(f"{where}.npz", _from_arrays(f"{where}.npz", parts, names))
        left_out = (f"left out: the arrays {short(', '.join(unused))}",) if unused else ()
        return replace(source, notes=source.notes + left_out)
    assert entry.torchvision is not None
    return _check(f"{where}.torchvision", _from_torchvision(f"{where}.torchvision", entry.torchvision))


def _at_home(where: str, path: str) -> Path:
    try:
        found = Path(path).expanduser()
        found.exists()
    except RuntimeError:
        raise InputError(f"{where}: found {short(path)!r}; there is no such user here") from None
    except OSError as error:
        raise InputError(f"{where}: found {short(path)!r}, which cannot be used: {error.strerror}") from None
    return found


def _check(where: str, source: Source) -> Source:
    if len(source.classes) < 2:
        found = f"one class, {short(source.classes[0])!r}" if source.classes else "no class"
        raise InputError(f"{where}: found {found}; allowed: 2 to {MOST_CLASSES}")
    if len(source.classes) > MOST_CLASSES:
        raise InputError(
            f"{where}: found {len(source.classes):,} classes; allowed: 2 to {MOST_CLASSES}, since figures "
            "show each beside every other; leave some out, or put several into one"
        )
    for name in source.classes:
        if not name.strip() or name != name.strip() or len(name) > LONGEST:
            allowed = f"1 to {LONGEST} characters, without spaces around them"
            raise InputError(f"{where}: found the class {short(name)!r}; allowed: {allowed}")
        if not name.isprintable() or FORBIDDEN & set(name):
            signs = " ".join(sorted(FORBIDDEN))
            raise InputError(
                f"{where}: found the class {short(name)!r}; allowed: names without {signs} and without "
                "control characters; rename it"
            )
    return source


# ----------------------------------------------------------------------------------------------------- folder


def _from_folder(where: str, folder: Path) -> Source:
    if not folder.is_dir():
        raise InputError(f"{where}: found {show(str(folder))}, which is not a folder here")
    layout = "one folder per class, or train/ and test/ with one per class in each"
    inside = _folders(folder)
    split = [path for path in inside if path.name in PARTS and _folders(path)]
    _check_links(where, folder, [folder, *(path for path in inside if path.name in PARTS)])
    if inside:
        _check_loose(where, folder, [folder, *split])
    if not inside:
        held = "images, but no classes" if _files(folder) else "nothing"
        raise InputError(f"{where}: {folder} holds {held}; allowed: {layout}")
    if not split:
        classes = [path.name for path in inside]
        return Source(classes, _labelled(where, folder, folder, classes), None)
    if [path.name for path in split] != sorted(PARTS) or len(inside) > len(PARTS):
        raise InputError(f"{where}: {folder} holds {', '.join(p.name for p in inside)}; allowed: {layout}")
    classes = [path.name for path in _folders(folder / "train")]
    others = [path.name for path in _folders(folder / "test")]
    if others != classes:
        differing = ", ".join(sorted(set(classes) ^ set(others)))
        raise InputError(f"{where}: train/ and test/ have different classes: only one has {short(differing)}")
    train, test = (_labelled(where, folder, folder / part, classes) for part in PARTS)
    return Source(classes, train, test)


def _labelled(where: str, folder: Path, part: Path, classes: list[str]) -> list[LabelledImage]:
    found = []
    for label, name in enumerate(classes):
        if _folders(part / name):
            inner = _folders(part / name)[0].relative_to(folder)
            raise InputError(f"{where}: found the folder {inner} in a class; allowed: images alone")
        _check_links(where, folder, [part / name])
        for path in _files(part / name):
            found.append(
                LabelledImage(path.relative_to(folder).as_posix(), label, partial(open_picture, path))
            )
    return found


def _check_links(where: str, folder: Path, parts: list[Path]) -> None:
    """Refuse a link to nothing: what it led to would be left out without a word."""
    for path in sorted(path for part in parts for path in part.iterdir() if not _litter(path)):
        if not path.exists():
            inner = path.relative_to(folder).as_posix()
            raise InputError(
                f"{where}: found {inner}, a link to nothing ({path.readlink()}); repair or remove it"
            )


def _check_loose(where: str, folder: Path, parts: list[Path]) -> None:
    """Refuse a picture beside the folders of the classes: it would be left out without a word."""
    loose = [path for part in parts for path in _files(part) if path.suffix.lower() in SUFFIXES]
    if loose:
        more = f" (and {len(loose) - 1:,} more)" if len(loose) > 1 else ""
        raise InputError(
            f"{where}: found {loose[0].relative_to(folder).as_posix()}{more}, a picture in no class; "
            "allowed: pictures in the folder of a class; put it into one, or remove it"
        )


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _litter(path))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not _litter(path))


def _litter(path: Path) -> bool:
    return path.name.startswith(".") or path.name in LITTER


# ----------------------------------------------------------------------------------------------------- arrays


def _from_arrays(where: str, parts: dict[str, Part], names: list[str] | None) -> Source:
    """Make a source of arrays: images uint8 [N, H, W], [N, H, W, 1] or [N, H, W, 3], labels [N] or [N, 1].

    Validation images join the training images, of which each experiment splits off its own.
    """
    for part, (images, labels) in parts.items():
        images = images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images
        laid_out = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
        if images.dtype != np.uint8 or not laid_out or 0 in images.shape[1:]:
            raise InputError(
                f"{where}: the {part} images are {images.dtype} {list(images.shape)}; allowed: uint8, "
                "[N, H, W] or [N, H, W, 3], of one pixel or more"
            )
        labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iuU":
            raise InputError(
                f"{where}: the {part} labels are {labels.dtype} {list(labels.shape)} for {len(images):,} "
                "images; allowed: one whole number or name for each"
            )
        if labels.dtype.kind == "u" and (labels > LARGEST_LABEL).any():
            raise InputError(
                f"{where}: found the {part} label {labels.max()}; allowed: at most {LARGEST_LABEL}"
            )
        named = labels.dtype.kind == "U"
        parts[part] = images, labels if named else labels.astype(np.int64)
        if named and names is not None:
            raise InputError(f"{where}: the {part} labels are names, so `classes` has no place; leave it out")
    kinds = {part: "names" if labels.dtype.kind == "U" else "numbers" for part, (_, labels) in parts.items()}
    if len(set(kinds.values())) > 1:
        found_kinds = " and ".join(f"{kind} ({part})" for part, kind in kinds.items())
        raise InputError(f"{where}: labels are {found_kinds}; allowed: numbers in all parts, or names in all")
    found = np.unique(np.concatenate([labels for _, labels in parts.values()])).tolist()
    if names is not None and found and (found[0] < 0 or found[-1] >= len(names)):
        raise InputError(
            f"{where}: labels from {found[0]} to {found[-1]} for {len(names)} names in `classes`"
        )
    classes = [names[label] if names else str(label) for label in found]
    if len(set(classes)) < len(classes):
        twice = Counter(classes).most_common(1)[0][0]
        raise InputError(f"{where}: two classes are called {short(twice)!r}; give each a name of its own")
    index = {label: position for position, label in enumerate(found)}
    items = {
        part: [
            LabelledImage(f"{part}/{number}", index[label], partial(Image.fromarray, image))
            for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True))
        ]
        for part, (images, labels) in parts.items()
    }
    validation = items.get("validation", [])
    note = f"its {len(validation):,} validation images are among the training images; `split` chooses anew"
    train = [*items["train"], *validation]
    return Source(classes, train, items.get("test"), (note,) if validation else ())


# ------------------------------------------------------------------------------------------------ torchvision


def _from_torchvision(where: str, name: Published) -> Source:
    try:
        import torchvision.datasets as published
    except ImportError:
        raise InputError(f"{where}: torchvision is not installed here; `pip install torchvision`") from None
    mirror = mirror_from_environment()
    root = (mirror or files.scratch()) / "torchvision"
    parts, names = {}, None
    try:
        for part in PARTS:
            train = part == "train"
            match name:
                case "CIFAR100":
                    data = published.CIFAR100(root, train=train, download=True)
                case "SVHN":
                    data = published.SVHN(root, split=part, download=True)
                case "KMNIST":
                    data = published.KMNIST(root, train=train, download=True)
                case "EMNIST-balanced" | "EMNIST-letters" | "EMNIST-digits":
                    split = name.removeprefix("EMNIST-")
                    data = published.EMNIST(root, split=split, train=train, download=True)
                case _:
                    assert_never(name)
            names = getattr(data, "classes", None)
            parts[part] = _published_arrays(name, data)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{where}: {name} could not be fetched ({short(reason, 120)}); without a network, put "
            f"torchvision's files below a folder MIRROR as MIRROR/torchvision/… and run again with "
            f"{MIRROR}=MIRROR set"
        ) from None
    return _from_arrays(where, parts, list(names) if names else None)


def _published_arrays(name: Published, data: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return images uint8 [N, H, W] or [N, H, W, 3], and labels [N], of one of torchvision's sets."""
    images = np.asarray(data.data)
    labels = np.asarray(data.labels if name == "SVHN" else data.targets)
    if name == "SVHN":
        images = images.transpose(0, 2, 3, 1)
    if name.startswith("EMNIST"):
        images = images.transpose(0, 2, 1)  # they are stored column by column
    return np.ascontiguousarray(images), labels


def count_by_class(items: Iterable[LabelledImage], classes: list[str]) -> dict[str, int]:
    """Count the images of each class."""
    counts = Counter(item.label for item in items)
    return {name: counts[label] for label, name in enumerate(classes)}
