"""The images and labels in an .npz file, by the names that we, MedMNIST and Keras give the arrays."""

import zipfile
from pathlib import Path
from typing import Any

from numpy.lib.format import read_array
from numpy.typing import NDArray

from convlab.config.explain import short, show
from convlab.errors import InputError

# Ours and MedMNIST's, Keras'
SPLIT_NAMES = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)
WHOLE_NAMES = (("images", "labels"), ("x", "y"))
LARGEST = 4 << 30  # bytes of an .npz when unpacked

Part = tuple[NDArray[Any], NDArray[Any]]  # images, labels


def read_npz(where: str, path: Path) -> tuple[dict[str, Part], list[str] | None]:
    """Read the images and labels of an .npz: by part, `train` alone where nothing says which are for testing,
    and the names of the classes, if they are in it.

    Args:
        where: the place of its declaration in params.yaml, for messages.
        path: the file.

    Raises:
        InputError: it is not there, is damaged, too large, or has no arrays of these names.
    """
    arrays = _load(where, path)
    for train_images, train_labels, test_images, test_labels in SPLIT_NAMES:
        if {train_images, train_labels, test_images, test_labels} <= set(arrays):
            parts = {
                "train": (arrays[train_images], arrays[train_labels]),
                "test": (arrays[test_images], arrays[test_labels]),
            }
            break
    else:
        whole = [names for names in WHOLE_NAMES if set(names) <= set(arrays)]
        if not whole:
            options = " | ".join(", ".join(names) for names in (*SPLIT_NAMES, *WHOLE_NAMES))
            found = ", ".join(arrays) or "nothing"
            raise InputError(f"{where}: {path} holds {short(found)}; allowed: the arrays {options}")
        parts = {"train": (arrays[whole[0][0]], arrays[whole[0][1]])}
    names = [str(name) for name in arrays["classes"].ravel()] if "classes" in arrays else None
    return parts, names


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
