"""The layers of a trained network, as `convlab summary` prints them."""

from typing import Any

from convlab.data.catalogue import DATASETS
from convlab.errors import InputError
from convlab.pipeline.made_from import configuration
from convlab.results import folders


def layers(name: str) -> dict[str, Any] | None:
    """Return the rows of an experiment's network, and their totals; None for a sweep, or if no training of it
    is valid under the current schema."""
    from convlab.models.build import build_model
    from convlab.models.summary import summarise
    from convlab.networks.describe import layer_rows

    trainings = folders.load(name).trainings
    if not trainings or trainings[0]["name"] != name:
        return None
    try:
        experiment = configuration(trainings[0])
    except InputError:
        return None
    if experiment.dataset not in DATASETS:
        return None
    model = build_model(experiment, experiment.input_shape, len(DATASETS[experiment.dataset].classes))
    summary = summarise(model, experiment.input_shape)
    return {
        "name": name,
        "rows": layer_rows(summary),
        "parameters": f"{summary.trainable_parameters:,}",
        "macs": f"{summary.macs:,}",
    }
