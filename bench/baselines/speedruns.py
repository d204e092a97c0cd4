"""Run a speed run's script unchanged, several trainings in one process; prints one line of JSON.

    python bench/baselines/speedruns.py SCRIPT RUNS [FOLDER]        in the repository's root

CIFAR-10 is read from data/raw, or is in FOLDER as prepared for any experiment, its held-out images included.

SCRIPT is airbench94_muon.py (github.com/KellerJordan/cifar10-airbench) or cifar10_speedrun.py, which is made
from it (github.com/hiverge/cifar10-speedrun); neither is part of this repository. It is loaded, not changed:
it gets the data where it keeps what it has downloaded, and then what its own last lines do is done: compile,
a training on random labels that warms up, trainings.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from convlab import files
from convlab.data.catalogue import DATASETS
from convlab.data.dataset import load_split
from convlab.data.readers.raw import Raw
from convlab.data.readers.registry import read
from convlab.schema import SPLITS


def main() -> None:
    """Train RUNS times and print accuracy (0 to 1) and seconds of each."""
    script, runs = Path(sys.argv[1]).resolve(), int(sys.argv[2])
    raw = from_prepared(Path(sys.argv[3])) if sys.argv[3:] else read("cifar10", files.RAW)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_cache("train", raw.train_images, raw.train_labels)
        write_cache("test", raw.test_images, raw.test_labels)
        print(json.dumps(trainings(load(script), runs)))


def from_prepared(folder: Path) -> Raw:
    """Return all images, as published, of prepared data in a folder."""
    train, validation, test = (load_split(folder, name) for name in SPLITS)
    images, labels = (torch.cat(parts).numpy() for parts in zip(train, validation, strict=True))
    return Raw(images, labels, test.images.numpy(), test.labels.numpy())


def load(script: Path) -> ModuleType:
    """Import a script; it reads its own source through the path in sys.argv."""
    sys.argv = [str(script)]
    spec = spec_from_file_location("speedrun", script)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_cache(part: str, images: Any, labels: Any) -> None:
    """Write a split as the script's loader does after its download: uint8 [N, H, W, C]."""
    Path("cifar10").mkdir(exist_ok=True)
    content = {
        "images": torch.from_numpy(images.transpose(0, 2, 3, 1).copy()),
        "labels": torch.from_numpy(labels.copy()),
        "classes": list(DATASETS["cifar10"].classes),
    }
    torch.save(content, f"cifar10/{part}.pt")


def trainings(script: ModuleType, runs: int) -> list[dict[str, float]]:
    """Do what the script's last lines do; the seconds are those that it prints, from its device events."""
    model = script.CifarNet().cuda().to(memory_format=torch.channels_last)
    model.compile(mode="max-autotune")
    rows = []
    for number in range(runs + 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            returned = script.main("warmup" if number == 0 else number, model)
        rows.append({"test_accuracy": with_views(returned), "seconds": last_seconds(printed.getvalue())})
    return rows[1:]


def with_views(returned: float | tuple[float, float, float]) -> float:
    """Return the accuracy with test-time views of what a training returned: airbench94_muon's that alone,
    cifar10_speedrun's the one without views, the one with them, the seconds."""
    return returned[1] if isinstance(returned, tuple) else returned


def last_seconds(printed: str) -> float:
    """Read the last column of the last row that is printed: the seconds until then."""
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    return float(rows[-1].strip("| ").split("|")[-1])


if __name__ == "__main__":
    main()
