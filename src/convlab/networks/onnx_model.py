"""A trained network as an ONNX file: raw pixels in, logits out, for use without PyTorch."""

import importlib.util
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from convlab import files
from convlab.errors import InputError
from convlab.models.weights import hash_weights
from convlab.networks.trained import TrainedNetwork

OPSET = 18  # of 2022: every current runtime supports it
INPUT, OUTPUT = "images", "logits"
NEEDED = ("onnx", "onnxscript")  # for PyTorch's export


class FromPixels(nn.Module):
    """uint8 [N, C, H, W], of the range of the data set → logits, float32 [N, classes]."""

    def __init__(self, trained: TrainedNetwork):
        super().__init__()
        self.transform, self.model = trained.statistics.transform(), trained.model

    def forward(self, images: Tensor) -> Tensor:
        """Prepare a batch of raw images, and classify it."""
        return self.model(self.transform(images))


def export(trained: TrainedNetwork, path: Path) -> int:
    """Write a network with its preprocessing as ONNX, and return the size of the file in bytes.

    Its input `images` is uint8 [N, C, H, W] of any N, its output `logits` float32 [N, classes]; its metadata
    say the classes (JSON), the data set and the brightest value of its pixels, the result and the hash of its
    weights. Views of test-time augmentation are left out: it classifies each image as it is.

    Raises:
        InputError: what PyTorch exports with is not installed, or fails, or the file cannot be written.
    """
    content = graph(trained, FromPixels(trained), [OUTPUT])
    try:
        files.write_bytes(path, content)
    except OSError as error:
        raise InputError(f"--onnx: {path} cannot be written: {error.strerror}") from None
    return len(content)


def graph(trained: TrainedNetwork, module: nn.Module, outputs: Sequence[str]) -> bytes:
    """Return the ONNX file of a module that takes a network's raw images, with these names for its outputs.

    Raises:
        InputError: what PyTorch exports with is not installed, or the module cannot be exported.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"export: {' and '.join(missing)} not installed; `pip install {' '.join(NEEDED)}`")
    try:
        return _exported(trained, module, outputs)
    except Exception as error:  # of the exporter, of the checker, and of the model's own code: anything
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(
            f"{trained.result}: cannot be exported as ONNX: {type(error).__name__}: {reason}"
        ) from error


def _exported(trained: TrainedNetwork, module: nn.Module, outputs: Sequence[str]) -> bytes:
    import onnx

    example = torch.zeros((2, *trained.dataset.shape), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's exporter causes them itself
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, metadata(trained))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def metadata(trained: TrainedNetwork) -> dict[str, str]:
    """Return the metadata of an exported file."""
    return {
        "result": trained.result,
        "dataset": trained.experiment.dataset,
        "classes": json.dumps(trained.statistics.classes, ensure_ascii=False),
        "largest_pixel": str(trained.dataset.max_value),
        "weights": hash_weights(trained.model),
    }
