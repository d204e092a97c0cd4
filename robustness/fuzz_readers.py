"""What robustness/fuzz.py reads: a whole input of each kind, damaged at random, and its reader."""

import gzip
import pickle
import random
import shutil
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from convlab.config import load_params
from convlab.data.readers.cifar10 import parse_cifar_batch, read_cifar_batch
from convlab.data.readers.idx import LARGEST_IDX, read_idx
from convlab.files import PARAMS, read_tensors
from convlab.train.checkpoint import Checkpoints
from robustness.mutations import damaged, damaged_text

BOMBS = 0.002  # the share of them among the gzipped inputs: each takes a second


@cache
def valid_idx() -> bytes:
    """Make a whole idx file, not compressed."""
    array = np.random.default_rng(0).integers(0, 256, (20, 5, 4), np.uint8)
    return b"\0\0\x08\x03" + struct.pack(">3I", *array.shape) + array.tobytes()


@cache
def bomb() -> bytes:
    """Make a file of a quarter of a megabyte that unpacks to more than any idx file may hold."""
    return gzip.compress(valid_idx() + bytes(LARGEST_IDX + 1), mtime=0)


@cache
def valid_batch() -> bytes:
    """Make a CIFAR-10 batch as the real ones are, with four images."""
    data = np.random.default_rng(0).integers(0, 256, (4, 3072), np.uint8)
    content = {"batch_label": "1 of 5", "labels": [3, 1, 4, 1], "data": data, "filenames": ["a.png"] * 4}
    return pickle.dumps(content, protocol=2).replace(b"numpy._core", b"numpy.core")


@cache
def valid_tensors() -> bytes:
    """Make a safetensors file."""
    tensors = {
        "a": torch.arange(12.0).reshape(3, 4),
        "b": torch.ones(2, dtype=torch.bfloat16),
        "c": torch.ones(0),
    }
    return save(tensors, metadata={"of": "fuzz"})


STATES: list[dict[Any, Any]] = [{"epoch": epoch, 7: [1, (2,)], "weights": [0.5] * 20} for epoch in (1, 2)]


@cache
def valid_checkpoints() -> dict[str, bytes]:
    """Write a checkpoint of each of STATES, with a tensor; return the files by name."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        for state in STATES:
            checkpoints.save(
                state["epoch"], 0, {"model": Part({"weight": torch.ones(3, 2)}), "other": Part(state)}
            )
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


class Part:
    """Something with a state, as a training's parts have one."""

    def __init__(self, state: Any = None):
        self.state = state

    def state_dict(self) -> Any:
        """Return the state."""
        return self.state

    def load_state_dict(self, state: Any) -> None:
        """Load a state."""
        self.state = state


def idx(chance: random.Random, folder: Path) -> Any:
    """Read a damaged idx file: the compressed bytes, or what is in them; now and then a bomb."""
    if chance.random() < BOMBS:
        content = bomb()
    elif chance.random() < 0.5:
        content = gzip.compress(damaged(valid_idx(), chance), 1, mtime=0)
    else:
        content = damaged(gzip.compress(valid_idx(), mtime=0), chance)
    return read_idx(put(folder / "images.gz", content)).shape


def cifar(chance: random.Random, folder: Path) -> Any:
    """Read a damaged CIFAR batch, mostly without the check of its MD5, which would refuse each."""
    content = damaged(valid_batch(), chance)
    if chance.random() < 0.1:
        return read_cifar_batch(put(folder / "data_batch_1", content))
    return parse_cifar_batch(content, "data_batch_1")[1]


def tensors(chance: random.Random, folder: Path) -> Any:
    """Read a damaged safetensors file."""
    return list(read_tensors(put(folder / "a.safetensors", damaged(valid_tensors(), chance))))


def checkpoint(chance: random.Random, folder: Path) -> Any:
    """Resume from two checkpoints, of which one or both may be damaged, or have lost a part of their names.

    Raises:
        ValueError: it resumes from anything but the newest that is whole.
    """
    whole: dict[str, Any] = {}
    for state, (name, content) in zip(STATES, valid_checkpoints().items(), strict=True):
        digest = name.split("-")[2]
        if chance.random() < 0.1:  # its end tells the kind of device: without that it would not be looked at
            name = f"{chance.randrange(10)}-{name[chance.randrange(name.rindex('-')) :]}"
        written = damaged(content, chance) if chance.random() < 0.7 else content
        put(folder / name, written)
        if written == content and name.split("-")[2:3] == [digest]:
            whole[name] = state
    part = Part()
    Checkpoints(folder).restore({"other": part})
    expected = whole[max(whole)] if whole else None
    if part.state != expected:
        raise ValueError(f"resumed from {part.state}, not from {expected}")
    return part.state


def params(chance: random.Random, folder: Path) -> Any:
    """Read a damaged params.yaml, beside the whole studies.yaml."""
    shutil.copy(PARAMS.with_name("studies.yaml"), folder)
    return load_params(put(folder / "params.yaml", damaged_text(PARAMS.read_bytes(), chance))).run


def put(path: Path, content: bytes) -> Path:
    """Write a file."""
    path.write_bytes(content)
    return path


READERS: dict[str, Callable[[random.Random, Path], Any]] = {
    "idx": idx,
    "cifar": cifar,
    "safetensors": tensors,
    "checkpoint": checkpoint,
    "params": params,
}
