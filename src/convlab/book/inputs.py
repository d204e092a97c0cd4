"""Whether a book is still that of all that it reads: hashes of both, kept in its folder."""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import convlab
from convlab import files
from convlab.book import runtime

KEPT = ".inputs"  # in the book's folder, written last
# Whole folders, so that nothing is forgotten; a test compares them with the files that are opened
READ = (
    *(files.PARAMS, files.STUDIES, files.DATASET_CARDS, files.METRICS, files.PLOTS, files.CHAMPIONS),
    *(Path("reports.yaml"), Path("docs/reports.md"), Path(".dvc/plots/page.html")),
)
# By size and time: they may be gigabytes, and DVC replaces a file rather than writing into it
LARGE = (files.MODELS, files.PROCESSED, files.RAW, files.IMPORTED)


def digest() -> str:
    """Return a hash of all that a book is made from: results, pages, weights, code and installed packages."""
    read = [*READ, Path(convlab.__file__).parent, runtime.folder()]
    found = [f"{path} {_hash(path)}" for one in read for path in _files(one)]
    for path in (path for one in LARGE for path in _files(one)):
        stat = path.stat()
        found.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    installed = {path.name for entry in sys.path for path in Path(entry).glob("*.dist-info")}
    return _of([sys.version, *found, *sorted(installed)])


def keep(book: Path, made_from: str, left_out: str) -> None:
    """Write what a book was made from into its folder, and why the explore page is not in it."""
    content = {"inputs": made_from, "pages": _pages(book), "left_out": left_out}
    files.write_json(book / KEPT, content)


def left_out_of_current(book: Path) -> str | None:
    """Return why the explore page is not in a book, "" where it is; None unless the book is complete and is
    that of today's inputs."""
    try:
        kept = json.loads((book / KEPT).read_text(encoding="utf-8"))
        current = kept["inputs"] == digest() and kept["pages"] == _pages(book)
        return str(kept["left_out"]) if current else None
    except (OSError, ValueError, LookupError, TypeError):  # another version's, or an input that is gone
        return None


def _pages(book: Path) -> str:
    return _of([f"{path.relative_to(book)} {_hash(path)}" for path in _files(book) if path.name != KEPT])


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or all files of a folder in their order; compiled modules are none."""
    if path.is_file():
        yield path
    for one in sorted(path.rglob("*")):
        if one.is_file() and one.suffix != ".pyc":
            yield one


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _of(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
