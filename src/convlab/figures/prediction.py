"""A network's prediction for one picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from convlab.data.pictures import Pixels


@dataclass(frozen=True)
class Prediction:
    """A picture, what the network saw of it (uint8 [C, H, W], of its data set's range), and the probability
    of each class, float32 [classes].

    `inverted`: it was dark on light where the network knows light on dark, or the other way round; `framed`:
    it was cut out and centred as the images of its data set are (see data/framing.py); `blank`: nothing
    stands out in it, so what the network makes of it means nothing.
    """

    path: Path
    pixels: Pixels
    inverted: bool
    framed: bool
    blank: bool
    probabilities: Tensor
    classes: Sequence[str]

    @property
    def best(self) -> list[tuple[str, float]]:
        """The classes with their probabilities, the most probable first."""
        order = self.probabilities.argsort(descending=True, stable=True).tolist()
        return [(self.classes[index], float(self.probabilities[index])) for index in order]

    def row(self) -> dict[str, Any]:
        """Return it as a row of a table; class and probability are None where nothing stands out."""
        name, probability = self.best[0]
        return {
            "image": str(self.path),
            "class": None if self.blank else name,
            "probability": None if self.blank else round(probability, 6),
            "inverted": self.inverted,
            "framed": self.framed,
        }
