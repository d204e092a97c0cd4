"""Pack what the lease needs into .gpu/: wheels, raw images losslessly small, what they must become there.

    python bench/gpu/pack.py [NAME …]     experiments and sweeps; without names, those of bench/gpu/plan.yaml

.gpu/base goes with the first call, and .gpu/data-1, data-2, … with one call each: with the working tree, each
is small enough for one. .gpu/ledger, what a former lease has trained, goes with the first too. The raw files
are read from data/raw, or from CONVLAB_MIRROR.
"""

import lzma
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench import work_tree
from bench.gpu.carried import KEPT, pack_kept
from bench.gpu.images import encode, sha256
from bench.gpu.plan import SEEDS, load_items, read_plan, wanted
from bench.gpu.prepare_data import describe
from bench.options import count
from convlab import files
from convlab.config import trials_of
from convlab.config.seed_counts import with_seeds
from convlab.data.dataset import Prepared
from convlab.data.preprocess import prepare
from convlab.data.readers.raw import Raw
from convlab.data.readers.registry import read
from convlab.data.sources import mirror_from_environment
from convlab.errors import InputError, Parser, run
from convlab.pipeline.provenance import run_context
from convlab.schema import Experiment

FOLDER = Path(".gpu")
PLAN = Path("bench/gpu/plan.yaml")
KEPT_ROOM = 16 << 20  # bytes for what a former lease has left
ROOM = (64 << 20) - (1 << 20)  # bytes of one call, less what carrying them adds
IMAGES = 5_000  # per file: small, so that the parts fill up
LARGEST = 9 << 20  # bytes of a file: 5,000 images of CIFAR-10 take 8.2 MiB
NOT_NEEDED = ("plots", "champions", "metrics", "docs")  # of the working tree, on the GPU machine
SMALLER = "git sparse-checkout set --no-cone '/*' " + " ".join(f"'!/{name}/'" for name in NOT_NEEDED)
ORDER = ("digits", "mnist", "cifar10", "fashion_mnist")  # of worth
# PyTorch images have the rest (NumPy, PyYAML, safetensors, scikit-learn, matplotlib, rich).
PACKAGES = (
    "pydantic",
    "pydantic-core",
    "annotated-types",
    "typing-inspection",
    "nvidia-ml-py",
    "threadpoolctl",
)
PLATFORMS = ("--platform", "manylinux_2_17_x86_64", "--platform", "manylinux2014_x86_64")


