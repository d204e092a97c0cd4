"""Seconds and test accuracy of a whole training, many seeds; in turns with a speed run's own script.

    python bench/speed/time_to_accuracy.py cifar10_fast --target 0.94 --seeds 20 --compile --beside SCRIPT

Each seed is trained with the experiment's recipe and tested once, at its end. Its seconds are those of
whitening, training and testing (with the views that the recipe names), until the device is done; imports,
reading the data, copying it to the device and the validation after each epoch are apart, and so is the first
training of a process, which warms it up. Blocks of seeds of ours and of the script's take turns, each block a
process; what a file holds already is resumed.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.options import Parser, count, fraction
from bench.speed.cases import experiment_of
from bench.speed.suite import child, results_path
from bench.speed.target_table import target_table
from convlab import files
from convlab.data.dataset import Prepared, load_split, load_statistics
from convlab.data.preprocess import prepare
from convlab.data.readers.registry import read
from convlab.errors import InputError, run
from convlab.models.build import build_model
from convlab.pipeline.provenance import environment, run_context
from convlab.schema import SPLITS, Experiment
from convlab.train.device import prepare_process, select_device, select_precision
from convlab.train.fit import fit
from convlab.train.history import History
from convlab.train.inference import logits_of, score
from convlab.train.loader import to_device

SPEEDRUNS = ("airbench94_muon.py", "cifar10_speedrun.py")  # see bench/baselines/speedruns.py
BLOCK = 10  # seeds per process: enough that start-up and compilation are a small part

Row = dict[str, Any]


def main() -> None:
    """Train the blocks that are missing, or, as a child process, one of ours; print the table."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("experiment")
    parser.add_argument("--target", type=fraction, required=True, help="an accuracy, 0 to 1")
    parser.add_argument("--seeds", type=count, default=20)
    parser.add_argument("--epochs", type=count, help="instead of the experiment's")
    parser.add_argument("--beside", type=Path, help=f"{' or '.join(SPEEDRUNS)}, unchanged; needs CUDA")
    parser.add_argument("--compile", action="store_true", help="ours with torch.compile; theirs always are")
    parser.add_argument("--block", type=count, default=BLOCK, help="seeds of one process (%(default)s)")
    parser.add_argument("--prepared", type=Path, help="a folder of prepared data by key, as a lease has")
    parser.add_argument("--out", type=Path, help="(bench/results/<device>-EXPERIMENT.json)")
    parser.add_argument("--first", type=count, help="train --seeds from this one on, in this process")
    options = parser.parse_args()
    experiment = experiment_of(options.experiment, select_device("auto").type)
    if options.epochs:
        experiment = experiment.model_copy(update={"epochs": options.epochs})
    if options.compile:
        experiment = experiment.model_copy(update={"compile": True})
    options.data = options.prepared and options.prepared / experiment.data_key()
    if options.data and not options.data.is_dir():
        raise InputError(f"--prepared: found no {options.data}; allowed: a folder that has it")
    if options.beside and not (options.beside.name in SPEEDRUNS and options.beside.is_file()):
        raise InputError(
            f"--beside: found {str(options.beside)!r}; allowed: the path of {' or '.join(SPEEDRUNS)}"
        )
    if options.beside and experiment.device != "cuda":
        raise InputError(
            "--beside: a speed run's script needs CUDA, which is not available here; leave it out"
        )
    raw = files.RAW / experiment.dataset
    if not options.data and not raw.is_dir():
        raise InputError(f"{raw}: not there; `dvc repro download` fetches it for what `run` selects")
    if options.first:
        prepared = (
            load(options.data) if options.data else prepare(read(experiment.dataset, files.RAW), experiment)
        )
        print(json.dumps(block(experiment, prepared, options.target, options.first, options.seeds)))
        return
    device = torch.device(experiment.device)
    options.out = options.out or results_path(f"-{options.experiment}", device)
    print(target_table(measure(options, experiment, device)))


