"""The roofline: the speed of large matrix products, and the FLOPs of a training step.

python bench/speed/roofline.py [auto | cpu | cuda]        prints FLOP/s in fp32 and bf16 as JSON
"""

import json

import torch
from torch import nn

from convlab.errors import Parser, run
from convlab.models.summary import summarise
from convlab.train.device import PRECISIONS, Stopwatch, select_device

SIZE = 2048  # rows and columns: large enough that memory does not matter
GPU_SIZE = 8192
REPEATS = 12


def training_flops(model: nn.Module, input_shape: list[int]) -> int:
    """Count the operations of training on one image, two for each multiply-accumulate.

    The forward pass, the gradients of all weights, and the gradients of all inputs but the image's: each of
    the three has the same number of products. Convolutions and linear layers alone.
    """
    summary = summarise(model, input_shape)
    first = next(layer.macs for layer in summary.layers if layer.macs)
    return 3 * summary.flops - 2 * first


def matrix_product_peaks(device: torch.device) -> dict[str, float]:
    """Measure the fastest of some large matrix products in each precision, in FLOP/s."""
    return {name: _peak(dtype, device) for name, dtype in PRECISIONS.items()}


def _peak(dtype: torch.dtype, device: torch.device) -> float:
    size = SIZE if device.type == "cpu" else GPU_SIZE
    a, b, product = (torch.randn(size, size, device=device).to(dtype) for _ in range(3))
    fastest = float("inf")
    for _ in range(REPEATS):
        stopwatch = Stopwatch(device)
        torch.mm(a, b, out=product)
        wall_seconds, device_seconds = stopwatch.stop()
        fastest = min(fastest, device_seconds or wall_seconds)
    return 2 * size**3 / fastest


def main() -> None:
    """Print the rates."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("device", nargs="?", choices=("auto", "cpu", "cuda"), default="auto")
    print(json.dumps(matrix_product_peaks(select_device(parser.parse_args().device))))


if __name__ == "__main__":
    run(main)
