"""Durations as people write them: 2h30m."""

import argparse
import re

UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}  # seconds
FORM = re.compile("".join(rf"(?:(\d+){unit})?" for unit in UNITS))
MOST = 30 * UNITS["d"]


def parse_duration(text: str) -> int:
    """Return the seconds of `2h30m`, `45m`, `90s`, `1d`; for a command line.

    Raises:
        ArgumentTypeError: it is not a duration, is 0, or is longer than 30 days.
    """
    found = FORM.fullmatch(text)
    numbers = found.groups(default="0") if found and text else ()
    seconds = sum(int(number) * size for number, size in zip(numbers, UNITS.values(), strict=False))
    if not 0 < seconds <= MOST:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: such as 2h30m, 45m, 90s, up to 30d")
    return seconds


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units: `2 h 30 min`, `45 s`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "1 min"
