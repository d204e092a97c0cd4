"""R4's network in PyTorch and in plain NumPy, side by side: `engine: torch` against `engine: numpy`.

    python bench/engines/compare.py [--rounds 2] [--images 55000] [--out FILE]        ten minutes on two cores

One epoch of Fashion-MNIST by each engine in turn, each in a process of its own, from the same initial weights
on the same batches in fp32; then the layers one by one, and what both make of the same trained weights. Put
`fashion_preact_engines` into `run_sweeps` and `dvc repro preprocess_sweep@fashion_preact_engines` first;
`python bench/engines/page.py` shows the results in bench/engines.md.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.engines import gradients
from bench.options import Parser, count
from bench.speed.suite import CPU, child, results_path
from convlab import files
from convlab.config import load_params
from convlab.data.dataset import Split, load_split, load_statistics
from convlab.errors import InputError, run
from convlab.models.build import build_model
from convlab.numpy_engine.engine import NumpyInference, layer_of
from convlab.numpy_engine.parts import Parts
from convlab.numpy_engine.winograd import WinogradConv2d
from convlab.pipeline.provenance import environment, run_context
from convlab.schema import Experiment
from convlab.train.device import prepare_process
from convlab.train.fit import fit
from convlab.train.loader import place

SWEEP = "fashion_preact_engines"
ENGINES = ("torch", "numpy")
REPEATS = 15  # of a layer, in turn
COMPARED = 1000  # held-out images, for the logits
Row = dict[str, Any]


def main() -> None:
    """Measure everything, or, as a child process, one epoch with one engine."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=count, default=2)
    parser.add_argument("--images", type=count, default=55_000, help="to train on (%(default)s)")
    parser.add_argument("--out", type=Path, default=results_path("-engines"), help="(%(default)s)")
    parser.add_argument("--one", choices=ENGINES, help="train an epoch with this engine only, and print JSON")
    options = parser.parse_args()
    experiment = load_params().sweeps[SWEEP].trials[0].experiment
    folder = files.PROCESSED / SWEEP / experiment.data_key()
    if not folder.is_dir():
        raise InputError(f"{folder}: not there; put {SWEEP} into `run_sweeps` and `dvc repro`")
    if options.one:
        print(json.dumps(one_epoch(experiment, options.one, options.images, folder)))
        return
    prepare_process(experiment.threads, experiment.deterministic)
    results = {**run_context(), **environment(CPU), "numpy": np.__version__, "images": options.images}
    results["epochs"] = [
        said(child("engines/compare.py", "--one", engine, "--images", str(options.images)))
        for _ in range(options.rounds)
        for engine in ENGINES
    ]
    images = load_split(folder, "validation").images[:COMPARED]
    transform = load_statistics(folder).transform()
    model = trained(experiment, transform(images[: experiment.batch_size]))
    results["layers"] = layer_times(model, transform(images[: experiment.batch_size]))
    results["gradients"] = gradients.check_all()
    results["logits"] = difference_of_logits(model, transform(images))
    files.write_json(options.out, results)
    print(f"{options.out}: written; `python bench/engines/page.py` shows it")


def one_epoch(experiment: Experiment, engine: str, images: int, folder: Path) -> Row:
    """Train one epoch; return its seconds without validation, each step's loss, accuracy and memory."""
    recipe = experiment.model_copy(update={"engine": engine, "epochs": 1, "iterations": True})
    prepare_process(recipe.threads, recipe.deterministic)
    statistics = load_statistics(folder)
    training = load_split(folder, "train")
    training = Split(training.images[:images], training.labels[:images])
    model = build_model(recipe, statistics.input_shape, len(statistics.classes))
    validation = load_split(folder, "validation")
    history = fit(model, training, validation, statistics.transform(), recipe, CPU)
    return {
        "engine": engine,
        "seconds": history.training_seconds[0],
        "images": len(training.labels),
        "losses": [row["loss"] for row in history.iterations],
        "validation_accuracy": history.records[0]["validation_accuracy"],
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def said(row: Row) -> Row:
    """Print a line about an epoch."""
    speed = row["images"] / row["seconds"]
    print(f"{row['engine']:<6} {row['seconds']:7.1f} s  {speed:5.0f} images/s", flush=True)
    return row


def trained(experiment: Experiment, images: Tensor) -> nn.Module:
    """Return the network with the weights of the sweep's training in PyTorch."""
    model = build_model(experiment, list(images.shape[1:]), 10)
    model.load_state_dict(files.read_tensors(files.weights(SWEEP, experiment.seed, "torch")))
    place(model, CPU)
    return model


def layer_times(model: nn.Module, images: Tensor) -> list[Row]:
    """Time each layer, forward and backward, in both engines in turn, on its actual input in a batch."""
    found: list[tuple[str, nn.Module, Tensor]] = []
    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    hooks = [
        module.register_forward_hook(lambda module, args, _, name=name: found.append((name, module, args[0])))
        for name, module in leaves
        if not isinstance(module, (nn.Identity, nn.Flatten))
    ]
    model.train()(images.contiguous(memory_format=torch.channels_last))
    for hook in hooks:
        hook.remove()
    return [layer_time(name, module, inputs.detach()) for name, module, inputs in found]


def layer_time(name: str, module: nn.Module, inputs: Tensor) -> Row:
    """Time one layer; milliseconds, the medians of its repetitions."""
    inputs = inputs.clone().requires_grad_()
    parts = Parts(torch.get_num_threads())
    layer = layer_of(module, parts)
    gradient = torch.randn_like(module(inputs))
    own_inputs = gradients.rows(inputs.detach().numpy())
    own_shape = layer.forward(own_inputs, True).shape  # where PyTorch's pooling leaves [N, C, 1, 1], [N, C]
    own_gradient = gradients.rows(gradient.numpy()).reshape(own_shape)

    def by_torch() -> None:
        module(inputs).backward(gradient)

    def by_numpy() -> None:
        with parts.one_by_one():
            layer.forward(own_inputs, True)
            layer.backward(own_gradient)

    took: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    for _ in range(REPEATS):
        for engine, work in zip(ENGINES, (by_torch, by_numpy), strict=True):
            took[engine].append(seconds(work))
    shape = tuple(inputs.shape[1:])
    milliseconds = {engine: 1000 * median(times) for engine, times in took.items()}
    return {"name": name, "kind": kind_of(module), "input": shape, **milliseconds}


def seconds(work: Callable[[], None]) -> float:
    """Time a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def kind_of(module: nn.Module) -> str:
    """Return a layer's kind, with the algorithm."""
    if isinstance(module, nn.Conv2d):
        size, stride = module.kernel_size[0], module.stride[0]
        way = "Winograd" if isinstance(layer_of(module, Parts(1)), WinogradConv2d) else "patches"
        return f"convolution {size}×{size}, stride {stride} ({way})"
    kinds = {"BatchNorm2d": "batch normalisation", "SiLU": "SiLU"}
    return kinds.get(type(module).__name__, "pooling and linear layer")


def difference_of_logits(model: nn.Module, images: Tensor) -> Row:
    """Compare the outputs of both engines for the same weights."""
    model.eval()
    with torch.inference_mode():
        theirs = model(images.contiguous(memory_format=torch.channels_last))
        ours = NumpyInference(model)(images)
    return {
        "images": len(images),
        "largest_difference": (theirs - ours).abs().max().item(),
        "largest_logit": theirs.abs().max().item(),
        "same_class": (theirs.argmax(1) == ours.argmax(1)).double().mean().item(),
    }


if __name__ == "__main__":
    run(main)
