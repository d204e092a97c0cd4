"""How many trainings are wanted at once."""

import os

from convlab.errors import InputError

WORKERS = "CONVLAB_WORKERS"


def workers_asked_for() -> int | None:
    """Return how many trainings CONVLAB_WORKERS wants at once, or None if it leaves that open.

    Raises:
        InputError: CONVLAB_WORKERS is not a number from 1 up.
    """
    wanted = os.environ.get(WORKERS, "")
    if wanted and not (wanted.isdecimal() and int(wanted)):
        raise InputError(f"{WORKERS}: found {wanted!r}; allowed: a whole number from 1 up, or nothing")
    return int(wanted) if wanted else None
