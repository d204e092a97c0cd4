"""What is seen in feature maps, in words and numbers: a paragraph for each network, from its pairs.json."""

from collections.abc import Mapping
from typing import Any

from convlab import files

CLOSE = 0.25  # of the distance of strangers: below it two maps nearly coincide
STEADY = 0.05  # of that distance: a smaller change over depth does not count


def text() -> str:
    """Return the Markdown of all networks, by name: a line for each.

    Raises:
        InputError: a file is damaged.
    """
    lines = []
    for path in sorted(files.PLOTS.glob("*/figures/pairs.json")):
        if said := of_network(files.read_json(path)):
            lines.append(f"* **{path.parent.parent.name}**: {said}")
    return "\n".join([*(lines or ["Nothing has been measured."]), ""])


def of_network(summary: Mapping[str, Any]) -> str:
    """Return how far the misclassified images of a network are from correct ones, from the first convolution
    to the last.

    The distances are medians over the pairs, 1 as between right images of the two classes. Empty where there
    are no pairs.
    """
    layers: Mapping[str, Any] = summary["layers"]
    convolutions = list(layers)[1:]  # the input comes before them
    if not convolutions:
        return ""
    first, last = (layers[convolutions[index]] for index in (0, -1))
    start, end = (one["taken_for"]["median"] for one in (first, last))
    change = end - start
    moved = (
        "stays as far from"
        if abs(change) < STEADY
        else "comes nearer to"
        if change < 0
        else "moves away from"
    )
    met = "nearly coincides with it" if end < CLOSE else "does not coincide with it"
    nearer = last["nearer_to_taken_for"]
    ends = f"{start:.2f} → {end:.2f}; 1 is typical for correctly classified images of the two classes"
    return (
        f"from the first to the last convolution, a misclassified image {moved} the correctly classified "
        f"image of the predicted class ({ends}) and {met}; two correctly classified images of one class end "
        f"{last['two_right']['median']:.2f} apart. {nearer:.0%} of {summary['pairs']:,} misclassified images "
        "end nearer to it than to an image of their own class."
    )
