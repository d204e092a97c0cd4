"""A trained network as an ONNX file: from an image's raw pixels to its logits, for use without PyTorch."""

import warnings

import torch
from torch import Tensor, nn

from convlab.data.dataset import Statistics
from convlab.errors import InputError

INPUT, OUTPUT = "pixels", "logits"


class _FromPixels(nn.Module):
    """float32 [N, C, H, W], of the range of the published bytes → logits, float32 [N, classes]."""

    def __init__(self, model: nn.Module, statistics: Statistics):
        super().__init__()
        self.transform, self.model = statistics.transform(), model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model(self.transform(pixels))


def to_onnx(model: nn.Module, statistics: Statistics) -> bytes:
    """Return a network as ONNX: `pixels`, float32 [1, C, H, W] as published → `logits`, float32 [1, classes].

    The preprocessing is inside. C is 3 where the network is shown grey versions of colour images.

    Raise:
        InputError: the packages that PyTorch exports with are not installed.
    """
    channels, *size = statistics.input_shape
    shape = (1, 3 if statistics.greyscale else channels, *size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions of operators, for whoever writes exporters
            program = torch.onnx.export(
                _FromPixels(model, statistics).eval(),
                (torch.zeros(shape),),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
    except ImportError as error:
        raise InputError(f"{error.name} is not installed; `pip install onnx onnxscript` brings it") from None
    assert program is not None
    return program.model_proto.SerializeToString()
