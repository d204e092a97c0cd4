"""The files of a result as they were at a revision, in a temporary folder."""

import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from convlab import files, git
from convlab.errors import InputError


@contextmanager
def checked_out(result: str, revision: str, *more: Path) -> Iterator[None]:
    """Work in a temporary folder that holds a result's files, what is declared, and `more`, at a revision:
    a branch, tag, commit or DVC experiment. What is not in it is left out.

    Raises:
        InputError: there is no such revision.
    """
    commit, name = git.commit_of(revision), result.partition("/")[0]
    if commit is None:
        raise InputError(git.why_no_commit(revision, f"found {revision!r} after the @"))
    wanted = (files.METRICS / name, files.PLOTS / name / "curves.csv", *files.DECLARED, *more)
    listed = git.output_or_none(
        "ls-tree", "-r", "--name-only", "-z", commit, "--", *(path.as_posix() for path in wanted)
    )
    with tempfile.TemporaryDirectory(prefix="convlab-") as folder:
        for path in filter(None, (listed or "").split("\0")):
            files.write_bytes(Path(folder) / path, git.run_bytes("show", f"{commit}:./{path}"))
        with chdir(folder):
            yield
