"""The images and labels in an .npz file, by the names that we, MedMNIST and Keras give the arrays."""

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from numpy.lib.format import read_array
from numpy.typing import NDArray

from convlab.config.explain import short, show
from convlab.errors import InputError

# Ours and MedMNIST's, Keras'; the names of validation images are in the same order
SPLIT_NAMES = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)
VALIDATION_NAMES = (("val_images", "val_labels"), ("x_val", "y_val"))
WHOLE_NAMES = (("images", "labels"), ("x", "y"))
LARGEST = 4 << 30  # bytes of an .npz when unpacked

Part = tuple[NDArray[Any], NDArray[Any]]  # images, labels


class Arrays(NamedTuple):
    """What an .npz holds: images and labels by part, `train` alone where nothing says which are for testing;
    the names of the classes, if they are in it; the names of the arrays that are none of these."""

    parts: dict[str, Part]
    classes: list[str] | None
    unused: list[str]


def read_npz(where: str, path: Path) -> Arrays:
    """Read the images and labels of an .npz.

    Args:
        where: the place of its declaration in params.yaml, for messages.
        path: the file.

    Raises:
        InputError: it is not there, is damaged, too large, or has no arrays of these names.
    """
    arrays = _load(where, path)
    named = _named(set(arrays))
    if named is None:
        options = " | ".join(", ".join(names) for names in (*SPLIT_NAMES, *WHOLE_NAMES))
        found = ", ".join(arrays) or "nothing"
        raise InputError(f"{where}: {path} holds {short(found)}; allowed: the arrays {options}")
    parts = {part: (arrays[images], arrays[labels]) for part, (images, labels) in named.items()}
    classes = [str(name) for name in arrays["classes"].ravel()] if "classes" in arrays else None
    used = {"classes", *(name for names in named.values() for name in names)}
    return Arrays(parts, classes, [name for name in arrays if name not in used])


def _named(there: set[str]) -> dict[str, tuple[str, str]] | None:
    """Return the names of the images and labels of each part, of those that are there; None for no part."""
    for (images, labels, test_images, test_labels), validation in zip(
        SPLIT_NAMES, VALIDATION_NAMES, strict=True
    ):
        if {images, labels, test_images, test_labels} <= there:
            parts = {"train": (images, labels), "test": (test_images, test_labels)}
            return parts | ({"validation": validation} if set(validation) <= there else {})
    return next(({"train": names} for names in WHOLE_NAMES if set(names) <= there), None)


def _load(where: str, path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an .npz, which is a zip of .npy files; one that holds objects is refused."""
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > LARGEST:
                raise InputError(f"{where}: {path} is larger than {LARGEST:,} bytes when unpacked")
            for name in archive.namelist():
                with archive.open(name) as file:
                    arrays[name.removesuffix(".npy")] = read_array(file, allow_pickle=False)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{where}: found {show(str(path))}, which is not there") from None
    except MemoryError as error:
        reason = str(error) or "no more is free"
        raise InputError(f"{where}: {path} does not fit into memory ({reason}); leave images out") from None
    except Exception as error:  # what zipfile, LZMA and NumPy raise of damaged bytes has no common class
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{where}: {path} is not an .npz of plain arrays ({short(reason)}); "
            "np.savez_compressed writes one"
        ) from None
    return arrays
