"""The classes that are confused most often, with examples."""

from collections import Counter

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from convlab.data.dataset import Split
from convlab.figures.samples import Predictions, show_image
from convlab.figures.style import PALETTE, WRONG, wrap

PAIRS = 8
LONG = 24  # characters: a longer name of a pair takes two lines
EXAMPLES = 3


def confused(name: str, split: Split, predictions: Predictions) -> Figure:
    """Draw a bar and a few images, the most confident first, for each of the most confused pairs."""
    groups: dict[tuple[int, int], list[int]] = {}
    for position in predictions.wrong_by_confidence().tolist():
        pair = int(predictions.labels[position]), int(predictions.predicted[position])
        groups.setdefault(pair, []).append(position)
    counts = Counter({pair: len(positions) for pair, positions in groups.items()}).most_common(PAIRS)
    largest = counts[0][1]
    figure, grid = plt.subplots(
        len(counts),
        1 + EXAMPLES,
        figsize=(7.5, 0.9 * len(counts) + 0.8),
        width_ratios=[4] + [1] * EXAMPLES,
        squeeze=False,
    )
    for row, ((truth, guess), count) in zip(grid, counts, strict=True):
        bar = row[0]
        names = f"{predictions.classes[truth]} → {predictions.classes[guess]}"
        names = names if len(names) <= LONG else wrap(names.replace(" → ", "\u00a0→\n"), LONG)
        bar.barh([names], [count], color=PALETTE[0], height=0.6)
        bar.text(count + largest / 60, 0, f"{count:,}", va="center")
        bar.set(xlim=(0, largest * 1.12), ylim=(-0.6, 0.6), xticks=[])
        bar.spines["bottom"].set_visible(False)
        bar.tick_params(axis="y", length=0, labelsize=11 if "\n" not in names else 9)
        bar.grid(False)
        for axes in row[1:]:
            axes.axis("off")
        for axes, position in zip(row[1:], groups[truth, guess], strict=False):
            show_image(axes, split.images[position])
            probability = float(predictions.probabilities[position].max())
            axes.set_title(f"{probability:.0%}", fontsize=8, color=WRONG, pad=2)
    total = sum(map(len, groups.values()))
    figure.suptitle(
        f"{name}: what is taken for what, {total:,} wrong of {len(split.labels):,} test images\n"
        "true class → predicted class, their number, the most confident ones (probability)",
        fontsize=10,
    )
    return figure
