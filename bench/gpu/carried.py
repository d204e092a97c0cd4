"""Copy what an earlier lease left into .gpu/ledger, so that the next one resumes it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from torch import nn

from bench.gpu.plan import Wanted
from bench.gpu.prepare_data import data_hash
from convlab import files
from convlab.models.weights import hash_weights
from convlab.pipeline.provenance import fingerprint

KEPT = files.scratch() / "lease"


def pack_kept(wanted: list[Wanted], data: Mapping[str, Any], target: Path, room: int) -> int:
    """Copy what there is of these trainings, as far as there is room; return their number.

    A finished one has finished.json and its weights, another one its checkpoints. `data`: the manifest's
    facts of the prepared data. What was trained with other code or data has another fingerprint, and stays.
    """
    found: dict[str, dict[str, Path]] = {}
    for one in wanted:
        key = fingerprint(one.trial.experiment, data_hash(data[one.trial.experiment.data_key()]["files"]))
        if not found.get(key):
            found[key] = kept_of(key, one)
    count = 0
    for key, parts in found.items():
        size = sum(path.stat().st_size for path in parts.values())
        if not parts or size > room:
            continue
        for name, path in parts.items():
            (target / key / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / key / name)
        room -= size
        count += 1
    return count


def kept_of(key: str, one: Wanted) -> dict[str, Path]:
    """Return the files of a training by their names in its folder of the ledger; none if it is not whole."""
    own, finished = KEPT / "ledger" / key, KEPT / "ledger" / f"{key}.json"
    if not finished.is_file():
        return {f"checkpoints/{path.name}": path for path in own.glob("checkpoints/*.safetensors")}
    content = files.read_json(finished)
    if content["status"] != "finished":  # it has no weights
        return {"finished.json": finished}
    trial = None if one.trial.name == one.entry.name else one.trial.name
    weights = files.weights(one.entry.name, one.trial.experiment.seed, trial)
    for path in (own / "model.safetensors", weights, KEPT / weights):
        if path.is_file() and hash_of(path) == content["results"]["weights"]:
            return {"finished.json": finished, "model.safetensors": path}
    return {}


def hash_of(path: Path) -> str:
    """Return `hash_weights` of a model that is in a file: all that it asks of one is its state."""
    tensors = files.read_tensors(path)
    return hash_weights(cast(nn.Module, SimpleNamespace(state_dict=lambda: tensors)))
