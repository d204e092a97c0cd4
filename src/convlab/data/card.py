"""What is known of an imported data set: datasets/NAME.json, for git, beside the images that DVC keeps."""

from dataclasses import asdict
from typing import Any

from convlab import files
from convlab.data.catalogue import PUBLISHED, Dataset, card
from convlab.errors import InputError
from convlab.schema.datasets import DatasetEntry, Fit

UNBALANCED = 2.0  # the largest class has so many times the images of the smallest, or more


def write_card(name: str, entry: DatasetEntry, dataset: Dataset, images: dict[str, dict[str, int]]) -> None:
    """Write how a data set was declared, what the pipeline has to know about it, and its images by class."""
    content = {"declared": entry.model_dump(), "facts": asdict(dataset), "images": images}
    files.write_json(card(name), content)


def check_declared(name: str, entry: DatasetEntry) -> None:
    """Refuse a declaration that differs from the one the data set was imported with.

    Raises:
        InputError: says which key differs.
    """
    was = _read(name).get("declared", {})
    for key, value in entry.model_dump().items():
        if was.get(key) != value:
            raise InputError(
                f"datasets.{name}.{key}: found {value}, but {name} was imported with {was.get(key)}; "
                f"run `convlab import {name}`"
            )


def fit_of(name: str) -> Fit:
    """Return how a picture that is not square is fitted for a data set: as its own were, or padded."""
    return "pad" if name in PUBLISHED else _read(name).get("declared", {}).get("fit", "pad")


def unbalanced(name: str) -> str | None:
    """Return how unbalanced the classes of a data set are; None if they are balanced."""
    counts = _read(name).get("images", {}).get("train", {})
    return unequal(counts)


def unequal(counts: dict[str, int]) -> str | None:
    """Return which classes have the most and the fewest training images; None if that does not matter."""
    if not counts:
        return None
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] < UNBALANCED * counts[least]:
        return None
    return (
        f"unbalanced: {counts[most]:,} training images of {most}, {counts[least]:,} of {least}; the accuracy "
        "says little of the small classes: see the recall of each in metrics/*/scores.json"
    )


def _read(name: str) -> dict[str, Any]:
    content = files.read_json(card(name))
    return content if isinstance(content, dict) else {}
