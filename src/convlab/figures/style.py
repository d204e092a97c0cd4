"""The one look of all figures, and how they are saved."""

import io
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no display is needed, on a server or in CI

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.figure import Figure

from convlab.files import write_bytes

# Okabe and Ito's palette: eight colours that colour-blind readers can tell apart
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
TRAIN, VALIDATION = PALETTE[0], PALETTE[1]
RIGHT, WRONG = PALETTE[2], PALETTE[1]
MAP = "viridis"  # perceptually even, and readable in grey
DPI = 100  # small files: they live in git
METADATA = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}

plt.rcParams.update(
    {
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
)


def save(figure: Figure, path: Path) -> Path:
    """Save a figure as PNG or SVG, by the name of the file, atomically, with nothing in it that changes from
    run to run; close it."""
    kind = path.suffix[1:]
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=METADATA[kind])
    plt.close(figure)
    write_bytes(path, buffer.getvalue())
    return path
