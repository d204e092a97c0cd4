"""The same bits on any x86-64 processor with AVX2: the variables by which a process chooses its kernels.

ATen, oneDNN and MKL choose kernels by the processor, and each reads its variable once, when PyTorch is
loaded or first computes. `bench/fidelity/bits.py` shows which bits they make of a training.
"""

import os
import platform
import sys
from functools import cache
from pathlib import Path

from convlab.errors import InputError
from convlab.schema import Experiment, Sweep

# MKL_CBWR=AVX2 would be faster, but MKL honours it on Intel's processors alone: on AMD's the bits differ.
PINS = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}
STARTED_WITH = dict(os.environ)  # before `pin` may have changed it; a worker inherits what its parent has set


def asks(item: Experiment | Sweep) -> bool:
    """Tell whether an experiment, or the trials of a sweep, are to be computed with pinned kernels."""
    return item.trials[0].experiment.portable if isinstance(item, Sweep) else item.portable


def pin(name: str, item: Experiment | Sweep) -> None:
    """Pin the kernels of this process if `item` asks for it: call it before PyTorch is imported.

    Without AVX2 there is nothing to pin: a warning, as the result holds, and only its last bits differ.

    Raises:
        InputError: PyTorch is loaded already, without pinned kernels.
    """
    if not asks(item):
        return
    if not possible():
        print(f"{name}: warning: portable: no x86-64 with AVX2 here, so other last bits", file=sys.stderr)
        return
    if not pinned():
        if "torch" in sys.modules:
            raise InputError(unpinned(name))
        os.environ |= PINS
        STARTED_WITH.update(PINS)


def check(name: str, experiment: Experiment) -> None:
    """Refuse to compute a portable result with other kernels, where they could have been pinned.

    Raises:
        InputError: this process has not pinned them.
    """
    if experiment.portable and possible() and not pinned():
        raise InputError(unpinned(name))


def pinned() -> bool:
    """Tell whether this process computes with pinned kernels."""
    return possible() and STARTED_WITH.items() >= PINS.items()


@cache
def possible() -> bool:
    """Tell whether this is an x86-64 processor with AVX2, on Linux, where it can be detected."""
    if platform.machine() != "x86_64":
        return False
    try:
        return {"avx2", "fma"} <= {*Path("/proc/cpuinfo").read_text().split()}
    except OSError:
        return False


def unpinned(name: str) -> str:
    """Return what to do in a process that was started with other kernels."""
    variables = " ".join(f"{key}={value}" for key, value in PINS.items())
    return (
        f"{name}: portable: found true, but PyTorch was loaded without pinned kernels; start Python with "
        f"{variables}, call `portable.pin` before PyTorch is imported, or set portable: false"
    )
