"""How long a result takes on this machine: from earlier trainings of the same network, else from a step."""

import json
import os
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

import torch
from pydantic import ValidationError

from convlab import files, results
from convlab.config import trials_of
from convlab.config.seed_counts import Item
from convlab.data.catalogue import DATASETS
from convlab.data.dataset import Split
from convlab.data.transform import Transform
from convlab.errors import InputError
from convlab.models.build import build_model
from convlab.models.layers import InfeasibleGeometry
from convlab.networks.feasible import check_network
from convlab.pipeline.executors import EXECUTOR
from convlab.pipeline.executors.processes import at_once
from convlab.pipeline.ledger import Ledger
from convlab.pipeline.provenance import cpu_name
from convlab.pipeline.trainings import Trainings
from convlab.results.folders import finished, load
from convlab.schema import Experiment
from convlab.schema.training import Constant
from convlab.train.device import ALL_THREADS, prepare_process, select_device, select_precision
from convlab.train.fit import fit

START, EACH = 20.0, 3.0  # overhead in seconds, assumed: of an item (DVC, preparing, drawing), of a training
MOST = 128  # images of the step that is measured
FORWARD = 1 / 3  # of the cost of a training step, per image
OTHER_SPLITS = 1 / 6  # images of validation and test, per training image as published
VIEWS = {"none": 1, "flip": 2, "flip_shift": 6}


@dataclass(frozen=True)
class Estimate:
    """`seconds` of all missing trainings, `longest` of the longest one, and the `source` of both.

    What a cluster has room for is not asked: with another executor, the `source` says so.

    `done`: how many an interrupted run or an earlier result has already; `of`: how many there are.
    """

    seconds: float
    longest: float
    done: int
    of: int
    source: str


class NeverTimed(Exception):
    """No training of a network was timed on this machine."""


class TrainingSpeed:
    """Seconds that one image takes in one epoch here, by network: timed in earlier trainings, or measured.

    `measures`: whether to measure a step of a network that was never timed here.
    """

    def __init__(self, measures: bool = True) -> None:
        self.measures = measures
        self.measured: dict[str, float] = {}
        self.timed: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self.epochs: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)  # and of how many
        for name in finished():
            self._learn(name)

    def _learn(self, name: str) -> None:
        try:
            folder, timings = load(name), results.timings(name)
        except InputError:  # damaged: `convlab list` says so
            return
        for record in folder.trainings:
            if record["status"] != "finished":
                continue
            timing = results.own_timing(record, timings)
            try:
                experiment = Experiment.model_validate(record["configuration"])
                self.epochs[name, record["name"]].append((record["epochs"], experiment.epochs))
                here = _device_name(experiment)
            except (ValidationError, InputError):  # of another version of the schema; a GPU where none is
                continue
            if timing.get("seconds") and record["environment"].get("device_name") == here:
                seconds = timing["seconds"] / record["epochs"] / _images(experiment)
                self.timed[_network(experiment)].append((seconds, name))

    def of(self, experiment: Experiment) -> tuple[float, str]:
        """Return the seconds per image and where they come from.

        Raises:
            InfeasibleGeometry: the network cannot be built.
            NeverTimed: it was never timed here, and is not to be measured.
        """
        key = _network(experiment)
        if key in self.timed:
            names = sorted({name for _, name in self.timed[key]})
            return median(seconds for seconds, _ in self.timed[key]), f"timed here ({names[0]})"
        if not self.measures:
            check_network("", experiment)
            raise NeverTimed
        if key not in self.measured:
            self.measured[key] = seconds_per_image(experiment)
        return self.measured[key], "measured on one step"

    def estimate(self, name: str, item: Item, kept: Collection[int] = ()) -> Estimate:
        """Return how long those trainings of an item will take that are neither in its ledger nor `kept`.

        Raises:
            InputError: one of them needs a device that is not here.
            NeverTimed: one of them was never timed here, and is not to be measured.
        """
        trials = trials_of(name, item)
        done = {*kept, *_done(name, item)}
        missing = [trial for index, trial in enumerate(trials) if index not in done]
        each, sources = [0.0], dict[str, None]()
        for trial in missing:
            try:
                pace, source = self.of(trial.experiment)
            except InfeasibleGeometry:
                continue
            limit, stops = trial.experiment.epochs, trial.experiment.early_stopping is not None
            # Not of a training that a lower limit ended: a look at two epochs says nothing of where it stops
            known = [one for one, of in self.epochs[name, trial.name] if one < of or of >= limit]
            epochs = min(mean(known), limit) if known and stops else limit
            if stops and not known:
                source += ", at most"
            sources[source] = None
            each.append(EACH + pace * (epochs * _images(trial.experiment) + _scored(trial.experiment)))
        if sources and (executor := os.environ.get(EXECUTOR) or "processes") != "processes":
            sources[f"as if in processes here, not by {executor}"] = None
        side_by_side = at_once([trial.experiment for trial in missing]) if missing else 1
        seconds = START + max(sum(each) / side_by_side, max(each))
        return Estimate(
            seconds, START + max(each), len(done), len(trials), "; ".join(sources) or "all trained"
        )


