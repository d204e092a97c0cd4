"""A rate that stays as it is."""

from convlab.train.schedules.schedule import Factor


def constant() -> Factor:
    """Return the factor 1 at all times."""
    return lambda time: 1.0
