"""The one list of quantities: what each is called, its unit, how it is shown, where a training has it.

The reports' tables, the claims, `convlab results` and `compare`, `results.frame` and the book all read it.
Numbers are stored in the unit of their scale: accuracies from 0 to 1, losses in nats, times in seconds.
"""

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from convlab.config.explain import validate
from convlab.errors import InputError
from convlab.schema import Experiment

TrainingRow = dict[str, Any]  # a training, as `results.rows` returns it
Reader = Callable[[TrainingRow], float | None]


@dataclass(frozen=True)
class Scale:
    """How numbers of one kind are shown.

    Attributes:
        unit: that of a stored number; empty where it has none.
        value: the format of a number.
        small: a bound, and the format of positive numbers below it, of which `value` would show too little.
        times: a difference is shown multiplied by this: those of shares are in percentage points.
        digits: the decimals of a difference.
    """

    unit: str
    value: str
    times: int = 1
    digits: int = 2
    small: tuple[float, str] = (0.0, "")

    def form(self, number: float) -> str:
        """Return the format of a number, which its standard deviation shares."""
        bound, small = self.small
        return small if 0 < number < bound else self.value

    def text(self, number: float) -> str:
        """Return a number as text: `99.53%`, `0.0176`, `1.20e-05`."""
        return format(number, self.form(number))

    def difference_text(self, number: float, sign: str = "+") -> str:
        """Return a difference as text: `-0.41`, in points, of two accuracies."""
        return format(self.times * number, f"{sign},.{self.digits}f")


SHARE = Scale("share", ".2%", times=100)
LOSS = Scale("nats", ".4f", digits=4, small=(0.0005, ".2e"))
NORM = Scale("", ".2f")
COUNT = Scale("", ",.0f", digits=0)
SECONDS = Scale("s", ",.0f", digits=0, small=(10, ".1f"))
EPOCH_SECONDS = Scale("s", ",.2f")
RATE = Scale("", "g", digits=6)


@dataclass(frozen=True)
class Quantity:
    """A quantity of a result.

    Attributes:
        title: what tables call it.
        scale: its unit, and how numbers and differences of it are shown.
        read: returns a training's number, None if it has none; None itself where a quantity is not one of
            each training (see `single_result_claims`).
        images: the split whose sampling error a difference of it has; None where that is not known (of
            losses) or there is none (of norms and times).
    """

    title: str
    scale: Scale
    read: Reader | None
    images: str | None = None


def _score(split: str, score: str) -> Reader:
    return lambda row: row[split][score]


def _own(key: str) -> Reader:
    return lambda row: row.get(key)


def _seconds(row: TrainingRow) -> float | None:
    seconds: float | None = row["timing"].get("seconds")
    return seconds


def _seconds_per_epoch(row: TrainingRow) -> float | None:
    seconds = _seconds(row)
    return None if seconds is None else seconds / row["epochs"]


def _epoch_seconds(row: TrainingRow) -> float | None:
    """Return the median: the first epoch has the warm-up in it."""
    epochs = row["timing"].get("epoch_seconds")
    return statistics.median(epochs) if epochs else None


def _parameters_in_all(row: TrainingRow) -> float | None:
    """Count the parameters and what is saved beside them: no record has it, but the network tells."""
    return _counted(json.dumps({**row.get("configuration", {}), "seed": 0}, sort_keys=True))


@cache
def _counted(configuration: str) -> int | None:
    content = json.loads(configuration)
    try:
        experiment = validate(Experiment, content, [("", content)])
    except InputError:  # of a schema that has changed since
        return None
    from convlab.data.catalogue import DATASETS  # with PyTorch it takes seconds: only where it is needed
    from convlab.models.build import build_model
    from convlab.models.summary import summarise

    classes = len(DATASETS[experiment.dataset].classes)
    network = build_model(experiment, experiment.input_shape, classes)
    return summarise(network, experiment.input_shape).total_parameters


# In the order of a table's columns; those that a report may print come first
QUANTITIES = {
    "test_accuracy": Quantity("test accuracy", SHARE, _score("test", "accuracy"), images="test"),
    "test_loss": Quantity("test loss", LOSS, _score("test", "loss")),
    "penalised_test_loss": Quantity("test loss with penalty", LOSS, _own("penalised_test_loss")),
    "validation_accuracy": Quantity(
        "validation accuracy", SHARE, _score("validation", "accuracy"), images="validation"
    ),
    "validation_loss": Quantity("validation loss", LOSS, _score("validation", "loss")),
    "running_accuracy": Quantity("running train accuracy", SHARE, _own("running_accuracy")),
    "train_accuracy": Quantity("clean train accuracy", SHARE, _score("train", "accuracy")),
    "running_loss": Quantity("running train loss", LOSS, _own("running_loss")),
    "train_loss": Quantity("clean train loss", LOSS, _score("train", "loss")),
    "kernel_norm": Quantity("kernel norm", NORM, _own("kernel_norm")),
    "weight_norm": Quantity("weight norm", NORM, _own("weight_norm")),
    "parameters": Quantity("parameters", COUNT, _own("parameters")),
    "parameters_in_all": Quantity("parameters with statistics", COUNT, _parameters_in_all),
    "report_flops": Quantity("FLOPs", COUNT, _own("report_flops")),
    "seconds": Quantity("seconds", SECONDS, _seconds),
    "seconds_per_epoch": Quantity("seconds per epoch", EPOCH_SECONDS, _seconds_per_epoch),
    "last_lr": Quantity("last learning rate", RATE, _own("last_lr")),
    "epochs": Quantity("epochs", COUNT, _own("epochs")),
    "gap": Quantity("train − validation gap", SHARE, _own("gap"), images="validation"),
    "penalty": Quantity("L2 penalty", LOSS, _own("penalty")),
    "early_accuracy": Quantity("early accuracy", SHARE, _own("early_accuracy")),
    "oscillation_train_loss": Quantity("oscillation of the train loss", LOSS, _own("oscillation_train_loss")),
    "oscillation_validation_loss": Quantity(
        "oscillation of the validation loss", LOSS, _own("oscillation_validation_loss")
    ),
    "oscillation_validation_accuracy": Quantity(
        "oscillation of the validation accuracy", SHARE, _own("oscillation_validation_accuracy")
    ),
    "rise_validation_loss": Quantity("late rise of the validation loss", LOSS, _own("rise_validation_loss")),
    "epoch_seconds": Quantity("median epoch seconds", EPOCH_SECONDS, _epoch_seconds),
    "confusion_share": Quantity("confusion share", SHARE, None),
    "map_distance": Quantity("map distance", NORM, None),
}
# The columns of `results.frame`: what is read of each training, without building its network
OF_TRAININGS = tuple(key for key, one in QUANTITIES.items() if one.read and key != "parameters_in_all")


def text_of(quantity: str, number: float) -> str:
    """Return a number as every table shows it: `99.53%`, `0.0176`."""
    return QUANTITIES[quantity].scale.text(number)


def difference_text(quantity: str, number: float, sign: str = "+") -> str:
    """Return a difference of two results: of accuracies and gaps in percentage points."""
    return QUANTITIES[quantity].scale.difference_text(number, sign)


def value(row: TrainingRow, quantity: str) -> float | None:
    """Look up a number of a training: `test_accuracy`, `gap`, `seconds_per_epoch`, …; None if it has none."""
    read = QUANTITIES[quantity].read
    return read(row) if read else None
