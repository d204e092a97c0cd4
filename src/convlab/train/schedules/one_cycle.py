"""One cycle: a rate that rises from a 25th, then falls to zero (Smith and Topin, 2018)."""

from convlab.schema.training import OneCycle
from convlab.train.schedules.rise_and_fall import rise_and_fall
from convlab.train.schedules.schedule import Factor

START = 1 / 25  # of the peak, as in Smith and Topin (2018) and in PyTorch


def one_cycle(section: OneCycle, epochs: int) -> Factor:
    """Return a factor that rises for a fraction `warmup` of the training, and is 0 at the end."""
    return lambda time: rise_and_fall(time, section.warmup * epochs, epochs, START)
