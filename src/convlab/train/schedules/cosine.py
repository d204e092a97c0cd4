"""A rate that falls along half a cosine (Loshchilov and Hutter, 2017), after a warm-up."""

from convlab.schema.training import Cosine
from convlab.train.schedules.rise_and_fall import rise_and_fall
from convlab.train.schedules.schedule import Factor


def cosine(section: Cosine, epochs: int) -> Factor:
    """Return a factor that rises from 0 for `warmup` epochs, and is 0 again at the end."""
    return lambda time: rise_and_fall(time, section.warmup, epochs, start=0.0)
