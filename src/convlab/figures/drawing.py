"""The drawing of a network: its steps from left to right, in rows. All lengths are in inches."""

from math import ceil
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyArrowPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from torch import nn

from convlab.figures.steps import SUM, DrawnStep, Slab, steps_of
from convlab.models.summary import summarise

LONGEST = 6  # steps in a row
MARGIN, GAP = 0.35, 0.6  # around everything; between two steps, for an arrow at least
LINE = 0.165  # from one line of a label to the next
FORK = 0.2  # from where a shortcut leaves to its block
TEXT = 7.5  # points
INK, FAINT = "#222222", "#707070"
ARROW: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 8, "color": INK, "linewidth": 1, "shrinkA": 0}
ARROW |= {"shrinkB": 0}

Point = tuple[float, float]


def drawing(name: str, model: nn.Module, input_shape: list[int]) -> Figure:
    """Draw a network: a step for each convolution, pooling, linear layer or residual block.

    Args:
        name: the title.
        model: a `Sequential` whose composite children are residual blocks: their child `shortcut` leads to
            an addition, and what is registered after it follows the addition.
        input_shape: channels, height, width.
    """
    summary = summarise(model, input_shape)
    steps = steps_of(model, summary)
    count = ceil(len(steps) / ceil(len(steps) / LONGEST))
    rows = [steps[start : start + count] for start in range(0, len(steps), count)]
    slot = max(max(step.width, *map(_inches, step.label)) for step in steps) + GAP
    facts = f"{summary.trainable_parameters:,} trainable parameters · {summary.macs:,} multiply-accumulates"
    width = 2 * MARGIN + max(slot * count, _inches(name, 12), _inches(facts, 8.5))
    legend = _legend(steps, width)
    height = 2 * MARGIN + 0.85 + sum(_above(row) + _below(row) for row in rows) + 0.25 * len(legend)

    figure = plt.figure(figsize=(width, height), layout="none")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    axes.text(MARGIN, height - MARGIN, name, size=12, weight="bold", color=INK, va="top")
    axes.text(MARGIN, height - MARGIN - 0.27, facts, size=8.5, color=FAINT, va="top")
    y = height - MARGIN - 0.6
    end: Point | None = None
    for row in rows:
        middle = y - _above(row)
        if end is not None:
            start = MARGIN + (slot - row[0].width) / 2
            _draw_turn(axes, end, (start, middle), between=y + 0.04, right=MARGIN + slot * count)
        end = _draw_row(axes, row, middle, slot)
        y = middle - _below(row)
    _draw_legend(axes, legend)
    return figure


def _above(row: list[DrawnStep]) -> float:
    """From the middle of a row to its upper end: the slabs, and where there is one the shortcut's label."""
    return max(step.over + (0.2 if step.shortcut is None else 0.45) for step in row)


def _below(row: list[DrawnStep]) -> float:
    """From the middle of a row to its lower end, with the labels and the line to the next row."""
    return _to_label(row) + LINE * max(len(step.label) for step in row) + 0.2


def _to_label(row: list[DrawnStep]) -> float:
    return max(step.under for step in row) + 0.2


