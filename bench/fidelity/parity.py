"""Is the faster code as accurate? R0's network on real MNIST: the plain loop, ours in fp32, ours in bf16.

    python bench/fidelity/parity.py [--seeds 3] [--images 7500] [--epochs 3] [--out FILE]

The same training images, the same initial weights for the same seed, a process for each training, one
after the other. Accuracy is on R0's validation images, the last 5,000 of the published training images; the
test images are never opened.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.baselines import plain
from bench.options import Parser, count
from bench.speed.cases import BASELINE, COMMON, CONTENDERS, WITH_ALL, Data, experiment_of
from bench.speed.ours import statistics_of
from bench.speed.suite import CPU, child, results_path
from convlab import files
from convlab.data.dataset import Split
from convlab.data.readers.idx import read_idx
from convlab.errors import InputError, run
from convlab.models.build import build_model
from convlab.pipeline.provenance import environment, run_context
from convlab.schema import Experiment
from convlab.schema.training import Constant
from convlab.train.device import prepare_process
from convlab.train.fit import History, fit
from convlab.train.inference import logits_of, score

Row = dict[str, Any]


def main() -> None:
    """Train every contender with every seed, or, as a child process, one with one seed."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=count, default=3)
    parser.add_argument("--images", type=count, default=7500, help="to train on")
    parser.add_argument("--epochs", type=count, default=3)
    parser.add_argument("--out", type=Path, default=results_path("-parity"), help="(%(default)s)")
    parser.add_argument("--one", choices=COMMON, help="train this one alone, with --seed, and print JSON")
    parser.add_argument("--seed", type=count, default=1)
    options = parser.parse_args()
    training, held_out = real_data(options.images)  # before anything else: it may be missing
    if options.one:
        print(json.dumps(train_one(options.one, options.seed, options.epochs, training, held_out)))
        return
    results = {
        **run_context(),
        **environment(CPU),
        "images": options.images,
        "held_out": len(held_out.labels),
    }
    results |= {"epochs": options.epochs, "trainings": all_of(options)}
    require_learned(results["trainings"], held_out.labels.tolist())
    files.write_json(options.out, results)
    print(f"{options.out}: {len(results['trainings'])} trainings; `python bench/speed/table.py` shows them")


def real_data(images: int) -> tuple[Data, Data]:
    """Read the first `images` of MNIST's training images, and those that R0 holds out.

    Raises:
        InputError: the files are missing, or have fewer images.
    """
    folder, held_out = files.RAW / "mnist", experiment_of(WITH_ALL).split.validation
    if not folder.is_dir():
        raise InputError(f"{folder}: not there; put {WITH_ALL} into `run` and `dvc repro download`")
    pixels = read_idx(folder / "train-images-idx3-ubyte.gz")[:, None]
    labels = read_idx(folder / "train-labels-idx1-ubyte.gz").astype("int64")
    if images > len(labels) - held_out:
        raise InputError(f"--images: found {images}; allowed: 1 to {len(labels) - held_out}")
    return Data(pixels[:images], labels[:images]), Data(pixels[-held_out:], labels[-held_out:])


def all_of(options: Any) -> list[Row]:
    """Train every contender with every seed, each in its own process; print a line for each."""
    rows = []
    shared = ["--images", str(options.images), "--epochs", str(options.epochs)]
    for seed in range(1, options.seeds + 1):
        for contender in COMMON:
            rows.append(child("fidelity/parity.py", "--one", contender, "--seed", str(seed), *shared))
            accuracy, took = rows[-1]["accuracy"][-1], rows[-1]["seconds"][-1]
            print(
                f"seed {seed}  {CONTENDERS[contender].label:<30} {accuracy:.2%} after {took:.0f} s",
                flush=True,
            )
    return rows


def require_learned(rows: list[Row], labels: list[int]) -> None:
    """Refuse to compare what has not learned: all contenders alike would look like parity.

    Raises:
        InputError: a training ended no better than naming the most frequent of the held-out `labels`.
    """
    chance = Counter(labels).most_common(1)[0][1] / len(labels)
    for row in rows:
        if row["accuracy"][-1] <= chance:
            found = f"{row['way']}, seed {row['seed']}: found an accuracy of {row['accuracy'][-1]:.2%}"
            raise InputError(f"{found}; allowed: above {chance:.2%}, which naming one class reaches")


def train_one(contender: str, seed: int, epochs: int, training: Data, held_out: Data) -> Row:
    """Train one contender with one seed.

    Returns:
        contender and seed; after each epoch: the accuracy on the held-out images, and the seconds of training
        so far, without those of validation.
    """
    changes = {
        "seed": seed,
        "epochs": epochs,
        "schedule": Constant(name="constant"),  # the plain loop has no other
        "early_stopping": None,
        "batch_norm": "torch",  # Keras's running statistics need more steps than these few epochs have
    }
    experiment = experiment_of(WITH_ALL).model_copy(update=changes)
    validation = Split(*(torch.from_numpy(part.copy()) for part in held_out))
    trainer = _train_plain if contender == BASELINE else _train_ours
    accuracy, epoch_seconds = trainer(experiment, CONTENDERS[contender].precision, training, validation)
    seconds = [sum(epoch_seconds[: epoch + 1]) for epoch in range(epochs)]
    return {"way": contender, "seed": seed, "accuracy": accuracy, "seconds": seconds}


def _train_plain(
    experiment: Experiment, precision: str, training: Data, validation: Split
) -> tuple[list[float], list[float]]:
    torch.manual_seed(experiment.seed)
    model = plain.model_of(experiment)
    loader, optimizer = plain.loader_of(experiment, training), plain.optimizer_of(experiment, model)
    transform = statistics_of(experiment).transform()
    accuracy, seconds = [], []
    for _ in range(experiment.epochs):
        began = time.perf_counter()
        plain.train_one_epoch(model, loader, optimizer, plain.criterion_of(experiment), lambda: None)
        seconds.append(time.perf_counter() - began)
        logits = logits_of(model, validation, transform, precision)
        accuracy.append(score(logits, validation.labels)[1])
    return accuracy, seconds


def _train_ours(
    experiment: Experiment, precision: str, training: Data, validation: Split
) -> tuple[list[float], list[float]]:
    prepare_process(experiment.threads, experiment.deterministic)
    statistics = statistics_of(experiment)
    model = build_model(experiment, statistics.input_shape, len(statistics.classes))
    recipe = experiment.model_copy(update={"precision": precision})
    split = Split(*(torch.from_numpy(part.copy()) for part in training))
    history: History = fit(model, split, validation, statistics.transform(), recipe, CPU)
    return [record["validation_accuracy"] for record in history.records], history.training_seconds


if __name__ == "__main__":
    run(main)
