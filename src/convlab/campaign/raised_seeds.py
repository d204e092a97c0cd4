"""`seeds: N` in params.yaml and studies.yaml while an item is trained, and for good only once it is."""

import shutil
import sys
from collections.abc import Iterator, Mapping
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
    folder, raised = files.scratch() / "before", RaisedSeeds()
    copies = {folder / path.name: path for path in (PARAMS, STUDIES) if wanted and path.exists()}
    written: dict[Path, bytes] = {}
    try:
        for copy, path in copies.items():
            files.copy(path, copy)
        if wanted:
            raised.lines = set_seeds(PARAMS, wanted)
        written = {path: path.read_bytes() for path in copies.values()}
        yield raised
    finally:
        if not raised.stay:
            edited = [path for copy, path in copies.items() if not _undo(copy, path, written.get(path))]
            for path in edited:
                lines = ", ".join(raised.lines)
                print(f"{path}: edited since, where {lines} was set; undo that by hand", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)


def _undo(before: Path, path: Path, written: bytes | None) -> bool:
    """Undo what was written, and leave what others have; return whether that was possible.

    `before`: a copy of the file as it was; `written`: as it was then written, None: while it was.
    """
    if not before.exists():  # there was no room for the copy, so nothing was written
        return True
    if not path.exists():  # removed since
        return True
    if written is None or path.read_bytes() == written:
        files.move(before, path)
        return True
    base = before.with_suffix(".written")
    with suppress(OSError, git.GitError):  # a full disk; a conflict: the same lines were edited
        files.write_bytes(base, written)
        files.write_bytes(path, git.run_bytes("merge-file", "-p", str(path), str(base), str(before)))
        return True
    return False
