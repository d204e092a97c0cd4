"""Where every file of the pipeline is, and how files are written: whole or not at all.

All paths are relative to the repository's root, where DVC runs every stage.
"""

import csv
import errno
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlab.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

PARAMS = Path("params.yaml")
STUDIES = Path("studies.yaml")  # beside it: what DVC is not to treat as parameters
# Imported data sets: the facts that `convlab import` writes, for git, and their images, which DVC keeps
DATASET_CARDS = Path("datasets")
DECLARED = (PARAMS, STUDIES, DATASET_CARDS)  # all that says what there is to compute
IMPORTED = Path("data/imported")
CONFIGS = Path("data/configs")
CODE = Path("data/code")
RAW = Path("data/raw")
PROCESSED = Path("data/processed")
MODELS = Path("data/models")
PREDICTIONS = Path("data/predictions")
METRICS = Path("metrics")
CHAMPIONS = Path("champions")
PLOTS = Path("plots")
BOOK = Path("docs/book")


def root() -> Path:
    """Return the real repository, `DVC_ROOT`: the working directory of `dvc exp run --temp` is a copy."""
    return Path(os.environ.get("DVC_ROOT", "."))


def scratch() -> Path:
    """Return the folder of unfinished work (ledgers, locks): git-ignored, unknown to DVC; it survives an
    interruption."""
    return root() / ".convlab"


def ledger(name: str) -> Path:
    """Return the folder of the finished trainings of an experiment or a sweep that is still running."""
    return scratch() / "trainings" / name


def write_bytes(path: Path, content: bytes) -> None:
    """Write atomically: temporary file in the same folder, fsync, rename. Readers see the old or the new.

    Raises:
        OSError: it cannot be written; `filename` is that of the file itself.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_beside(path, content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_beside(path: Path, content: bytes) -> None:
    """Write a temporary file beside another, and give it the other's name."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes it private
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def copy(source: Path, target: Path) -> None:
    """Copy a file atomically. A `target` that links into DVC's cache is replaced, not written through."""
    write_bytes(target, source.read_bytes())


def move(source: Path, target: Path) -> None:
    """Move a file over another: atomic, and on a full disk, too, since nothing is written."""
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # .convlab may be a link to another disk
            raise
        copy(source, target)
        source.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically."""
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """Return JSON, two spaces deep, keys in the order given, so that git diffs read well."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Write rows with the same keys as CSV, atomically; `columns`: the keys, where there may be no row."""
    write_text(path, csv_text(rows, columns))


def csv_text(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Lay rows with the same keys out as CSV.

    Floats are the shortest text that reads back equal; text with a comma, a quote or a line end is quoted.

    Raises:
        ValueError: rows have different keys, or in another order.
    """
    rows = list(rows)
    if other := [row for row in rows if list(row) != list(rows[0])]:
        raise ValueError(f"rows with {', '.join(rows[0])} and with {', '.join(other[0])}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = list(rows[0]) if rows else columns
    writer.writerows([head] if head else [])
    writer.writerows([str(value) for value in row.values()] for row in rows)
    return text.getvalue()


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]") -> None:
    """Write tensors as safetensors, atomically (no pickle: nothing runs when they are read)."""
    from safetensors.torch import save  # brings torch, which takes seconds: only where it is needed

    write_bytes(path, save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}))


def write_arrays(path: Path, arrays: "Mapping[str, NDArray[Any]]") -> None:
    """Write arrays as safetensors, atomically, without importing torch, which takes seconds."""
    from safetensors.numpy import save

    write_bytes(path, save(dict(arrays)))


def read_tensors(path: Path) -> "dict[str, Tensor]":
    """Read a safetensors file.

    Raises:
        InputError: the file is missing or damaged; says what to do.
    """
    from safetensors.torch import load

    try:
        return load(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: not there; `dvc repro` writes it") from None
    except Exception as error:  # SafetensorError has no public base class
        raise InputError(f"{path}: unreadable ({error}); remove it and run `dvc repro`") from None


def by_seed(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the facts of an experiment: the first seed's at the top, and all seeds' under `seeds` if there
    are several."""
    return parts[0] | ({"seeds": parts} if len(parts) > 1 else {})


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        InputError: the file is missing or is not JSON; says which stage writes it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not there; `dvc repro` writes it") from None
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path}: unreadable ({error}); remove it and run `dvc repro`") from None


def read_curves(path: Path) -> list[dict[str, Any]]:
    """Read a curves.csv: rows of floats by column, but the `seed` an integer, a sweep's `trial` a name.

    Raises:
        InputError: the file is missing, or is not such a table.
    """
    kinds: dict[str, Any] = {"trial": str, "seed": int}
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines(), strict=True))
        return [{key: kinds.get(key, float)(text) for key, text in row.items()} for row in rows]
    except FileNotFoundError:
        raise InputError(f"{path}: not there; `dvc repro` writes it") from None
    except (ValueError, TypeError, OSError, csv.Error) as error:  # TypeError: a row is short or long
        raise InputError(f"{path}: unreadable ({error}); remove it and run `dvc repro`") from None


def config(name: str) -> Path:
    """Return the file of the resolved configuration of an experiment or sweep."""
    return CONFIGS / f"{name}.yaml"


def code(name: str, phase: str) -> Path:
    """Return the file of the modules, with their hashes, that compute a phase of an experiment or sweep."""
    return CODE / name / f"{phase}.yaml"


def trainings(name: str) -> Path:
    """Return the file of the records of trainings: what they were made from, and their numbers."""
    return METRICS / name / "trainings.json"


def scores(name: str) -> Path:
    """Return the file of the records of an experiment's evaluations, one per seed."""
    return METRICS / name / "scores.json"


def training(seed: int, trial: str | None = None) -> str:
    """Return the name of one training among those of an experiment or sweep: `seed-1`, `kernel-5_seed-1`."""
    return f"{trial}_seed-{seed}" if trial else f"seed-{seed}"


def weights(name: str, seed: int, trial: str | None = None) -> Path:
    """Return the file of the weights of an experiment with one of its seeds, or of one trial of a sweep."""
    return MODELS / name / f"{training(seed, trial)}.safetensors"


def champion(name: str) -> Path:
    """Return the file of the weights of an experiment that git keeps, if it is a champion."""
    return CHAMPIONS / f"{name}.safetensors"


def predictions(name: str) -> Path:
    """Return the file of the probabilities and labels of an experiment's test images."""
    return PREDICTIONS / f"{name}.safetensors"