def measure(options: Any, experiment: Experiment, device: torch.device) -> Row:
    """Alternate blocks of ours and of the script's until all are in the file; return its content.

    Raises:
        InputError: the file is of another measurement.
    """
    about = {"experiment": options.experiment, "target": options.target, "epochs": experiment.epochs}
    about |= {"batch_size": experiment.batch_size, "compile": experiment.compile}
    about["beside"] = options.beside and options.beside.stem
    about["precision"] = select_precision(experiment.precision, device)
    here = {**run_context(), **environment(device)}
    about |= {key: here[key] for key in ("git_commit", "device_name", "torch")}
    results = {**here, **about, "ours": [], "theirs": []}
    if options.out.exists():
        results = files.read_json(options.out)
        if changed := [key for key, value in about.items() if results.get(key) != value]:
            raise InputError(f"--out: {options.out} has another {changed[0]}; name another file")
    while len(results["ours"]) < options.seeds:
        done = len(results["ours"])
        arguments = ["--target", str(options.target), "--first", str(done + 1)]
        arguments += ["--seeds", str(min(options.block, options.seeds - done))]
        arguments += ["--epochs", str(experiment.epochs)]
        arguments += ["--compile"] if options.compile else []
        arguments += ["--prepared", str(options.prepared)] if options.data else []
        results["ours"] += child("speed/time_to_accuracy.py", options.experiment, *arguments)
        files.write_json(options.out, results)  # theirs takes minutes, and may fail
        if options.beside:
            runs = len(results["ours"]) - len(results["theirs"])
            place = [str(options.data)] if options.data else []
            results["theirs"] += child("baselines/speedruns.py", str(options.beside), str(runs), *place)
            files.write_json(options.out, results)
        print(f"{len(results['ours'])} of {options.seeds} seeds", flush=True)
    return results


def load(folder: Path) -> Prepared:
    """Return the prepared data in a folder."""
    train, validation, test = (load_split(folder, name) for name in SPLITS)
    return Prepared(train, validation, test, load_statistics(folder))


def block(experiment: Experiment, prepared: Prepared, target: float, first: int, seeds: int) -> list[Row]:
    """Train and test seeds, counted from the experiment's own (1); on a GPU after an epoch to warm it up."""
    prepare_process(experiment.threads, experiment.deterministic)
    device = torch.device(experiment.device)
    train, validation, test = (to_device(getattr(prepared, name), device) for name in SPLITS)
    prepared = replace(prepared, train=train, validation=validation, test=test)
    if device.type == "cuda":
        one(experiment.model_copy(update={"epochs": 1}), prepared, target, device)
    numbers = range(experiment.seed + first - 1, experiment.seed + first - 1 + seeds)
    return [
        one(experiment.model_copy(update={"seed": number}), prepared, target, device) for number in numbers
    ]


def one(experiment: Experiment, prepared: Prepared, target: float, device: torch.device) -> Row:
    """Train and test one seed.

    Returns:
        seed; test accuracy; the seconds of all but validation; those of training in each epoch, of which the
        first also compiles and captures; those until the first epoch whose validation accuracy reached
        `target` (None if none did); the validation accuracy after each epoch.
    """
    transform = prepared.statistics.transform()
    model = build_model(experiment, prepared.statistics.input_shape, len(prepared.statistics.classes))
    began = time.perf_counter()
    history = fit(model, prepared.train, prepared.validation, transform, experiment, device)
    precision, views = select_precision(experiment.precision, device), experiment.test_time_augmentation
    logits = logits_of(model, prepared.test, transform, precision, views)
    accuracy = score(logits, prepared.test.labels)[1]  # waits for the device
    validation = sum(history.epoch_seconds) - sum(history.training_seconds)
    return {
        "seed": experiment.seed,
        "test_accuracy": accuracy,
        "seconds": time.perf_counter() - began - validation,
        "training_seconds": history.training_seconds,
        "seconds_to_target": seconds_to(target, history),
        "validation_accuracy": [record["validation_accuracy"] for record in history.records],
    }


def seconds_to(target: float, history: History) -> float | None:
    """Return the seconds of training until the validation accuracy first reached `target`."""
    for epoch, record in enumerate(history.records, start=1):
        if record["validation_accuracy"] >= target:
            return sum(history.training_seconds[:epoch])
    return None


if __name__ == "__main__":
    run(main)
