"""How a command ends: errors that a user can correct are one clear line and exit status 2."""

import argparse
import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from convlab.interrupt import Interrupted, end_with_dvc, spare_imports

# Why a file cannot be written, where its user can help it
UNWRITABLE = {
    errno.ENOSPC: "no space left on the disk; make room, then run it again",
    errno.EDQUOT: "your share of the disk is used up; make room, then run it again",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
}


class InputError(Exception):
    """Bad input: the message names the key or file, what was found, what is allowed, what to do.

    It is one line, whatever the names in it hold: what cannot be printed is written as an escape.
    """

    def __init__(self, message: str):
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, without the usage before it; to be used inside `run`."""

    def error(self, message: str) -> NoReturn:
        """Raise the error as an `InputError`."""
        raise InputError(f"{message}; see --help")


def name_argument() -> str:
    """Return the one argument of a stage: the name of an experiment or a sweep.

    Raises:
        InputError: there is none, or more than one.
    """
    if len(sys.argv) != 2:
        raise InputError(
            f"found {len(sys.argv) - 1} arguments; allowed: one, an experiment's or a sweep's name"
        )
    return sys.argv[1]


def replace_unprintable() -> None:
    """Print a `?` for a character that the terminal's encoding lacks, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not where a test or a notebook put something else
            stream.reconfigure(errors="replace")


def use_headless_matplotlib() -> None:
    """Have matplotlib draw without a display; it reads the variable when it is imported.

    A notebook's `!dvc repro` inherits the notebook's own backend, whose module may not be installed here.
    """
    os.environ["MPLBACKEND"] = "Agg"


def run(main: Callable[[], int | None]) -> None:
    """Call `main` as the body of a command; an `InputError`, or a file that cannot be written, becomes one
    line on stderr and exit status 2; SIGINT, and SIGTERM during a training, one line and 128 more than their
    number."""
    command = Path(sys.argv[0]).stem
    replace_unprintable()
    use_headless_matplotlib()
    end_with_dvc()
    spare_imports()
    try:
        status = main()
    except InputError as error:
        print(f"{command}: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as ended:
        print(f"{command}: {ended}; run it again to resume", file=sys.stderr)
        sys.exit(128 + ended.number)
    except BrokenPipeError:  # `convlab results --csv | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"{command}: {where}{UNWRITABLE[error.errno]}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{command}: SIGINT", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    sys.exit(status or 0)
