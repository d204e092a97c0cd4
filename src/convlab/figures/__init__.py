"""Every figure of an experiment or a sweep, drawn from its files into plots/<name>/figures/."""

from pathlib import Path

import torch
from torch import Tensor, nn

from convlab import files
from convlab.data.preprocess import Split, Statistics, load_split, load_statistics
from convlab.figures.confusion import confusion
from convlab.figures.curves import learning_curves, trial_curves
from convlab.figures.features import feature_maps
from convlab.figures.histograms import parameter_histograms
from convlab.figures.samples import Guesses, sample_grid
from convlab.figures.style import save
from convlab.figures.trials import trial_table
from convlab.schema import Experiment, Sweep
from convlab.train.run import build_model, load_model

GRID = 40  # images in a grid of samples


def draw_experiment(name: str, experiment: Experiment) -> list[Path]:
    """Draw learning curves, confusion, correct and wrong samples, feature maps and histograms.

    Reads the weights, the predictions on the test images, and the prepared data of the experiment.
    """
    folder = files.PROCESSED / name / experiment.data_key()
    statistics = load_statistics(folder)
    test = load_split(folder, "test")
    guesses = Guesses(
        files.read_tensors(files.predictions(name))["probabilities"], test.labels, statistics.classes
    )
    model = load_model(experiment, statistics, files.weights(name))
    right, wrong = guesses.correct(), guesses.wrong_by_confidence()

    figures = {
        "curves": learning_curves(name, files.read_curves(files.PLOTS / name / "curves.csv")),
        "confusion": confusion(name, guesses),
        "correct": sample_grid(f"{name}: the first correct test images", test, guesses, right[:GRID]),
        "histograms": parameter_histograms(name, _layers(model), {name: model.state_dict()}),
    }
    if len(wrong):
        title = f"{name}: {len(wrong)} wrong test images of {len(test.labels):,}, the most confident first"
        figures["wrong"] = sample_grid(title, test, guesses, wrong[:GRID])
    for kind, index in (("correct", right[:1]), ("wrong", wrong[:1])):
        for position in index.tolist():
            title = f"{name}: feature maps, {guesses.caption(position)}"
            image = _input(test, position, statistics)
            figures[f"features_{kind}"] = feature_maps(title, model, image)
    return [save(figure, _folder(name) / f"{key}.png") for key, figure in figures.items()]


def draw_sweep(name: str, sweep: Sweep) -> list[Path]:
    """Draw the trials' learning curves, their results side by side, and histograms where L2 is varied."""
    rows = files.read_json(files.METRICS / name / "trials.json")
    figures = {"trials": trial_table(name, rows)}
    if any(row["status"] == "finished" for row in rows):
        figures["curves"] = trial_curves(name, files.read_curves(files.PLOTS / name / "curves.csv"))
    if any(row["status"] == "finished" for row in rows) and all(
        list(row["overrides"]) == ["l2"] for row in rows
    ):
        weights = {
            f"λ = {row['overrides']['l2']:g}": files.read_tensors(files.weights(name, row["name"]))
            for row in rows
            if row["status"] == "finished"
        }
        first = sweep.trials[0].experiment
        statistics = load_statistics(files.PROCESSED / name / first.data_key())
        layers = _layers(build_model(first, statistics.input_shape, len(statistics.classes)))
        figures["histograms"] = parameter_histograms(name, layers, weights)
    return [save(figure, _folder(name) / f"{key}.png") for key, figure in figures.items()]


def _layers(model: nn.Module) -> list[str]:
    return [name for name, layer in model.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def _folder(name: str) -> Path:
    return files.PLOTS / name / "figures"


def _input(split: Split, position: int, statistics: Statistics) -> Tensor:
    with torch.no_grad():
        return statistics.transform()(split.images[position : position + 1])
