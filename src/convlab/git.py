"""Git, called as a program."""

import os
import subprocess
from collections.abc import Mapping

PATIENCE = 60  # seconds; a repository on a file system that hangs must not hold a training up


class GitError(Exception):
    """Git is not installed, or refused; the text is what it said."""


def run(*arguments: str, given: str = "", environment: Mapping[str, str] | None = None) -> str:
    """Return what `git ARGUMENTS` prints, with line ends as they are.

    `given`: its standard input; `environment`: variables beside those of this process.

    Raises:
        GitError: it is not installed, ended with an error, took a minute, or printed what is not UTF-8.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],
            input=given.encode(),
            env={**os.environ, "LC_ALL": "C", **(environment or {})},  # its messages are read, below too
            capture_output=True,
            check=True,
            timeout=PATIENCE,
        )
        return done.stdout.decode()
    except subprocess.CalledProcessError as error:
        raise GitError(error.stderr.decode(errors="replace").strip()) from None
    except (OSError, ValueError, subprocess.SubprocessError) as error:  # ValueError: a null in an argument
        raise GitError(str(error)) from None


def output_or_none(*arguments: str, given: str = "") -> str | None:
    """Return what `git ARGUMENTS` prints, or None if it fails."""
    try:
        return run(*arguments, given=given)
    except GitError:
        return None


def ownership_hint() -> str:
    """Return what to do if git refuses a repository of another user; empty if it does not refuse."""
    try:
        run("rev-parse", "--git-dir")
    except GitError as error:
        if "dubious ownership" in str(error):
            folder = str(error).partition("'")[2].partition("'")[0]
            return (
                f"git refuses {folder}, which belongs to another user; "
                f"`git config --global --add safe.directory {folder}` lets it"
            )
    return ""
