"""The schedules, by their sections of the schema; this module does nothing else."""

from typing import assert_never

from torch.optim import Optimizer

from convlab import schema
from convlab.schema import Experiment
from convlab.train.schedules.constant import constant
from convlab.train.schedules.cosine import cosine
from convlab.train.schedules.multistep import multistep
from convlab.train.schedules.one_cycle import one_cycle
from convlab.train.schedules.plateau import PlateauSchedule
from convlab.train.schedules.schedule import Schedule
from convlab.train.schedules.step import step


def build_schedule(optimizer: Optimizer, recipe: Experiment) -> Schedule:
    """Return the schedule that a recipe names, for its optimiser."""
    match recipe.schedule:
        case schema.training.Plateau() as section:
            return PlateauSchedule(optimizer, section)
        case schema.training.Constant():
            return Schedule(optimizer, constant())
        case schema.training.Step() as section:
            return Schedule(optimizer, step(section))
        case schema.training.MultiStep() as section:
            return Schedule(optimizer, multistep(section))
        case schema.training.Cosine() as section:
            return Schedule(optimizer, cosine(section, recipe.epochs))
        case schema.training.OneCycle() as section:
            return Schedule(optimizer, one_cycle(section, recipe.epochs))
        case _:
            assert_never(recipe.schedule)
