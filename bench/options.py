"""Command lines of this folder: a bad option is one line and exit status 2, as everywhere in convlab."""

import argparse
import math
from typing import NoReturn

from convlab.errors import InputError


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Refuse a command line."""
        raise InputError(f"{message}; see --help")


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a whole number from 1")
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
