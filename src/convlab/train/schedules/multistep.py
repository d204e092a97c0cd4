"""A rate that is reduced when given epochs begin."""

from convlab.schema.training import MultiStep
from convlab.train.schedules.schedule import Factor


def multistep(section: MultiStep) -> Factor:
    """Return a power of the section's factor, one higher from each of its epochs on."""
    return lambda time: section.factor ** sum(int(time) + 1 >= mark for mark in section.milestones)