def _inches(text: str, size: float = TEXT) -> float:
    """Return the width of a text in bold."""
    path = TextPath((0, 0), text, size=size, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    return path.get_extents().width / 72


# ------------------------------------------------------------------------------------------------- drawing


def _draw_row(axes: Axes, row: list[DrawnStep], y: float, slot: float) -> Point:
    """Draw the steps of a row around the height `y`, and return where it ends."""
    end = (0.0, y)
    for number, step in enumerate(row):
        middle = MARGIN + slot * (number + 0.5)
        left = middle - step.width / 2
        if number > 0:
            _draw_line(axes, [(end[0] + 0.05, y), (left - 0.04, y)])
        end = (left + step.width, y)
        _draw_slabs(axes, step.slabs, left, y)
        if step.shortcut is not None:
            _draw_shortcut(axes, step, step.shortcut, left, y)
        for line, text in enumerate(step.label):
            weight = "bold" if line == 0 else "normal"
            colour = FAINT if line == len(step.label) - 1 else INK
            place = y - _to_label(row) - LINE * line
            axes.text(middle, place, text, size=TEXT, weight=weight, color=colour, ha="center", va="center")
    return end


def _draw_slabs(axes: Axes, slabs: list[Slab], left: float, y: float) -> None:
    for slab in slabs:
        right, low, high, back = left + slab.thickness, y - slab.height / 2, y + slab.height / 2, slab.slant
        front = [(left, low), (right, low), (right, high), (left, high)]
        roof = [(left, high), (right, high), (right + back, high + back), (left + back, high + back)]
        side = [(right, low), (right + back, low + back), (right + back, high + back), (right, high)]
        for corners, light in ((front, 0.3), (roof, 0.62), (side, -0.12)):
            shade = _mix(slab.colour, light)
            axes.add_patch(
                Polygon(corners, facecolor=shade, edgecolor="white", linewidth=0.6, joinstyle="round")
            )
        left = right


def _draw_shortcut(axes: Axes, step: DrawnStep, label: str, left: float, y: float) -> None:
    """Draw a block's addition, what follows it, and the shortcut that leads to it over the slabs."""
    start, middle, top = left - FORK, left + step.body + 3 * SUM, y + step.over + 0.13
    axes.plot([left + step.body + 0.03, middle], [y, y], color=INK, linewidth=1)
    _draw_line(axes, [(start, y), (start, top), (middle, top), (middle, y + SUM)])
    axes.text((start + middle) / 2, top + 0.05, label, size=TEXT - 0.5, color=INK, ha="center")
    axes.add_patch(Circle((start, y), 0.025, color=INK))
    if step.after:
        axes.plot([middle, middle + 2 * SUM], [y, y], color=INK, linewidth=1)
        _draw_slabs(axes, step.after, middle + 2 * SUM, y)
    axes.add_patch(Circle((middle, y), SUM, facecolor="white", edgecolor=INK, zorder=3))
    plus = 0.55 * SUM
    axes.plot([middle - plus, middle + plus], [y, y], color=INK, linewidth=1, zorder=4)
    axes.plot([middle, middle], [y - plus, y + plus], color=INK, linewidth=1, zorder=4)


def _draw_turn(axes: Axes, start: Point, end: Point, between: float, right: float) -> None:
    """Draw the line from the end of a row, beside its last label and between the rows, to the next one."""
    left = MARGIN - 0.08
    corners = [(right, start[1]), (right, between), (left, between), (left, end[1])]
    _draw_line(axes, [(start[0] + 0.05, start[1]), *corners, (end[0] - 0.04, end[1])])


def _draw_line(axes: Axes, corners: list[Point]) -> None:
    """Draw an arrow of horizontal and vertical parts, its corners rounded."""
    points, codes = [corners[0]], [Path.MOVETO]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        points += [_towards(corner, before), corner, _towards(corner, after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    path = Path([*points, corners[-1]], [*codes, Path.LINETO])
    axes.add_patch(FancyArrowPatch(path=path, **ARROW))


def _towards(start: Point, end: Point, distance: float = 0.1) -> Point:
    """Return the point at a distance from `start`, on a line that is horizontal or vertical."""
    share = distance / (abs(end[0] - start[0]) + abs(end[1] - start[1]))
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _mix(colour: str, light: float) -> tuple[float, float, float]:
    """Lighten a colour by a share from 0 to 1, or darken it by a negative one."""
    target = 1.0 if light > 0 else 0.0
    red, green, blue = (part + abs(light) * (target - part) for part in to_rgb(colour))
    return red, green, blue


def _legend(steps: list[DrawnStep], width: float) -> list[list[tuple[str, str, float]]]:
    """Return the lines of the legend: of each kind that was drawn the label, its colour, where it starts."""
    kinds = {slab.kind: slab.colour for step in steps for slab in [*step.slabs, *step.after]}
    lines: list[list[tuple[str, str, float]]] = [[]]
    left = MARGIN
    for kind, colour in kinds.items():
        own = 0.22 + _inches(kind) + 0.2
        if left + own > width - MARGIN:
            lines.append([])
            left = MARGIN
        lines[-1].append((kind, colour, left))
        left += own
    return lines


def _draw_legend(axes: Axes, lines: list[list[tuple[str, str, float]]]) -> None:
    for number, line in enumerate(reversed(lines), start=1):
        y = MARGIN + 0.25 * number
        for kind, colour, left in line:
            axes.add_patch(Rectangle((left, y - 0.06), 0.14, 0.12, facecolor=_mix(colour, 0.3)))
            axes.text(left + 0.22, y, kind, size=TEXT, color=INK, va="center")
    note = "height: the size of the map · thickness: the channels"
    axes.text(MARGIN, MARGIN, note, size=TEXT, color=FAINT, va="center")