def _done(name: str, item: Item) -> set[int]:
    """Return which trainings are finished in the ledger of an interrupted run."""
    try:
        jobs = Trainings(name, item, files.PROCESSED / name, files.ledger(name)).jobs
    except InputError:  # nothing prepared yet, so nothing trained
        return set()
    ledger = Ledger(files.ledger(name))
    return {index for index, job in enumerate(jobs) if ledger.find(job.key)}


def _images(experiment: Experiment) -> float:
    return DATASETS[experiment.dataset].train_images - experiment.split.validation


def _scored(experiment: Experiment) -> float:
    """Return the cost of an evaluation, as a number of images in training steps."""
    views, images = VIEWS[experiment.test_time_augmentation], DATASETS[experiment.dataset].train_images
    scored = min(experiment.train_images_scored or images, images)
    return FORWARD * views * (scored + OTHER_SPLITS * images)


def _network(experiment: Experiment) -> str:
    """Return what decides the seconds per image, as a key."""
    device = select_device(experiment.device)
    parts: Mapping[str, Any] = {
        "input": experiment.input_shape,
        "model": experiment.model.model_dump(mode="json", exclude_defaults=True),
        "engine": experiment.engine,
        "device": _device_name(experiment),
        "precision": select_precision(experiment.precision, device),
        "threads": experiment.threads,
    }
    return json.dumps(parts, sort_keys=True)


def _device_name(experiment: Experiment) -> str:
    device = select_device(experiment.device)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def seconds_per_image(experiment: Experiment) -> float:
    """Return the seconds that an image takes, from the second of two steps on random images.

    On a CPU it is the CPU time of one core, divided by the number of cores that the training uses: so the
    load of other processes does not count.
    """
    device = select_device(experiment.device)
    images = min(experiment.batch_size, MOST)
    recipe = experiment.model_copy(
        update={
            "epochs": 2,
            "batch_size": images,
            "schedule": Constant(name="constant"),
            "early_stopping": None,
            "resize": [],
            "iterations": False,
            "compile": False,
            "keep": "last",
            "threads": 1,
        }
    )
    prepare_process(recipe.threads, recipe.deterministic)
    dataset = DATASETS[recipe.dataset]
    channels = recipe.input_shape[0]
    generator = torch.Generator().manual_seed(recipe.seed)
    shape = (images, *dataset.shape)
    split = Split(
        torch.randint(0, dataset.max_value + 1, shape, generator=generator, dtype=torch.uint8),
        torch.randint(0, len(dataset.classes), (images,), generator=generator),
    )
    transform = Transform(
        1 / dataset.max_value, [0.0] * channels, [1.0] * channels, recipe.preprocess.greyscale, False
    )
    model = build_model(recipe, recipe.input_shape, len(dataset.classes))
    times: list[float] = []

    def note(_: Any) -> None:
        times.append(time.process_time())

    history = fit(model, split, split, transform, recipe, device, on_step=note, on_epoch=note)
    seconds = history.training_seconds[1] if device.type == "cuda" else times[2] - times[1]
    cores = 1 if device.type == "cuda" else min(experiment.threads or ALL_THREADS, ALL_THREADS)
    validation = FORWARD * recipe.split.validation / _images(experiment)
    return seconds / images / cores * (1 + validation)
