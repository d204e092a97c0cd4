"""An experiment: every setting that makes a result.

Light on purpose (no torch): every command and every stage imports it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticKnownError

from convlab.data.catalogue import DATASETS, imported
from convlab.schema.models import Model
from convlab.schema.section import Count, Fraction, NonNegative, Positive, Section, refused
from convlab.schema.training import Augmentation, Average, EarlyStopping, Optimizer, Resize, Schedule

SPLITS = ("train", "validation", "test")
Framework = Literal["torch", "keras"]  # whose conventions
L2On = Literal["kernels", "kernels_and_biases"]

MOST_DEVICES = 16  # of one machine
NUMPY: dict[str, Any] = {"device": "cpu", "precision": "fp32"}  # what the NumPy engine computes on and in
UNDECIDED = {"device": "auto", "precision": "auto", "threads": None}
# Where the same bits were shown on two processors: with more threads, sums are split by the cores and caches
PORTABLE: dict[str, Any] = {"device": "cpu", "precision": "fp32", "threads": 1}


def _known(dataset: str) -> str:
    """Take the name of a published or an imported data set."""
    names = [*DATASETS, *imported()]
    if dataset not in names:
        raise PydanticKnownError("literal_error", {"expected": ", ".join(f"'{name}'" for name in names)})
    return dataset


class SplitSection(Section):
    """Which training images are held out for validation."""

    method: Literal["last", "random"]
    """The last of the published training images, or as many chosen at random by `seed`."""
    validation: Count
    """How many images are held out."""


class Preprocess(Section):
    """What the network is shown: greyscale first, then scaling."""

    greyscale: bool
    """Replace the channels by 0.299 R + 0.587 G + 0.114 B; for colour images alone."""
    scaling: Literal["none", "unit", "zscore_channel", "zscore_image"]
    """`unit` divides by the largest pixel value; `zscore_channel` subtracts the mean of each channel over the
    training images and divides by its standard deviation; `zscore_image` does so for each image by itself;
    `none` leaves 0 to 255."""


class Experiment(Section):
    """A data set, a preprocessing recipe, a model and a training recipe: all that decides a result."""

    seed: Annotated[int, Field(ge=0, lt=2**63 - 1000)]
    """The split, the order of the batches, the initial weights, dropout and augmentation derive from it."""
    seeds: Annotated[int, Field(ge=1, le=1000)]
    """Train this many times, with `seed`, `seed` + 1, …; tables then show mean ± standard deviation."""
    dataset: Annotated[str, AfterValidator(_known)]
    """The images: the name of a published data set, or of one that was imported."""
    split: SplitSection
    """Which training images are held out for validation."""
    preprocess: Preprocess
    """What the network is shown."""
    labels: Literal["index", "one_hot"]
    """Class indices, or one-hot vectors: the same loss in two forms."""
    augment: list[Augmentation]
    """Random changes of the training images, in this order, new in every epoch; each kind once."""
    resize: list[Resize]
    """Train on smaller images at first. Not for `cnn`, whose linear layer is made for one size."""
    model: Model
    """The network: a family and its settings."""
    init: Framework
    """Initial weights as PyTorch draws them, or as Keras does (Glorot-uniform kernels, biases of 0)."""
    batch_norm: Framework
    """Momentum and ε of batch normalisation: PyTorch's 0.1 and 1e-5, Keras' 0.01 (PyTorch's way) and 1e-3."""
    epochs: Count
    """Passes over the training images, at most: early stopping may end a training earlier."""
    batch_size: Count
    """Images in a step."""
    lr: Positive
    """The learning rate at its peak; `schedule` varies it."""
    optimizer: Optimizer
    """The optimiser and its settings."""
    weight_decay: NonNegative
    """The optimiser's weight decay, on every parameter; decoupled in AdamW, Muon and decoupled SGD."""
    l2: NonNegative
    """λ of the penalty λ · Σ w² that is added to the loss."""
    l2_on: L2On
    """What the penalty covers: kernels of convolutions and linear layers, or their biases too."""
    label_smoothing: Fraction
    """The share of a label that is spread over all classes."""
    average: Average | None
    """Validate and keep an average of the weights instead of the weights."""
    schedule: Schedule
    """How the learning rate changes."""
    monitor: Literal["cross_entropy", "penalised_loss"]
    """The validation loss that a plateau, early stopping and `keep: lowest_loss` go by, without or with the
    penalty of L2."""
    early_stopping: EarlyStopping | None
    """When to stop before the last epoch; `null` trains to the end."""
    keep: Literal["lowest_loss", "highest_accuracy", "last"]
    """The epoch whose weights are kept, by the validation images, or the last."""
    iterations: bool
    """Also write learning curves with a row for each step."""
    test_time_augmentation: Literal["none", "flip", "flip_shift"]
    """Evaluation averages the logits over 1, 2 (mirrored) or 6 views (mirrored and shifted) of an image."""
    engine: Literal["torch", "numpy"]
    """PyTorch, or layers written by hand in NumPy (for `preact` with SGD, on a CPU)."""
    compile: bool
    """Use `torch.compile`: 10 to 30 s at the start; it gained nothing on a CPU."""
    precision: Literal["auto", "fp32", "bf16"]
    """`auto`: bf16 where the device computes in it natively, else fp32."""
    device: Literal["auto", "cpu", "cuda"]
    """`auto`: a GPU if there is one."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None
    """CPU threads; `null`: all cores. Results differ in their last bits with the number of threads."""
    deterministic: bool
    """The same bits each time on a GPU, and slower; a CPU always gives them."""
    devices: Annotated[int, Field(ge=1, le=MOST_DEVICES)] = 1
    """GPUs of one machine among which each batch is split, or processes on its CPU. The batches, their order
    and the random numbers stay the same; results differ in their last bits with the number."""
    train_images_scored: Annotated[int, Field(ge=1)] | None = None
    """How many training images evaluation scores, evenly spaced in the split; `null`: all of them, which with
    test-time views takes as long as some epochs."""
    portable: bool = False
    """The same bits on every x86-64 with AVX2, by restricting the kernels, on one thread of the CPU, in fp32:
    a step of R0's network then takes 1.05 times as long."""

    @model_validator(mode="before")
    @classmethod
    def _auto_is_what_can_be(cls, content: Any) -> Any:
        """Put what `engine: numpy` and `portable: true` need in place of `auto`: the key alone chooses it."""
        if not isinstance(content, dict):
            return content
        own = NUMPY if content.get("engine") == "numpy" else {}
        own = PORTABLE if content.get("portable") is True else own
        return {**content, **{key: own[key] for key in own if content.get(key, "") == UNDECIDED[key]}}

    @model_validator(mode="after")
    def _engine_can(self) -> "Experiment":
        if self.engine != "numpy":
            return self
        model, optimizer = self.model, self.optimizer
        limits = {
            "model.name": (model.name, "preact"),
            "model.activation": (getattr(model, "activation", None), "silu"),
            "model.whitening": (model.whitening, None),
            "optimizer.name": (optimizer.name, "sgd"),
            "optimizer.decoupled": (getattr(optimizer, "decoupled", False), False),
            "compile": (self.compile, False),
            "devices": (self.devices, 1),
            **{key: (getattr(self, key), value) for key, value in NUMPY.items()},
        }
        _within(limits, "engine: numpy, or engine: torch")
        return self

    @model_validator(mode="after")
    def _portable_can(self) -> "Experiment":
        if self.portable:
            needed = {**PORTABLE, "engine": "torch", "compile": False, "devices": 1}
            limits = {key: (getattr(self, key), value) for key, value in needed.items()}
            _within(limits, "portable: true, or portable: false")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> "Experiment":
        dataset = DATASETS[self.dataset]
        if self.preprocess.greyscale and dataset.shape[0] == 1:
            raise refused("preprocess.greyscale", "True", f"false: {self.dataset} is grey already")
        if self.split.validation >= dataset.train_images:
            raise refused(
                "split.validation",
                self.split.validation,
                f"fewer than the {dataset.train_images:,} training images of {self.dataset}",
            )
        if self.devices > self.batch_size:
            raise refused("devices", self.devices, f"no more than the {self.batch_size} images of a batch")
        if self.devices > 1 and self.compile:
            raise refused("compile", "True", "false with several devices")
        if self.schedule.name == "cosine" and self.schedule.warmup >= self.epochs:
            raise refused(
                "schedule.warmup", f"{self.schedule.warmup:g}", f"fewer than the {self.epochs} epochs"
            )
        if self.model.input is not None and self.model.input != self.input_shape:
            raise refused(
                "model.input",
                self.model.input,
                f"{self.input_shape}, the channels, height and width of {self.dataset}'s images "
                "as preprocess leaves them",
            )
        return self

    @model_validator(mode="after")
    def _augmentation_fits(self) -> "Experiment":
        names = [step.name for step in self.augment]
        if len(set(names)) < len(names):
            raise refused("augment", ", ".join(names), "each kind once")
        if {"flip", "alternating_flip"} <= set(names):
            raise refused("augment", ", ".join(names), "one of flip, alternating_flip")
        size = min(self.input_shape[1:])
        for index, step in enumerate(self.augment):
            if step.name == "crop" and step.border == "reflect" and step.padding >= size:
                raise refused(
                    f"augment.{index}.padding",
                    step.padding,
                    f"fewer than the {size} pixels of an image, to reflect them at its border",
                )
        return self

    @model_validator(mode="after")
    def _resizing_fits(self) -> "Experiment":
        size = min(self.input_shape[1:])
        if self.resize and not self.model.any_size:
            sizes = ", ".join(f"{stage.size} until {stage.until:g}" for stage in self.resize)
            raise refused(
                "resize",
                sizes,
                f"nothing ([]) with a {self.model.name}, whose linear layer is made for one size of image",
            )
        for index, stage in enumerate(self.resize):
            if stage.size >= size:
                raise refused(f"resize.{index}.size", stage.size, f"fewer than the {size} pixels of an image")
            if index and stage.until <= self.resize[index - 1].until:
                raise refused(f"resize.{index}.until", f"{stage.until:g}", "more than in the entry before it")
        return self

    @property
    def input_shape(self) -> list[int]:
        """Channels, height and width of what the network sees."""
        channels, height, width = DATASETS[self.dataset].shape
        return [1 if self.preprocess.greyscale else channels, height, width]

    def each_seed(self) -> "list[Experiment]":
        """Return the experiment once for each of its `seeds`: seed, seed + 1, …"""
        numbers = range(self.seed, self.seed + self.seeds)
        return [self.model_copy(update={"seed": seed, "seeds": 1}) for seed in numbers]

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


def _within(limits: Mapping[str, tuple[Any, Any]], where: str) -> None:
    """Refuse the first key whose value is not the one allowed; `limits`: key → (found, allowed)."""
    for key, (found, allowed) in limits.items():
        if found != allowed:
            shown, wanted = (json.dumps(value, default=dict).strip('"') for value in (found, allowed))
            raise refused(key, shown, f"{wanted} with {where}")
