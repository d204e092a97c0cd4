"""Command lines of this folder: a bad option is one line and exit status 2, as everywhere in convlab."""

import argparse
import math

from convlab.errors import Parser

__all__ = ["Parser", "count", "fraction", "seconds"]


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a whole number from 1")
    return number


def fraction(text: str) -> float:
    """Read a number above 0 and at most 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: above 0, and at most 1")
    return number


def seconds(text: str) -> float:
    """Read a duration in seconds, 0 or more."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: seconds, 0 or more")
    return number
