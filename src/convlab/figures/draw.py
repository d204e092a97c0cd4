"""Every figure of an experiment or a sweep, drawn from its files into plots/<name>/figures/."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

from convlab import files
from convlab.data.augment.augmenter import Augmenter
from convlab.data.catalogue import DATASETS
from convlab.data.dataset import Split, Statistics, load_split, load_statistics
from convlab.figures.activation import activation_curve
from convlab.figures.augmentation import augmentation_grid
from convlab.figures.cells import write_cells
from convlab.figures.confused import confused
from convlab.figures.confusion import confusion
from convlab.figures.curves import iteration_curves, learning_curves
from convlab.figures.drawing import drawing
from convlab.figures.features import feature_maps
from convlab.figures.gradcam import gradcam_figure
from convlab.figures.histograms import parameter_histograms
from convlab.figures.pair_figures import pair_curve, pair_maps
from convlab.figures.pairs import find_pairs, pair_distances, pair_ratios
from convlab.figures.samples import Predictions, sample_grid
from convlab.figures.style import save, styled
from convlab.figures.trial_curves import trial_curves
from convlab.figures.trial_iterations import trial_iterations
from convlab.figures.trials import trial_table
from convlab.figures.weight_counts import write_weight_counts
from convlab.models.build import build_model, load_model
from convlab.models.layers import ACTIVATIONS
from convlab.schema import Experiment, Sweep, Trial

GRID = 30  # images in a grid of samples
FEW = 4  # right and wrong images with their heat maps
ORIGINALS, VERSIONS = 5, 7  # images that are augmented, and how often


@styled()
def draw_experiment(name: str, experiment: Experiment) -> list[Path]:
    """Draw what the report shows of an experiment, and write what the book takes from the same files: the
    distances of its pairs (pairs.json), and the images of its confusion matrix (cells.jpg, cells.json).

    Reads the weights of the first seed, its predictions on the test images, and the prepared data.
    """
    folder = files.PROCESSED / name / experiment.data_key()
    statistics = load_statistics(folder)
    test = load_split(folder, "test")
    probabilities = files.read_tensors(files.predictions(name))["probabilities"]
    predictions = Predictions(probabilities, test.labels, statistics.classes)
    model = load_model(experiment, statistics, files.weights(name, experiment.seed))
    with torch.no_grad():
        inputs = statistics.transform()(test.images)

    curves, iterations = (
        files.read_curves(files.PLOTS / name / f"{key}.csv") for key in ("curves", "iterations")
    )
    figures = {
        "curves.png": learning_curves(
            f"{name}: learning curves", curves, experiment.keep, experiment.monitor
        ),
        "confusion.png": confusion(name, predictions),
        "histograms.png": parameter_histograms(name, _layers(model), {name: model.state_dict()}),
        "model.svg": drawing(name, model, statistics.input_shape),
        **_samples(name, model, test, inputs, predictions),
        **_pairs(name, model, inputs, predictions),
    }
    if iterations:
        figures["iterations.png"] = iteration_curves(name, iterations)
    figures |= _activation(name, experiment)
    if experiment.augment:
        figures["augmentation.png"] = _augmentation(name, experiment, load_split(folder, "train"), statistics)
    largest = DATASETS[experiment.dataset].max_value
    write_cells(name, test.images, test.labels, predictions.predicted, statistics.classes, largest)
    return _save(name, figures)


@styled()
def draw_sweep(name: str, sweep: Sweep) -> list[Path]:
    """Draw the trials' learning curves, their results side by side, and histograms where L2 is varied.

    The histograms' numbers are written beside them (histograms.json), for the book's slider over λ, of
    those λ whose weights are here: trainings of another machine may be without.
    """
    rows = files.read_json(files.trainings(name))
    finished = {(row["name"], row["seed"]) for row in rows if row["status"] == "finished"}
    figures = _trials(name, rows)
    studies = _l2_studies(
        [
            trial
            for trial in sweep.trials
            if (trial.name, trial.experiment.seed) in finished and _weights(name, trial).is_file()
        ]
    )
    for study in studies:
        key = "histograms" if len(studies) == 1 else f"histograms_{study[0].name}"
        title = name if len(studies) == 1 else f"{name}, {study[0].name}"
        layers, weights = _l2_weights(name, study)
        labels = {trial.name: f"λ = {trial.experiment.l2:g}" for trial in study}
        models = {labels[trial]: tensors for trial, tensors in weights.items()}
        figures[f"{key}.png"] = parameter_histograms(title, layers, models)
        write_weight_counts(_folder(name) / f"{key}.json", layers, weights)
    return _save(name, figures)


@styled()
def draw_trials(name: str) -> list[Path]:
    """Draw those figures of a sweep that need no weights: from its records and its curves alone."""
    return _save(name, _trials(name, files.read_json(files.trainings(name))))


def _trials(name: str, rows: list[dict[str, Any]]) -> dict[str, Figure]:
    figures = {"trials.png": trial_table(name, rows)}
    curves, iterations = (
        files.read_curves(files.PLOTS / name / f"{key}.csv") for key in ("curves", "iterations")
    )
    if curves:
        figures["curves.png"] = trial_curves(name, curves)
        figures["curves_train.png"] = trial_curves(name, curves, "train")
    if iterations:
        figures["iterations.png"] = trial_iterations(name, iterations)
    return figures


def _activation(name: str, experiment: Experiment) -> dict[str, Figure]:
    """Draw the activation function, where a network has one that is not ReLU."""
    chosen = getattr(experiment.model, "activation", "relu")
    if chosen == "relu":
        return {}
    return {"activation.png": activation_curve(name, chosen, ACTIVATIONS[chosen]())}


def _samples(
    name: str, model: Any, test: Split, inputs: Tensor, predictions: Predictions
) -> dict[str, Figure]:
    right, wrong = predictions.correct(), predictions.wrong_by_confidence()
    figures = {}
    if len(right):
        title = f"{name}: the first correct test images"
        figures["correct.png"] = sample_grid(title, test, predictions, right[:GRID])
    if len(wrong):
        title = f"{name}: {len(wrong):,} wrong test images of {len(test.labels):,}, the most confident first"
        figures["wrong.png"] = sample_grid(title, test, predictions, wrong[:GRID])
        figures["confused.png"] = confused(name, test, predictions)
    for kind, index in (("correct", right[:1]), ("wrong", wrong[:1])):
        for position in index.tolist():
            title = f"{name}: feature maps, {predictions.caption(position)}"
            figures[f"features_{kind}.png"] = feature_maps(title, model, inputs[position : position + 1])
    figures["gradcam.png"] = gradcam_figure(name, model, inputs, predictions, right[:FEW], wrong[:FEW])
    return figures


def _pairs(name: str, model: nn.Module, inputs: Tensor, predictions: Predictions) -> dict[str, Figure]:
    pairs = find_pairs(inputs, predictions)
    ratios = pair_ratios(model, inputs, predictions, pairs) if len(pairs.wrong) else None
    summary = pair_distances(ratios, predictions)
    files.write_json(_folder(name) / "pairs.json", summary)
    if not ratios:
        return {}
    return {
        "pairs.png": pair_maps(name, model, inputs, predictions, pairs, ratios),
        "pair_distances.png": pair_curve(name, summary),
    }


def _augmentation(name: str, experiment: Experiment, train: Split, statistics: Statistics) -> Figure:
    images = train.images[:ORIGINALS]
    targets = F.one_hot(train.labels[:ORIGINALS], len(statistics.classes)).float()
    versions = [
        Augmenter(experiment.augment, experiment.seed, epoch, torch.device("cpu"))(images, targets)
        for epoch in range(1, VERSIONS + 1)
    ]
    max_value = DATASETS[experiment.dataset].max_value
    return augmentation_grid(name, images, targets, versions, statistics.classes, max_value)


def _l2_studies(trials: list[Trial]) -> list[list[Trial]]:
    """Group trials that differ in λ alone, of the seed that most of a group have, of several the first."""
    groups: dict[str, dict[int, dict[float, Trial]]] = {}
    for trial in trials:
        alike = {"l2": 0.0, "l2_on": "kernels", "seed": 0}  # without a penalty it is on nothing
        rest = trial.experiment.model_copy(update=alike).model_dump_json()
        seeds = groups.setdefault(rest, {}).setdefault(trial.experiment.seed, {})
        seeds.setdefault(trial.experiment.l2, trial)
    most = [max(seeds.values(), key=len) for seeds in groups.values()]
    return [list(group.values()) for group in most if len(group) > 1]


def _l2_weights(name: str, trials: list[Trial]) -> tuple[list[str], dict[str, dict[str, Tensor]]]:
    """Return the layers of a study, and the weights of each trial by its name."""
    weights = {trial.name: files.read_tensors(_weights(name, trial)) for trial in trials}
    first = trials[0].experiment
    statistics = load_statistics(files.PROCESSED / name / first.data_key())
    return _layers(build_model(first, statistics.input_shape, len(statistics.classes))), weights


def _weights(name: str, trial: Trial) -> Path:
    return files.weights(name, trial.experiment.seed, trial.name)


def _layers(model: nn.Module) -> list[str]:
    return [name for name, layer in model.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def _folder(name: str) -> Path:
    return files.PLOTS / name / "figures"


def _save(name: str, figures: dict[str, Figure]) -> list[Path]:
    return [save(figure, _folder(name) / key) for key, figure in figures.items()]
