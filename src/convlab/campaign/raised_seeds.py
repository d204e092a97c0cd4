"""`seeds: N` in params.yaml and studies.yaml while an item is trained, and for good only once it is."""

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from convlab import files, git
from convlab.config.seed_counts import set_seeds
from convlab.files import PARAMS, STUDIES


@dataclass
class RaisedSeeds:
    """The `lines` that were written, and whether they are to stay."""

    lines: list[str] = field(default_factory=list)
    stay: bool = False


@contextmanager
def raised_seeds(wanted: Mapping[str, int]) -> Iterator[RaisedSeeds]:
    """Set the number of seeds of some items; at the end that is undone, even on a full disk, unless it is to
    stay: a result that lacks trainings would be stale. What others have written since then stays.

    Raises:
        InputError: the text is not laid out as expected; nothing is changed then.
    """
    raised = RaisedSeeds()
    edited = [path for path in (PARAMS, STUDIES) if wanted and path.exists()]
    try:
        for path in edited:
            files.copy(path, _before(path))
        if wanted:
            raised.lines = set_seeds(PARAMS, wanted)
        for path in edited:
            files.copy(path, _written(path))
        yield raised
    finally:
        _lower([] if raised.stay else edited)


def left_raised() -> bool:
    """Return whether seeds are raised, in a campaign that runs or was killed."""
    return _folder().exists()


def lower_left() -> None:
    """Undo what a campaign that was killed had raised, and say so; not in a file that is committed since."""
    if left_raised():
        left = [path for path in (PARAMS, STUDIES) if _raised_in(path) and not _committed(path)]
        for path in left:
            print(f"{path}: `seeds` is as it was before a campaign that was killed", file=sys.stderr)
        _lower(left)


def _lower(paths: Iterable[Path]) -> None:
    """Undo what was written there; name on stderr where the same lines have been edited since."""
    for path in paths:
        if not _undo(path):
            print(f"{path}: edited where `seeds` was raised; undo that by hand", file=sys.stderr)
    shutil.rmtree(_folder(), ignore_errors=True)


def _undo(path: Path) -> bool:
    """Undo what was written, and leave what others have; return whether that was possible."""
    before, written = _before(path), _written(path)
    if not before.exists():  # there was no room for the copy, so nothing was written
        return True
    if not path.exists():  # removed since
        return True
    if not written.exists() or path.read_bytes() == written.read_bytes():
        files.move(before, path)
        return True
    with suppress(OSError, git.GitError):  # a full disk; a conflict: the same lines were edited
        files.write_bytes(path, git.run_bytes("merge-file", "-p", str(path), str(written), str(before)))
        return True
    return False


def _raised_in(path: Path) -> bool:
    before, written = _before(path), _written(path)
    return before.exists() and not (written.exists() and before.read_bytes() == written.read_bytes())


def _committed(path: Path) -> bool:
    return git.output_or_none("status", "--porcelain", "--", str(path)) == ""  # None: no repository


def _folder() -> Path:
    return files.scratch() / "before"


def _before(path: Path) -> Path:
    return _folder() / path.name


def _written(path: Path) -> Path:
    return _folder() / f"{path.name}.written"