def main() -> None:
    """Write .gpu/ anew, and print the size of each part."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="(those of the plan)")
    parser.add_argument(
        "--room", type=count, metavar="BYTES", help="of data in a part (what the tree leaves room for)"
    )
    parser.add_argument(
        "--kept", type=count, default=KEPT_ROOM, metavar="BYTES", help="of .gpu/ledger (%(default)s)"
    )
    parser.add_argument("--no-wheels", action="store_true", help="for a machine that has all packages")
    options = parser.parse_args()
    room = options.room or room_beside(tree_size())
    names = options.names or [entry.name for entry in read_plan(PLAN).entries]
    recipes = recipes_of(names)
    datasets = {recipe.dataset for recipe in recipes.values()}
    for old in (FOLDER / "base", FOLDER / "ledger", *FOLDER.glob("data-*")):  # airbench's file stays
        shutil.rmtree(old, ignore_errors=True)
    base = FOLDER / "base"
    files.write_text(base / "commit", f"{run_context()['git_commit']}\n")
    if not options.no_wheels:
        fetch_wheels(base / "wheels")
    kept = options.kept if (KEPT / "ledger").is_dir() else 0
    parts = Parts(room, options.room or room - size_of(base) - kept)
    manifest: dict[str, Any] = {"sets": {}, "data": {}}
    for dataset in sorted(datasets, key=worth):
        raw = read(dataset, raw_folder(dataset))
        manifest["sets"][dataset] = pack_set(dataset, raw, parts)
        for key, recipe in recipes.items():
            if recipe.dataset == dataset:
                manifest["data"][key] = manifest_of(recipe, prepare(raw, recipe))
    files.write_json(base / "manifest.json", manifest)
    if kept:
        entries = [entry for entry in read_plan(PLAN).entries if entry.name in names]
        trainings = wanted(entries, load_items([entry.name for entry in entries]))
        packed = pack_kept(trainings, manifest["data"], FOLDER / "ledger", kept)
        print(f"pack: {packed} trainings of a former lease are included")
    for folder in sorted(FOLDER.iterdir()):
        print(f"pack: {folder}: {size_of(folder):,} bytes")


def manifest_of(recipe: Experiment, prepared: Prepared) -> dict[str, Any]:
    """Return what the GPU machine has to know to make the same prepared data."""
    statistics = asdict(prepared.statistics)
    return {"experiment": recipe.model_dump(), "statistics": statistics, "files": describe(prepared)}


def recipes_of(names: list[str]) -> dict[str, Experiment]:
    """Return an experiment for each data key that the named ones need, with any seed up to the third."""
    return {
        trial.experiment.data_key(): trial.experiment
        for name, item in load_items(names).items()
        for trial in trials_of(name, with_seeds(item, SEEDS))
    }


def raw_folder(dataset: str) -> Path:
    """Return the folder with the raw files of a data set, as `read` wants it."""
    mirror = mirror_from_environment()
    for folder in (files.RAW, mirror):
        if folder and (folder / dataset).is_dir():
            return folder
    raise InputError(f"{files.RAW / dataset}: not there; run the download stage, or set CONVLAB_MIRROR")


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def worth(dataset: str) -> tuple[int, str]:
    """Return the place of a data set among those that are packed; imported ones are the last."""
    return ORDER.index(dataset) if dataset in ORDER else len(ORDER), dataset


def tree_size() -> int:
    """Return the bytes of the working tree that go with each call: tracked, or new and not ignored."""
    return sum(Path(name).stat().st_size for name in work_tree.listed(Path.cwd()))


def room_beside(tree: int) -> int:
    """Return the bytes of data that a call has room for, beside a working tree of so many.

    Raises:
        InputError: the largest file would not fit.
    """
    if (room := ROOM - tree) < LARGEST:
        raise InputError(
            f"the working tree has {tree:,} bytes; allowed: {ROOM - LARGEST:,}, for each call carries it; "
            f"leave out what is not needed there: `{SMALLER}` (`git sparse-checkout disable` undoes it)"
        )
    return room


class Parts:
    """The folders data-1, data-2, …: each file goes into the first that has room for it, but none before the
    one of the file before it, so that a data set is complete as early as can be."""

    def __init__(self, room: int, first: int):
        """Set up, with `room` bytes in each part, but `first` in the first.

        Raises:
            InputError: what else goes with the first part is too large.
        """
        if first < 0:
            raise InputError(
                f"the wheels and .gpu/ledger take {room - first:,} bytes; allowed: {room:,}; lower --kept"
            )
        self.room, self.number, self.left = room, 1, first

    def add(self, name: str, content: bytes) -> dict[str, str]:
        """Write a file; return its place below .gpu/ and its hash.

        Raises:
            InputError: no part has room for it.
        """
        if len(content) > self.room:
            raise InputError(
                f"{name}: found {len(content):,} bytes; a part has room for {self.room:,}, beside the "
                f"working tree; leave out of that what is not needed there: `{SMALLER}`"
            )
        if len(content) > self.left:
            self.number, self.left = self.number + 1, self.room
        self.left -= len(content)
        path = f"data-{self.number}/{name}"
        files.write_bytes(FOLDER / path, content)
        return {"file": path, "sha256": sha256(content)}


def pack_set(dataset: str, raw: Raw, parts: Parts) -> dict[str, Any]:
    """Write a data set's files; return the manifest's lines on them."""
    lines = []
    splits = (("train", raw.train_images, raw.train_labels), ("test", raw.test_images, raw.test_labels))
    labels = np.concatenate([split[2] for split in splits]).astype(np.uint8)
    packed = parts.add(f"{dataset}-labels.xz", lzma.compress(labels.tobytes(), preset=9))
    for split, images, _ in splits:
        for start in range(0, len(images), IMAGES):
            some = np.ascontiguousarray(images[start : start + IMAGES])
            content, how = encode(some)
            place = parts.add(f"{dataset}-{split}-{start:05}.{how}", content)
            lines.append({"split": split, "how": how, "shape": list(some.shape), **place})
    return {"labels": packed, "images": lines}


def fetch_wheels(folder: Path) -> None:
    """Fetch the wheels of what the GPU machine lacks, in requirements.lock's versions, for its Python."""
    pattern = re.compile(rf"^({'|'.join(PACKAGES)})==\S+", re.MULTILINE)
    versions = [found.group() for found in pattern.finditer(Path("requirements.lock").read_text())]
    python = os.environ.get("PYTHON_VERSION", "3.12")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--implementation", "cp", "--python-version", python, *PLATFORMS, "--dest", str(folder)]
    if subprocess.run([*command, *versions]).returncode:
        raise InputError("pip download failed; see its output above")


if __name__ == "__main__":
    run(main)
