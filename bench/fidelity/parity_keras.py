"""Do our networks, steps and schedules compute the same as Keras'? Most of the reports were made with Keras.

    python bench/fidelity/parity_keras.py [--out FILE]

Two minutes, with the `bench` extra. A difference is relative to the largest value of its array, unless the
quantity says otherwise. `python bench/speed/table.py` puts the table into bench/README.md.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"  # before the first import of keras
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from collections.abc import Iterable
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
import torch.nn.functional as F
from keras.src.initializers.random_initializers import compute_fans
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.fidelity.keras_augment import affine_difference, range_differences
from bench.fidelity.keras_steps import gradients, schedules_that_differ, steps
from bench.fidelity.keras_table import keras_table
from bench.fidelity.keras_twins import NETWORKS, Pair, floats, pixels_last, relative
from bench.options import Parser
from bench.speed.cases import experiment_of
from bench.speed.suite import CPU
from convlab import files
from convlab.errors import run
from convlab.models.weights import kernels_of
from convlab.pipeline.provenance import environment, run_context
from convlab.schema.training import Affine
from convlab.train.penalty import penalty_of

OUT = Path("bench/results/keras-parity.json")
NORMED = tuple(name for name in NETWORKS if name.startswith(("mnist_vgg", "cifar10_grey")))
STEPPED = (
    "mnist_2x2, k 5, s 3",
    "mnist_cnn",
    "cifar10_cnn, s 2 2 1",
    "mnist_vgg, k 5 5 3, s 2 1 1",
)
SERIES = 200
DRAWS = 20_000
AMOUNTS = {"rotation": 15.0, "shift": 0.1, "shear": 5.0, "zoom": 0.2}
Row = dict[str, Any]


def main() -> None:
    """Compare everything, save the results and print the table."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT, help="(%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {**run_context(), **environment(CPU), "keras": keras.__version__}
    results["tensorflow"] = version(packages_distributions()["tensorflow"][0])
    results["networks"] = {name: {"experiment": of, **changes} for name, (of, changes) in NETWORKS.items()}
    results["quantities"] = quantities()
    files.write_json(options.out, results)
    print(f"<!-- keras -->\n{keras_table(results)}<!-- /keras -->")


def quantities() -> list[Row]:
    """Return every quantity with its largest difference, in the order of the table."""
    rows = [*networks(), *initial(), *statistics(NORMED)]
    with floats("float64"):
        rows += losses(STEPPED)
        found = {name: steps(name) for name in STEPPED}
    for variant, count, tolerance, reason in (
        (
            "ε as it is",
            1,
            1e-5,
            "Keras adds ε to √v before the bias of v is corrected, PyTorch after it",
        ),
        ("ε as it is", 20, 1e-5, "the same, and each further step starts from other weights"),
        ("ε scaled", 1, 1e-5, ""),
        ("ε scaled", 20, 1e-5, "Keras rounds β to float32, 7e-6 of a step, which grows with each step"),
        ("ε scaled, β rounded", 20, 1e-10, ""),
    ):
        shares = [found[name][variant][count - 1] for name in STEPPED]
        quantity = (
            f"Adam, {variant}: weights after {count} step{'s' * (count > 1)}, relative to the distance moved"
        )
        rows.append(row(quantity, f"{len(STEPPED)} networks, float64", shares, tolerance, reason))
    differing = schedules_that_differ(SERIES)
    rows.append(
        row(
            "plateau, early stopping, kept epoch: how many differ",
            f"{SERIES:,} series of losses",
            [differing],
            0,
        )
    )
    return [*rows, *augmentation()]


def row(quantity: str, on: str, differences: Iterable[float], tolerance: float, reason: str = "") -> Row:
    """Gather the differences of a quantity; the reason is for one that does not hold."""
    largest = max(float(difference) for difference in differences)
    holds = largest <= tolerance
    return {
        "quantity": quantity,
        "on": on,
        "largest": largest,
        "tolerance": tolerance,
        "holds": holds,
        "reason": "" if holds else reason,
    }


def networks(names: Iterable[str] = tuple(NETWORKS)) -> list[Row]:
    """Compare what the networks compute from the same weights in evaluation."""
    found = []
    for name in names:
        pair = Pair(name, shaken=True)
        images, _ = pair.batch(64)
        with torch.no_grad():
            found.append(relative(pair.ours.eval()(images), pair.theirs(pixels_last(images), training=False)))
    return [row("logits in evaluation", f"{len(found)} networks, float32", found, 1e-5)]


def initial() -> list[Row]:
    """Compare the initial kernels: the limits that they are drawn within, and what is drawn."""
    keras.utils.set_random_seed(1)
    limits, squares = [], []
    for name in NETWORKS:
        pair = Pair(name, carry=False)
        theirs = [layer.kernel for layer in pair.theirs.layers if hasattr(layer, "kernel")]
        ours = kernels_of(pair.ours)
        for our, their in zip(ours, theirs, strict=True):
            fans = nn.init._calculate_fan_in_and_fan_out(our)
            limits.append(abs((sum(compute_fans(their.shape)) / sum(fans)) ** 0.5 - 1))
        square = sum(np.square(kernel).sum() for kernel in theirs)
        squares.append(abs(sum(kernel.square().sum().item() for kernel in ours) / square - 1))
    on = f"{len(NETWORKS)} networks"
    return [
        row("limits of the initial kernels, relative", on, limits, 1e-12),
        row("Σ w² of the initial kernels, one draw each, relative", on, squares, 0.05),
    ]


def statistics(names: Iterable[str]) -> list[Row]:
    """Compare batch normalisation over three batches of a training: outputs and running statistics."""
    outputs, means, variances, corrected = [], [], [], []
    with floats("float64"):
        for name in names:
            pair = Pair(name, shaken=True)
            norms = [layer for layer in pair.ours.modules() if isinstance(layer, nn.BatchNorm2d)]
            twins = [layer for layer in pair.theirs.layers if hasattr(layer, "moving_variance")]
            before = [twin.moving_variance.numpy() for twin in twins]
            counts = [_counted(norm) for norm in norms]
            for scale in (1, 2, 3):
                images = scale * pair.batch(64)[0]
                with torch.no_grad():
                    logits = pair.ours.train()(images)
                outputs.append(relative(logits, pair.theirs(pixels_last(images), training=True)))
            for norm, twin, start, count in zip(norms, twins, before, counts, strict=True):
                assert norm.running_mean is not None
                assert norm.running_var is not None
                means.append(relative(norm.running_mean, twin.moving_mean))
                variances.append(relative(norm.running_var, twin.moving_variance))
                old = start * 0.99**3
                unbiased = old + (twin.moving_variance.numpy() - old) * count[0] / (count[0] - 1)
                corrected.append(relative(norm.running_var, unbiased))
    on = f"{len(outputs) // 3} networks, float64"
    reason = "Keras 3 keeps the biased variance of a batch, PyTorch N/(N − 1) times it"
    return [
        row("logits in training", on, outputs, 1e-10),
        row("running means after 3 steps", on, means, 1e-10),
        row("running variances after 3 steps", on, variances, 1e-10, reason),
        row("the same, with N/(N − 1) in Keras'", on, corrected, 1e-10),
    ]


def _counted(norm: nn.BatchNorm2d) -> list[int]:
    """Return a list to which each forward pass adds over how many values it normalises."""
    counts: list[int] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...], __: Tensor) -> None:
        counts.append(inputs[0].numel() // inputs[0].shape[1])

    norm.register_forward_hook(note)
    return counts


def losses(names: tuple[str, ...]) -> list[Row]:
    """Compare loss, gradients and the loss of a validation, with a penalty; in Keras' `floatx`."""
    found = [gradients(name) for name in names]
    validated = []
    for name in names:
        pair = Pair(name, probabilities=True, l2=1e-3)
        images, labels = pair.batch(100)
        pair.compile(keras.optimizers.SGD(1.0))
        targets = pair.targets(labels)
        theirs = pair.theirs.evaluate(pixels_last(images), targets.numpy(), batch_size=48, verbose=0)
        with torch.no_grad():
            ours = F.cross_entropy(pair.ours.eval()(images), targets).item() + penalty_of(
                pair.ours, pair.recipe
            )
        validated.append(abs(ours / theirs - 1))
    on = f"{len(names)} networks, float64"
    return [
        row("loss of a step with an L2 penalty, relative", on, [loss for loss, _ in found], 1e-10),
        row("its gradients", on, [gradient for _, gradient in found], 1e-10),
        row("penalised loss of a validation in batches, λ = 1e-3, relative", on, validated, 1e-6),
    ]


def augmentation() -> list[Row]:
    """Compare R1's affine augmentation: images for the same amounts, and the ranges of the amounts."""
    settings = [AMOUNTS, *({**dict.fromkeys(AMOUNTS, 0.0), key: AMOUNTS[key]} for key in AMOUNTS)]
    images = [affine_difference(amounts) for amounts in settings]
    step = next(step for step in experiment_of("cifar10_cnn").augment if isinstance(step, Affine))
    on = f"{len(settings)} settings, 64 images each"
    return [
        row("affine augmentation, of pixels up to 255", on, images, 0.01),
        row("ranges of its amounts, relative", f"{DRAWS:,} draws", range_differences(step, DRAWS), 1e-3),
    ]


if __name__ == "__main__":
    run(main)
