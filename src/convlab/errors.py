"""Errors that a user can mend: shown as one clear line, exit status 2."""

import sys
from collections.abc import Callable
from pathlib import Path


class InputError(Exception):
    """Bad input: the message names the key or file, what was found, what is allowed, what to do.

    It is one line, whatever the names in it hold: what cannot be printed is written as an escape.
    """

    def __init__(self, message: str):
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


def run(main: Callable[[], int | None]) -> None:
    """Call `main` as the body of a command; an `InputError` becomes one line on stderr and exit status 2."""
    try:
        status = main()
    except InputError as error:
        print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(status or 0)
