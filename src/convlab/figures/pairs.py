"""Wrong samples beside right ones, in numbers: how far apart they are, convolution by convolution (R3).

R3 puts a wrong sample (of class a, taken for b) beside a right sample of b and finds their deep feature
maps nearly the same. Here that is a ratio: the distance of the two, divided by the median distance between
right samples of a and right samples of b, at the same layer. 1 is as far apart as strangers, which are any
right samples of the two classes; 0 is the same. Two controls have the same divisor: the wrong sample and a
right one of its own class a; and two right samples of b, which no mistake has brought together.

The right samples are the nearest ones in pixels: chosen by their deep maps, they would agree by construction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from convlab.figures.features import convolutions, watch
from convlab.figures.samples import Predictions

KINDS = ("taken_for", "own_class", "two_right")  # the wrong sample with either right one; the second control
LIMIT = 500  # wrong samples, the most confident: a network with thousands would take minutes
STRANGERS = 50  # right samples of each class for the medians, the first of the data set
BATCH = 50  # pairs: bounds the memory that their feature maps take
ROWS = 10  # right samples of each class in one pass: 100 distances for each pair of classes
TINY = 1e-12  # maps of a dead layer are all the same: there is nothing to divide by


class Pairs(NamedTuple):
    """Test images that are compared, by position, int64 [M] each.

    `wrong` are wrong samples, the most confident first; `taken` the nearest right samples of the classes
    they are taken for; `own` those of their own classes; `sibling` the right samples nearest to `taken`, of
    the same class.
    """

    wrong: Tensor
    taken: Tensor
    own: Tensor
    sibling: Tensor


@dataclass(frozen=True)
class Ratios:
    """Distances of pairs divided by those of strangers, float32 [layers, M] of each kind of pair.

    Layer 0 is the input, the others are the convolutions.
    """

    layers: list[str]
    kinds: dict[str, Tensor]


def find_pairs(inputs: Tensor, predictions: Predictions, limit: int = LIMIT) -> Pairs:
    """Find the nearest right samples, in pixels, of the most confident wrong samples.

    Left out are wrong samples of a class, or taken for one, with fewer than two right samples.

    Args:
        inputs: the test images as the network sees them, float32 [N, C, H, W].
        predictions: what the network said of them.
        limit: the number of pairs at most.
    """
    right, labels, predicted = predictions.correct(), predictions.labels, predictions.predicted
    known = torch.bincount(labels[right], minlength=len(predictions.classes)) > 1
    wrong = predictions.wrong_by_confidence()
    wrong = wrong[known[labels[wrong]] & known[predicted[wrong]]][:limit]

    def nearest(positions: Tensor, classes: Tensor) -> Tensor:
        distances = torch.cdist(inputs[positions].flatten(1), inputs[right].flatten(1))
        other = (labels[right] != classes[:, None]) | (right == positions[:, None])
        return right[distances.masked_fill(other, torch.inf).argmin(1)] if len(right) else positions

    taken = nearest(wrong, predicted[wrong])
    return Pairs(wrong, taken, nearest(wrong, labels[wrong]), nearest(taken, predicted[wrong]))


def pair_ratios(model: nn.Module, inputs: Tensor, predictions: Predictions, pairs: Pairs) -> Ratios:
    """Measure the pairs, of which there is at least one, at the input and at every convolution."""
    medians = _strangers(model, inputs, predictions)
    strangers = medians[:, predictions.labels[pairs.wrong], predictions.predicted[pairs.wrong]].clamp(
        min=TINY
    )
    found = []
    for four in torch.stack(pairs).split(BATCH, 1):
        found.append(torch.stack(_measured(model, inputs[four.flatten()], _within_fours)))
    ratios = torch.cat(found, -1) / strangers[:, None]
    return Ratios(["input", *convolutions(model)], dict(zip(KINDS, ratios.unbind(1), strict=True)))


def pair_distances(ratios: Ratios | None, predictions: Predictions) -> dict[str, Any]:
    """Summarise the ratios over all pairs, for JSON; None stands for no pairs.

    Per layer and kind of pair the quartiles; and the share of wrong samples that lie nearer to the right one
    of the class they are taken for than to that of their own.
    """
    summary: dict[str, Any] = {
        "wrong_samples": len(predictions.wrong_by_confidence()),
        "pairs": ratios.kinds["taken_for"].shape[1] if ratios else 0,
        "unit": "distance of the pair / median distance between right samples of its two classes",
        "layers": {},  # not a list: in a folder of plots, DVC would draw it as a curve
    }
    if ratios:
        for number, layer in enumerate(ratios.layers):
            row: dict[str, Any] = {}
            for kind, values in ratios.kinds.items():
                quartiles = values[number].quantile(torch.tensor([0.25, 0.5, 0.75]))
                names = ("first_quartile", "median", "third_quartile")
                row[kind] = {
                    name: round(float(value), 4) for name, value in zip(names, quartiles, strict=True)
                }
            nearer = ratios.kinds["taken_for"][number] < ratios.kinds["own_class"][number]
            row["nearer_to_taken_for"] = round(nearer.double().mean().item(), 4)
            summary["layers"][layer] = row
    return summary


def _measured(model: nn.Module, images: Tensor, measure: Callable[[Tensor], Tensor]) -> list[Tensor]:
    return [measure(images), *watch(model, images, measure).values()]


def _within_fours(maps: Tensor) -> Tensor:
    """Return the distances, [3, M], between the maps of wrong, taken, own and sibling, [4 M, C, H, W]."""
    wrong, taken, own, sibling = maps.flatten(1).chunk(4)
    two = ((wrong, taken), (wrong, own), (taken, sibling))
    return torch.stack([(one - other).norm(dim=1) for one, other in two])


def _strangers(model: nn.Module, inputs: Tensor, predictions: Predictions) -> Tensor:
    """Return the median distance between right samples of each two classes, [layers, classes, classes]."""
    right, count = predictions.correct(), len(predictions.classes)
    columns = []
    for label in range(count):
        own = right[predictions.labels[right] == label]
        own = own if len(own) else right[:1]  # no pair has this class: find_pairs leaves it out
        columns.append(own[torch.arange(STRANGERS) % len(own)])

    def between_classes(maps: Tensor) -> Tensor:
        features = maps.flatten(1)
        distances = torch.cdist(features, features).view(-1, count, len(features) // count, count)
        return distances.permute(1, 3, 0, 2).flatten(2)

    rows = torch.stack(columns, 1).split(ROWS)
    found = [_measured(model, inputs[part.flatten()], between_classes) for part in rows]
    return torch.stack([torch.cat(layer, -1).median(-1).values for layer in zip(*found, strict=True)])
