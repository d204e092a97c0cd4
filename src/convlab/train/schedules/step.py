"""A rate that is reduced at intervals."""

from convlab.schema.training import Step
from convlab.train.schedules.schedule import Factor


def step(section: Step) -> Factor:
    """Return a power of the section's factor, one higher after every `every` epochs."""
    return lambda time: section.factor ** (int(time) // section.every)
