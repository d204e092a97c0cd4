"""The schema of params.yaml: one typed, frozen section for each part of an experiment.

Light on purpose (no torch): every command and every stage imports it.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from convlab.data.catalogue import DATASETS

SPLITS = ("train", "validation", "test")


def number(value: Any) -> Any:
    """Take `1e-05` for the float it is: `dvc exp run -S` writes it so, and YAML 1.1 reads it as a string."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Float = Annotated[float, BeforeValidator(number)]
Positive = Annotated[Float, Field(gt=0)]
NonNegative = Annotated[Float, Field(ge=0)]
Fraction = Annotated[Float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Counts = Annotated[list[Count], Field(min_length=1)]


class Section(BaseModel):
    """A part of params.yaml: unknown keys, loose types, infinities and NaN are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Split(Section):
    """Which training images are held out for validation."""

    method: Literal["last", "random"]
    validation: Count


class Preprocess(Section):
    """What the network is shown: greyscale first, then scaling."""

    greyscale: bool
    scaling: Literal["none", "unit", "zscore_channel", "zscore_image"]


class VGG(Section):
    """R0's network: blocks of two convolutions and a pooling, then dense layers (see models/vgg.py)."""

    name: Literal["vgg"]
    filters: Counts
    kernels: Counts
    strides: Counts
    dense: list[Count]
    dropout: Fraction

    @model_validator(mode="after")
    def _one_per_block(self) -> "VGG":
        for key in ("kernels", "strides"):
            found = getattr(self, key)
            if len(found) != len(self.filters):
                raise ValueError(f"{key}|{found}|{len(self.filters)} numbers, one per block as in filters")
        return self


class Adam(Section):
    """Adam (Kingma and Ba, 2015)."""

    name: Literal["adam"]
    betas: Annotated[list[Fraction], Field(min_length=2, max_length=2)]
    eps: Positive


class Plateau(Section):
    """Multiply the learning rate by `factor` after `patience` epochs without a better validation loss."""

    name: Literal["plateau"]
    factor: Annotated[Float, Field(gt=0, lt=1)]
    patience: Count


class Constant(Section):
    """The learning rate stays as it is."""

    name: Literal["constant"]


class EarlyStopping(Section):
    """Stop after `patience` epochs without a better validation loss; the best weights are restored."""

    patience: Count


class Experiment(Section):
    """A data set, a preprocessing recipe, a model and a training recipe: all that decides a result."""

    seed: Annotated[int, Field(ge=0, lt=2**63)]
    dataset: Literal[tuple(DATASETS)]  # type: ignore[valid-type]
    split: Split
    preprocess: Preprocess
    model: VGG
    epochs: Count
    batch_size: Count
    lr: Positive
    optimizer: Adam
    l2: NonNegative
    schedule: Annotated[Plateau | Constant, Field(discriminator="name")]
    early_stopping: EarlyStopping | None
    precision: Literal["auto", "fp32", "bf16"]
    device: Literal["auto", "cpu", "cuda"]
    threads: Count | None
    deterministic: bool

    def data_key(self) -> str:
        """Name the prepared data: equal for experiments that see the same images in the same splits."""
        recipe: dict[str, Any] = {
            "dataset": self.dataset,
            "split": self.split.model_dump(),
            "preprocess": self.preprocess.model_dump(),
        }
        if self.split.method == "random":
            recipe["seed"] = self.seed
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


class Trial(Section):
    """One point of a sweep: its name (also its file's name), what it varies, and the whole experiment."""

    name: str
    overrides: dict[str, Any]
    experiment: Experiment


class Sweep(Section):
    """An experiment with some of its keys varied."""

    experiment: str
    trials: list[Trial]


class SweepEntry(Section):
    """A sweep in params.yaml. `grid`: key → values, all combinations; `variants`: name → overrides."""

    experiment: str
    overrides: dict[str, Any] = {}
    grid: Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)] | None = None
    variants: Annotated[dict[str, dict[str, Any]], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _grid_or_variants(self) -> "SweepEntry":
        if (self.grid is None) == (self.variants is None):
            found = "neither" if self.grid is None else "both"
            raise ValueError(f"|{found} of grid and variants|exactly one of them")
        return self


class Params(Section):
    """The whole of params.yaml, checked and resolved."""

    run: list[str]
    run_sweeps: list[str]
    experiments: dict[str, Experiment]
    sweeps: dict[str, Sweep]
    thresholds: dict[str, dict[str, float]]

    def datasets(self) -> list[str]:
        """Give the data sets that the selected experiments and sweeps need, sorted, each once."""
        needed = {self.experiments[name].dataset for name in self.run}
        for name in self.run_sweeps:
            needed |= {trial.experiment.dataset for trial in self.sweeps[name].trials}
        return sorted(needed)
