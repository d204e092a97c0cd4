"""Feature maps of chosen test images, besides the correct and the wrong one that every experiment has."""

from collections.abc import Sequence
from pathlib import Path

import torch

from convlab import files
from convlab.data.dataset import load_split, load_statistics
from convlab.errors import InputError
from convlab.figures.features import feature_maps
from convlab.figures.samples import Predictions
from convlab.figures.style import save, styled
from convlab.models.build import load_model
from convlab.schema import Experiment


@styled()
def draw_chosen(name: str, experiment: Experiment, chosen: Sequence[str]) -> list[Path]:
    """Draw the maps of each test image in `chosen`, `CLASS/INDEX`, into plots/<name>/figures/.

    As in `feature_maps` of studies.yaml, INDEX counts the images of the class from 0.

    Raises:
        InputError: a class has fewer test images.
    """
    if not chosen:
        return []
    folder = files.PROCESSED / name / experiment.data_key()
    statistics = load_statistics(folder)
    test = load_split(folder, "test")
    positions = {one: _position(name, one, test.labels, statistics.classes) for one in chosen}
    probabilities = files.read_tensors(files.predictions(name))["probabilities"]
    predictions = Predictions(probabilities, test.labels, statistics.classes)
    model = load_model(experiment, statistics, files.weights(name, experiment.seed))
    drawn = []
    for one, position in positions.items():
        with torch.no_grad():
            image = statistics.transform()(test.images[position : position + 1])
        title = f"{name}: feature maps, {predictions.caption(position)}"
        path = files.PLOTS / name / "figures" / f"features_{one.replace('/', '_')}.png"
        drawn.append(save(feature_maps(title, model, image), path))
    return drawn


def _position(name: str, chosen: str, labels: torch.Tensor, classes: Sequence[str]) -> int:
    """Return where in the test images `CLASS/INDEX` is."""
    label, _, index = chosen.rpartition("/")
    own = (labels == classes.index(label)).nonzero().flatten()
    if int(index) >= len(own):
        raise InputError(
            f"studies.yaml: feature_maps.{name}: found {chosen!r}; the test images have {len(own):,} of this "
            f"class; allowed: {label}/0 to {label}/{len(own) - 1}"
        )
    return int(own[int(index)])
