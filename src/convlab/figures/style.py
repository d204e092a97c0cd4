"""The common look of all figures, and how they are saved."""

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.text import Text

from convlab.files import write_bytes

# Okabe and Ito's palette: eight colours that colour-blind readers can tell apart
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
TRAIN, VALIDATION = PALETTE[0], PALETTE[1]
RIGHT, WRONG = PALETTE[2], PALETTE[1]
MAP = "viridis"  # perceptually even, and readable in grey
DPI = 100  # small files: they live in git
SMALLEST = 4  # points: what a text is shrunk to, and no further
METADATA = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}

LOOK: dict[Any, Any] = {  # rcParams
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=PALETTE),
    "grid.color": "#E5E5E5",
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.constrained_layout.use": True,
    "figure.dpi": DPI,
    "svg.hashsalt": "convlab",  # the ids in an SVG: random without it
}


@contextmanager
def styled() -> Iterator[None]:
    """Make and save figures in our look; the caller's settings are restored. Also a decorator."""
    with matplotlib.rc_context(LOOK):
        yield


def fit(text: Text, width: float) -> None:
    """Shrink a text that is wider than `width` inches; to be called once the figure has its size."""
    figure = text.get_figure()
    assert figure is not None
    drawn = text.get_window_extent().width / figure.dpi
    if drawn > width:
        text.set_fontsize(max(SMALLEST, float(text.get_fontsize()) * width / drawn))


def wrap(text: str, width: int) -> str:
    """Break a text into lines of at most `width` characters, between words where it can be."""
    return "\n".join(line for part in text.split("\n") for line in textwrap.wrap(part, width))


def count_of(count: float, one: str, several: str) -> str:
    """Return the number with its noun: `1 epoch`, `2,000 epochs`."""
    return f"{count:,.0f} {one if count == 1 else several}"


def save(figure: Figure, path: Path) -> Path:
    """Save a figure as PNG or SVG, by the name of the file, atomically, with nothing in it that changes from
    run to run; close it. Made and saved within `styled()`, so that all figures look alike."""
    assert plt.rcParams["svg.hashsalt"] == LOOK["svg.hashsalt"], f"{path}: drawn outside of styled()"
    kind = path.suffix[1:]
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=METADATA[kind])
    plt.close(figure)
    write_bytes(path, buffer.getvalue())
    return path
