"""Markdown pages with generated parts: each stands between `<!-- NAME -->` and `<!-- /NAME -->`."""

from collections.abc import Iterable
from pathlib import Path

from convlab import files
from convlab.errors import InputError


def row(cells: Iterable[object]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def read(page: Path) -> str:
    """Return a page's text.

    Raises:
        InputError: it is not there, or is not UTF-8.
    """
    try:
        return page.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{page}: unreadable ({error}); `git checkout {page}` brings it back") from None


def insert(text: str, name: str, content: str, page: Path) -> str:
    """Return a page's text with the part of this name replaced.

    Raises:
        InputError: the page lacks the markers.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if begin not in text or end not in text:
        raise InputError(
            f"{page}: found no {begin.strip()} … {end}; put them where the table of {name} belongs"
        )
    before, rest = text.split(begin, 1)
    return f"{before}{begin}{content}{end}{rest.split(end, 1)[1]}"


def rewrite(page: Path, name: str, content: str) -> None:
    """Replace the part of this name in a page.

    Raises:
        InputError: the page lacks the markers, or cannot be read.
    """
    files.write_text(page, insert(read(page), name, content, page))
