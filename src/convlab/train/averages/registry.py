"""The averages of weights, by their sections of the schema; this module does nothing else."""

from typing import assert_never

from torch import nn

from convlab import schema
from convlab.schema.training import Average
from convlab.train.averages.ema import ExponentialMovingAverage
from convlab.train.averages.lookahead import SlowWeights
from convlab.train.averages.plain import PlainWeights


def build_average(model: nn.Module, section: Average | None) -> PlainWeights:
    """Return the average of a model's weights; call its `update` after each step of the optimiser."""
    match section:
        case None:
            return PlainWeights(model)
        case schema.training.EMA():
            return ExponentialMovingAverage(model, section)
        case schema.training.Lookahead():
            return SlowWeights(model, section)
        case _:
            assert_never(section)
