"""A data set ready for an experiment: its splits and statistics, and how they are kept in files."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from convlab import files
from convlab.data.transform import Transform
from convlab.schema import SPLITS


class Split(NamedTuple):
    """Images uint8 [N, C, H, W] as published, and labels int64 [N]."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Statistics:
    """How a uint8 batch becomes the network's input (see `Transform`), and what the classes are called.

    `mean` and `std` have one number per channel of the input; they come from the training split alone.
    """

    scale: float
    mean: list[float]
    std: list[float]
    greyscale: bool
    per_image: bool
    input_shape: list[int]
    classes: list[str]

    def transform(self) -> Transform:
        """Build the module that applies them."""
        return Transform(self.scale, self.mean, self.std, self.greyscale, self.per_image)


@dataclass(frozen=True)
class Prepared:
    """A data set ready for an experiment."""

    train: Split
    validation: Split
    test: Split
    statistics: Statistics


def save(prepared: Prepared, folder: Path) -> None:
    """Write the splits as safetensors and the statistics as JSON into `folder`."""
    for name in SPLITS:
        split: Split = getattr(prepared, name)
        files.write_tensors(folder / f"{name}.safetensors", split._asdict())
    files.write_json(folder / "statistics.json", asdict(prepared.statistics))


def load_split(folder: Path, name: str) -> Split:
    """Read one split (`train`, `validation` or `test`) of the prepared data in `folder`."""
    return Split(**files.read_tensors(folder / f"{name}.safetensors"))


def load_statistics(folder: Path) -> Statistics:
    """Read the statistics of the prepared data in `folder`."""
    return Statistics(**files.read_json(folder / "statistics.json"))
