"""One training from prepared data to results: what the train stage does once, and a sweep for each trial."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from convlab.data.dataset import load_split, load_statistics
from convlab.models.build import build_model
from convlab.models.summary import summarise
from convlab.models.weights import hash_weights, kernel_norm, weight_norm
from convlab.pipeline.provenance import environment, fingerprint, hash_data, run_context
from convlab.schema import Experiment
from convlab.train.checkpoint import Checkpoints
from convlab.train.device import prepare_process, select_device, select_precision
from convlab.train.fit import fit
from convlab.train.history import History, Record
from convlab.train.progress import reporting


@dataclass(frozen=True)
class Trained:
    """A trained model and its records. `results` are bit-equal on a rerun, `timing` is not."""

    model: nn.Module
    curves: list[Record]
    iterations: list[Record]
    results: dict[str, Any]
    timing: dict[str, Any]


def fingerprint_of(experiment: Experiment, folder: Path) -> str:
    """Return the fingerprint of training `experiment` on the prepared data in `folder`."""
    return fingerprint(experiment, hash_data(folder))


def train(
    label: str,
    experiment: Experiment,
    folder: Path,
    checkpoints: Checkpoints | None = None,
    fit: Callable[..., History] = fit,
) -> Trained:
    """Train one experiment on the prepared data in `folder`; progress is shown under `label`.

    If there are checkpoints, it resumes from the last. `fit` is the training loop, or one with its arguments.

    Raises:
        InfeasibleGeometry: the model leaves nothing of the image.
        Diverged: a loss is no longer finite.
        Interrupted: the checkpoints were asked to end the training.
    """
    device = select_device(experiment.device)
    prepare_process(experiment.threads, experiment.deterministic)
    statistics = load_statistics(folder)
    training, validation = load_split(folder, "train"), load_split(folder, "validation")
    model = build_model(experiment, statistics.input_shape, len(statistics.classes))
    identity = fingerprint_of(experiment, folder)  # before it takes hours, in which the code may be edited
    began, here = run_context(), environment(device)
    precision = select_precision(experiment.precision, device)
    checkpoints = checkpoints or Checkpoints()  # without a folder: none
    checkpoints.computed_on(here["device_name"], precision)
    utilisation: list[float] = []

    with reporting(label, experiment.epochs, len(training.labels)) as report:

        def on_epoch(history: History) -> None:
            report.epoch(history)
            utilisation.extend(_gpu_utilisation(device))

        transform = statistics.transform()
        callbacks = (report.step, on_epoch, checkpoints)
        history = fit(model, training, validation, transform, experiment, device, *callbacks)

    speeds = [len(training.labels) / seconds for seconds in history.training_seconds]
    best = history.records[history.best_epoch - 1]
    return Trained(
        model=model,
        curves=history.records,
        iterations=history.iterations,
        results={
            "seed": experiment.seed,
            "epochs": len(history.records),
            "best_epoch": history.best_epoch,
            "validation_loss": best["validation_loss"],
            "validation_accuracy": best["validation_accuracy"],
            # As training loops print them: means over the epoch's steps, with dropout and augmentation
            "running_loss": best["train_loss"],
            "running_accuracy": best["train_accuracy"],
            **size(model, statistics.input_shape),
            "penalty": best["penalty"],
            "kernel_norm": kernel_norm(model),
            "weight_norm": weight_norm(model),
            "weights": hash_weights(model),
            "device": device.type,
            "precision": precision,
            "fingerprint": identity,
        },
        timing={
            "fingerprint": identity,
            **began,
            "seconds": sum(history.epoch_seconds),
            "images_per_second": median(speeds),
            "epoch_seconds": history.epoch_seconds,
            "cut_offs": history.cut_offs,
            **_gpu_timing(device, history, utilisation),
            **here,
            "device_name": ", then ".join(checkpoints.hardware),
        },
    )


def size(model: nn.Module, input_shape: list[int]) -> dict[str, int]:
    """Count trainable parameters, and operations in both conventions (see `Summary`)."""
    summary = summarise(model, input_shape)
    return {
        "parameters": summary.trainable_parameters,
        "flops": summary.flops,
        "report_flops": summary.report_flops,
    }


def _gpu_utilisation(device: torch.device) -> list[float]:
    """Return the share of the last second or so in which the GPU was busy, from 0 to 1, in a list."""
    if device.type != "cuda":
        return []
    try:
        return [torch.cuda.utilization(device) / 100]
    except Exception:  # no NVML: the timing has no utilisation
        return []


def _gpu_timing(device: torch.device, history: History, utilisation: list[float]) -> dict[str, Any]:
    if device.type != "cuda":
        return {}
    return {
        "device_seconds": sum(history.device_seconds),
        "peak_memory_mib": torch.cuda.max_memory_allocated(device) / 2**20,
        "utilisation": sum(utilisation) / len(utilisation) if utilisation else None,
    }
