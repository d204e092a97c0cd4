"""A warm-up, then half a cosine (Loshchilov and Hutter, 2017)."""

import math


def rise_and_fall(time: float, warmup: float, epochs: int, start: float) -> float:
    """Rise linearly from `start` to 1 until `warmup`, then fall to 0 along half a cosine."""
    if time < warmup:
        return start + (1 - start) * time / warmup
    return (1 + math.cos(math.pi * (time - warmup) / max(epochs - warmup, 1e-9))) / 2
