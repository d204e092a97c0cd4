"""Checkpoints: all that a training needs to resume after an interruption as if there had been none.

One file each: safetensors, with what is not a tensor as JSON in one of them: no pickle is ever opened. A
file's name holds the hash of its content: a damaged one is recognised, and the one before it is used. It ends
with the kind of device and the precision, whose own are used alone: a GPU's random state is no state of a
CPU's, and a result says in which precision all of its training was.
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from convlab.files import write_bytes
from convlab.interrupt import Interrupted, Request

SECONDS = 60.0  # within an epoch: what an interruption may cost at most
EPOCH_SECONDS = 1.0  # at an epoch's end: the digits' epochs are too short to write a file after each
SHARE = 0.05  # of the time, at most: ResNet-18's 130 MB take as long to write as a GPU needs for an epoch
KEPT = 2  # the last may be damaged
STATE = "state"  # what is not a tensor, as bytes of JSON


class Checkpoints:
    """The last checkpoints of one training, in a folder of its own; `request` says if it should end now.

    The parts that a checkpoint is made of have a `state_dict` and a `load_state_dict`, as PyTorch's have: of
    dicts, lists and tuples of tensors, numbers, strings, True, False and None.
    """

    def __init__(
        self,
        folder: Path | None = None,
        request: Request | None = None,
        label: str = "training",
        seconds: float = SECONDS,
    ):
        """Set up; without a folder none is written and none is found. `label` is the training's name."""
        self.folder, self.request, self.label, self.seconds = folder, request or Request(), label, seconds
        self.found: dict[str, Any] = {}
        self.hardware: list[str] = []  # the training so far ran on these, in this order
        self.precision = "fp32"
        self.last = time.monotonic()
        self.cost = 0.0  # seconds that the last one took

    def computed_on(self, hardware: str, precision: str) -> None:
        """Say what the training runs on here, and in which precision (`fp32`, `bf16`), before all else."""
        self.hardware, self.precision = [hardware], precision

    def due(self, epoch_ended: bool = False) -> bool:
        """Return whether it is time for one."""
        if not self.folder:
            return False
        wait = min(max(EPOCH_SECONDS, self.cost / SHARE), self.seconds) if epoch_ended else self.seconds
        return self.request.number is not None or time.monotonic() - self.last >= wait

    def save(self, epoch: int, step: int, parts: dict[str, Any]) -> None:
        """Write one: whole or not at all. A full disk costs a warning, not the training.

        Args:
            epoch: the epoch to resume in.
            step: how many of its steps are done.
            parts: by name; of an epoch's own, none if no step is done.

        Raises:
            Interrupted: the training was asked to end.
        """
        assert self.folder
        began = time.monotonic()
        state = {"epoch": epoch, "step": step, "hardware": self.hardware}
        state |= {name: part.state_dict() for name, part in parts.items()}
        tensors: dict[str, Tensor] = {}
        text = json.dumps(_pack(state, tensors)).encode()
        tensors[STATE] = torch.frombuffer(bytearray(text), dtype=torch.uint8)  # a header has 100 MB at most
        content, kind = save(tensors), self._kind(parts)
        digest = hashlib.sha256(content).hexdigest()[:32]
        lost = ""
        try:
            write_bytes(self.folder / f"{epoch:06d}-{step:08d}-{digest}-{kind}.safetensors", content)
        except OSError as error:
            reason = f"cannot write a checkpoint into {self.folder}: {error.strerror}"
            print(f"warning: {reason}", file=sys.stderr, flush=True)
            lost = ", without a checkpoint of it (see above)"
        self.last = time.monotonic()
        self.cost = self.last - began
        for old in self._newest_first(kind)[KEPT:]:
            old.unlink(missing_ok=True)
        if self.request.number is not None:
            where = f"at epoch {epoch}, step {step}" if step else f"after epoch {epoch - 1}"
            raise Interrupted(self.request.number, f"{self.label} stopped {where}{lost}")

    def restore(self, parts: dict[str, Any]) -> int:
        """Restore `parts` from the newest valid checkpoint; return the epoch to begin with (or 1)."""
        self.found = self._load(self._kind(parts)) or {}
        if not self.found:
            return 1
        for name, part in parts.items():
            part.load_state_dict(self.found[name])
        epoch, step, before = self.found["epoch"], self.found["step"], self.found["hardware"]
        moved = "" if before == self.hardware else f"; until here it ran on {', then '.join(before)}"
        print(f"{self.label}: resuming at epoch {epoch}, step {step}{moved}", flush=True)
        self.hardware = [*before, *(name for name in self.hardware if [name] != before[-1:])]
        return epoch

    def restore_within(self, epoch: int, parts: dict[str, Any]) -> None:
        """Restore an epoch's own parts, if the checkpoint is from within this epoch."""
        if self.found and self.found["epoch"] == epoch and self.found["step"]:
            for name, part in parts.items():
                part.load_state_dict(self.found[name])
        self.found = {}  # its tensors' memory

    def _kind(self, parts: dict[str, Any]) -> str:
        return f"{_device_of(parts)}-{self.precision}"

    def _load(self, kind: str) -> dict[str, Any] | None:
        found = self._newest_first(kind)
        for path in found:
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # it was damaged, and another process of this training has removed it
                continue
            if hashlib.sha256(content).hexdigest()[:32] == path.stem.split("-")[2]:
                tensors = load(content)
                return _unpack(json.loads(tensors.pop(STATE).numpy().tobytes()), tensors)
            print(f"warning: {path} is damaged; using the one before", file=sys.stderr, flush=True)
            path.unlink(
                missing_ok=True
            )  # its number may be higher than those to come, which would be removed
        if not found and (others := self._newest_first("*")):
            here = f"on {kind.replace('-', ' in ')}"
            why = f"is not used: this training runs {here}, and starts anew"
            print(f"warning: {others[0]} {why}", file=sys.stderr, flush=True)
        return None

    def _newest_first(self, kind: str) -> list[Path]:
        """List the checkpoints of a kind, `cpu-bf16`; of any, and of earlier versions, where it is `*`."""
        pattern = "[0-9]*-*.safetensors" if kind == "*" else f"[0-9]*-*-*-{kind}.safetensors"
        return sorted(self.folder.glob(pattern), reverse=True) if self.folder else []


def _device_of(parts: dict[str, Any]) -> str:
    """Return the kind of device that a training's weights are on."""
    weights = parts["model"].state_dict().values() if "model" in parts else ()
    return next((weight.device.type for weight in weights if isinstance(weight, Tensor)), "cpu")


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Turn a state into JSON, in which each tensor is a reference to one of `tensors`."""
    if isinstance(value, Tensor):
        key = str(len(tensors))
        # The memory order is part of the state: a fused optimiser walks through weights and moments alike.
        last = not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)
        kept = value.detach().permute(0, 2, 3, 1) if last else value.detach()
        tensors[key] = kept.cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": key, "channels_last": last}
    if isinstance(value, dict):  # keys may be numbers, which JSON's are not
        return {"dict": [[key, _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_pack(item, tensors) for item in value]}
    return value


def _unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    match value:
        case {"tensor": key, "channels_last": last}:
            return tensors[key].permute(0, 3, 1, 2) if last else tensors[key]
        case {"dict": items}:
            return {key: _unpack(item, tensors) for key, item in items}
        case {"list": items}:
            return [_unpack(item, tensors) for item in items]
        case {"tuple": items}:
            return tuple(_unpack(item, tensors) for item in items)
    return value
