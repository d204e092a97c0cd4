"""The device: which one, its precision, its memory allocator, and how time on it is measured."""

import ctypes
import os
import sys
import time
from typing import Any

import torch

from convlab.errors import InputError

ALL_THREADS = torch.get_num_threads()  # the cores, or OMP_NUM_THREADS
FP32 = "CONVLAB_FP32"  # set to anything: `auto` takes fp32
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def select_device(wanted: str) -> torch.device:
    """Turn `auto`, `cpu` or `cuda` into a device.

    Raises:
        InputError: CUDA is asked for where there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("device: found 'cuda', but PyTorch sees no CUDA device here; allowed: auto, cpu")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def select_precision(wanted: str, device: torch.device) -> str:
    """Turn `auto` into `fp32` or `bf16`, the type in which convolutions and matrix products are computed.

    `auto` takes bfloat16 where the device computes in it natively; elsewhere it would only be slower. With
    CONVLAB_FP32 set it takes fp32, which the result says.
    Losses, statistics, weights and their updates stay float32 in any case (autocast).
    """
    if wanted == "auto":
        if os.environ.get(FP32):
            native = False
        elif device.type == "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        wanted = "bf16" if native else "fp32"
    return wanted


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context in which a model's forward pass runs."""
    return torch.autocast(device.type, PRECISIONS[precision], enabled=precision != "fp32")


def prepare_process(threads: int | None, deterministic: bool) -> None:
    """Set up a process to train or evaluate: call it before the first large tensor.

    glibc returns every freed large block to the kernel and faults it in again at the next step; keeping it
    makes training faster on a CPU (bench/README.md says by how much).
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # glibc alone; musl has none and needs none
            trim_threshold, top_pad, mmap_max = -1, -2, -4  # <malloc.h>
            libc.mallopt(mmap_max, 0)
            libc.mallopt(trim_threshold, -1)
            libc.mallopt(top_pad, 64 << 20)
    # cuBLAS reads it when it starts: without it, `deterministic: true` ends in an error on a GPU
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads or ALL_THREADS)
    torch.backends.cudnn.allow_tf32 = False  # fp32 means full fp32
    torch.backends.cudnn.benchmark = False  # its search costs a second a layout, more than it gains here
    if torch.are_deterministic_algorithms_enabled() != deterministic:
        torch.use_deterministic_algorithms(deterministic)  # importing the compiler takes a second and a half


class Stopwatch:
    """Seconds since the start by the wall clock, and on a GPU by device events too."""

    def __init__(self, device: torch.device):
        self.before = 0.0  # seconds until an interruption
        self.events = device.type == "cuda"
        if self.events:
            self.begin, self.end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            self.begin.record()
        self.started = time.perf_counter()

    def stop(self) -> tuple[float, float | None]:
        """Return (wall seconds, device seconds or None), once all submitted work is done."""
        device_seconds = None
        if self.events:
            self.end.record()
            self.end.synchronize()
            device_seconds = self.before + self.begin.elapsed_time(self.end) / 1000
        return self.before + time.perf_counter() - self.started, device_seconds

    def state_dict(self) -> dict[str, Any]:
        """Return the wall seconds until now, for a checkpoint."""
        return {"before": self.before + time.perf_counter() - self.started}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint."""
        self.before = state["before"]


class RandomState:
    """PyTorch's global random streams, from which dropout draws."""

    def __init__(self, device: torch.device):
        self.device = device

    def state_dict(self) -> dict[str, Any]:
        """Return their states, for a checkpoint."""
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint."""
        torch.set_rng_state(state["cpu"])
        if state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"], self.device)
