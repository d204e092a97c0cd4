"""The optimisers, by their sections of the schema; this module does nothing else."""

from typing import assert_never

from torch import nn
from torch.optim import Optimizer

from convlab import schema
from convlab.schema import Experiment
from convlab.train.optimizers.adam import build_adam
from convlab.train.optimizers.muon import build_muon
from convlab.train.optimizers.sgd import build_sgd


def build_optimizer(model: nn.Module, recipe: Experiment) -> Optimizer:
    """Return the optimiser that a recipe names, for a model that is on its device already."""
    match recipe.optimizer:
        case schema.training.Adam() as settings:
            return build_adam(model, settings, recipe)
        case schema.training.SGD() as settings:
            return build_sgd(model, settings, recipe)
        case schema.training.Muon() as settings:
            return build_muon(model, settings, recipe)
        case _:
            assert_never(recipe.optimizer)
