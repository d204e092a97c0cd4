"""The numbers beside a result's figures, for claims and the book: checked, so that damage is one line."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from convlab import files
from convlab.errors import InputError

Kind = TypeVar("Kind")
MEND = "`git checkout` or `dvc repro` restores the intact file"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Cell(_Data):
    """A cell of a confusion matrix: its test images, and the place of the first in the picture."""

    actual: str
    predicted: str
    first: int
    images: list[int]


class Cells(_Data):
    """cells.json (see figures/cells.py): the pixels of an image, columns and rows of the picture."""

    size: tuple[int, int]
    grid: tuple[int, int]
    cells: list[Cell]


class Quartiles(_Data):
    """Of the distances of pairs at a layer."""

    first_quartile: float
    median: float
    third_quartile: float


class Distances(_Data):
    """How far the kinds of pairs are apart at a layer."""

    taken_for: Quartiles
    own_class: Quartiles
    two_right: Quartiles | None = None


class PairSummary(_Data):
    """pairs.json (see figures/pairs.py)."""

    pairs: Annotated[int, Field(ge=0)]
    unit: str
    layers: dict[str, Distances]


class WeightCounts(_Data):
    """A layer in histograms.json (see figures/weight_counts.py)."""

    name: str
    reach: float
    counts: dict[str, Annotated[list[int], Field(min_length=1)]]


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise what goes wrong while a file is read as an `InputError` that names it and says what to do."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where}{': ' if where else ''}{first['msg']}; {MEND}") from None
    except (ValueError, OSError, SyntaxError, csv.Error) as error:  # SyntaxError: of broken XML, and of PNG
        raise InputError(f"{path}: unreadable ({error}); {MEND}") from None


def cells(name: str) -> Cells | None:
    """Return cells.json of an experiment; None where there is none.

    Raises:
        InputError: it is damaged.
    """
    return _read(name, "cells.json", TypeAdapter(Cells))


def pairs(name: str) -> PairSummary | None:
    """Return pairs.json of an experiment; None where there is none.

    Raises:
        InputError: it is damaged.
    """
    return _read(name, "pairs.json", TypeAdapter(PairSummary))


def weight_counts(name: str) -> list[WeightCounts]:
    """Return histograms.json of a sweep; empty where there is none.

    Raises:
        InputError: it is damaged.
    """
    return _read(name, "histograms.json", TypeAdapter(list[WeightCounts])) or []


def _read(name: str, file: str, kind: TypeAdapter[Kind]) -> Kind | None:
    path = files.PLOTS / name / "figures" / file
    if not path.is_file():
        return None
    with readable(path):
        return kind.validate_json(path.read_bytes())
