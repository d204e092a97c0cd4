"""Every report's headline accuracy surpassed on two cores: `make headlines`, its table and its figure."""

from collections.abc import Mapping
from pathlib import Path

from convlab import markdown
from convlab.headlines.contents import headlines
from convlab.headlines.table import table
from convlab.results.tables import README


def outputs(pages: Mapping[Path, str]) -> dict[Path, str]:
    """Return pages with the README's table of the headlines up to date."""
    return {**pages, README: markdown.insert(pages[README], "headlines", table(headlines()), README)}


def draw() -> Path:
    """Draw the README's figure of the headlines; return its path."""
    from convlab.figures.style import save, styled  # matplotlib takes a second
    from convlab.headlines.figure import PATH, figure

    with styled():
        return save(figure(headlines()), PATH)
