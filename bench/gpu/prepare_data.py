"""Preprocess data on the GPU machine: decode, split as usual, and refuse it unless equal to that at home.

python3 bench/gpu/prepare_data.py LEASE DATASET    LEASE/packed/ → LEASE/prepared/KEY, for each data key
"""

import hashlib
import lzma
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.gpu.images import decode, sha256
from convlab import files
from convlab.data.dataset import Prepared, Statistics, save
from convlab.data.preprocess import prepare
from convlab.data.readers.raw import Raw
from convlab.errors import InputError, Parser, run
from convlab.schema import SPLITS, Experiment

Facts = dict[str, dict[str, Any]]


def main() -> int:
    """Prepare every data key of a data set; exit status 1 if one is refused."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("lease", type=Path, metavar="LEASE")
    parser.add_argument("dataset", metavar="DATASET")
    options = parser.parse_args()
    lease, dataset = options.lease, options.dataset
    manifest = files.read_json(lease / "manifest.json")
    if dataset not in manifest["sets"]:
        raise InputError(f"found {dataset!r}; allowed: {', '.join(manifest['sets'])}")
    raw = unpack(manifest["sets"][dataset], lease / "packed")
    refused = 0
    for key, data in manifest["data"].items():
        if data["experiment"]["dataset"] == dataset and not (lease / "prepared" / key).exists():
            try:
                prepare_as(data, raw, lease / "prepared" / key)
                print(f"prepare: {dataset}: {key}: identical to the local data", flush=True)
            except InputError as error:
                refused += 1
                print(f"prepare: {dataset}: {key} is refused: {error}", flush=True)
    return int(refused > 0)


def unpack(lines: Mapping[str, Any], folder: Path) -> Raw:
    """Return a data set from its packed files.

    Raises:
        InputError: one is missing or damaged; says which.
    """
    labels = np.frombuffer(lzma.decompress(_content(lines["labels"], folder)), np.uint8).astype(np.int64)
    images: dict[str, list[Any]] = {"train": [], "test": []}
    for line in lines["images"]:
        images[line["split"]].append(decode(_content(line, folder), line["how"], tuple(line["shape"])))
    train, test = (np.concatenate(images[split]) for split in ("train", "test"))
    return Raw(train, labels[: len(train)].copy(), test, labels[len(train) :].copy())


def prepare_as(data: Mapping[str, Any], raw: Raw, folder: Path) -> None:
    """Write the prepared data of a manifest's key, with the statistics that were measured at home.

    Raises:
        InputError: a file is not the same as at home; nothing is left then.
    """
    prepared = prepare(raw, Experiment.model_validate(data["experiment"]))
    # Measured again they may differ in their last bits, by the processor
    prepared = replace(prepared, statistics=Statistics(**data["statistics"]))
    coming = folder.with_name(f".{folder.name}.{os.getpid()}")
    save(prepared, coming)
    for name, facts in data["files"].items():
        found = sha256((coming / name).read_bytes())
        if found != facts["sha256"]:
            shutil.rmtree(coming)
            raise InputError(f"{name} has SHA-256 {found[:12]}…, at home {facts['sha256'][:12]}…")
    if not folder.exists():  # a process of an earlier daemon may have been faster
        coming.rename(folder)


def describe(prepared: Prepared) -> Facts:
    """Return the hashes and the size of each file that `save` writes of prepared data."""
    with tempfile.TemporaryDirectory() as folder:
        save(prepared, Path(folder))
        names = [*(f"{split}.safetensors" for split in SPLITS), "statistics.json"]
        return {name: facts_of(Path(folder) / name) for name in names}


def facts_of(path: Path) -> dict[str, Any]:
    """Return SHA-256, MD5 (by which DVC knows it) and size of a file."""
    content = path.read_bytes()
    return {"sha256": sha256(content), "md5": hashlib.md5(content).hexdigest(), "size": len(content)}


def data_hash(facts: Facts) -> str:
    """Return what `provenance.fingerprint` takes for the data, from the hashes of its files."""
    digest = hashlib.sha256()
    for name in ("train.safetensors", "validation.safetensors", "statistics.json"):
        digest.update(bytes.fromhex(facts[name]["sha256"]))
    return digest.hexdigest()


def _content(line: Mapping[str, str], folder: Path) -> bytes:
    path = folder / line["file"]
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: not there yet") from None
    if sha256(content) != line["sha256"]:
        raise InputError(f"{path}: damaged; carry it again")
    return content


if __name__ == "__main__":
    run(main)
