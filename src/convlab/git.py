"""Git, called as a program."""

import os
import re
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

PATIENCE = 60  # seconds; a repository on a file system that hangs must not hold a training up


class GitError(Exception):
    """Git is not installed, or refused; the text is what it said."""


class DvcExperiment(NamedTuple):
    """What DVC keeps of an experiment: its name, its commit, and the one that it began from."""

    name: str
    commit: str
    base: str


def run(*arguments: str, given: str = "", environment: Mapping[str, str] | None = None) -> str:
    """Return what `git ARGUMENTS` prints, with line ends as they are.

    `given`: its standard input; `environment`: variables beside those of this process.

    Raises:
        GitError: it is not installed, ended with an error, took a minute, or printed what is not UTF-8.
    """
    printed = run_bytes(*arguments, given=given, environment=environment)
    try:
        return printed.decode()
    except ValueError as error:
        raise GitError(str(error)) from None


def run_bytes(*arguments: str, given: str = "", environment: Mapping[str, str] | None = None) -> bytes:
    """Return what `git ARGUMENTS` prints, as `run` does, which may be no text.

    Raises:
        GitError: it is not installed, ended with an error, or took a minute.
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
        return done.stdout
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


def dvc_experiments() -> list[DvcExperiment]:
    """List the DVC experiments of this repository.

    Raises:
        GitError: this is not a git repository.
    """
    listed = run("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
    found = re.findall(r"^([0-9a-f]+) refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(.+)$", listed, re.M)
    return [DvcExperiment(name, commit, first + rest) for commit, first, rest, name in found]


def commit_of(revision: str) -> str | None:
    """Return the commit of a branch, tag, commit or DVC experiment, in this order; None if there is none.

    Of several experiments with one name, that of the current commit; without it, none is meant.
    """
    found = output_or_none("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found is not None and re.fullmatch(r"[0-9a-f]+\n", found):  # of `^HEAD` it prints `^` and a hash
        return found.strip()
    try:
        named = {one.base: one.commit for one in dvc_experiments() if one.name == revision}
    except GitError:
        return None
    return named.get((output_or_none("rev-parse", "HEAD") or "").strip()) or (
        next(iter(named.values())) if len(named) == 1 else None
    )


def why_no_commit(revision: str, found: str) -> str:
    """Return why `commit_of` gives none of a revision, and what to do; `found`: how the message names it."""
    try:
        named = [one for one in dvc_experiments() if one.name == revision]
    except GitError:
        named = []
    if refused := ownership_hint():
        return refused
    if named:
        commits = ", ".join(one.commit[:12] for one in named)
        return f"{found}, the name of several DVC experiments; allowed: the commit of one ({commits})"
    return (
        f"{found}; allowed: a branch, tag, commit or DVC experiment of this git repository "
        "(`git fetch` brings those that are elsewhere)"
    )


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
