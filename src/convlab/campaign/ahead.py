"""What of the selection is to be trained after one of its results, and how long that takes here."""

import hashlib
import os
from pathlib import Path

from convlab import files
from convlab.config import load_item, read_yaml
from convlab.errors import InputError
from convlab.pipeline.executors import EXECUTOR
from convlab.pipeline.kept import SELECTORS, stages
from convlab.train.progress import NOTHING, Ahead

UP_TO_TRAINING = ("preprocess", "preprocess_sweep", *SELECTORS.values())


def ahead_of(name: str) -> Ahead:
    """Return what is selected besides `name` and not computed yet, in seconds of earlier trainings.

    Which targets DVC was given is not known: it is all that params.yaml selects. `NOTHING` where a file that
    says so cannot be read, for no training ends because of what is shown of it.
    """
    try:
        params = read_yaml(files.PARAMS)
        selected = [one for key in SELECTORS for one in params[key] if one != name]
        done = computed() if selected else set()
        waiting = [one for one in selected if one not in done]
        return _estimate(waiting) if waiting else NOTHING
    except (InputError, KeyError, TypeError):
        return NOTHING


def computed() -> set[str]:
    """Return the experiments and sweeps that DVC need not train: as dvc.lock has them, with weights there."""
    own: dict[str, dict[str, list[dict[str, str]]]] = {}
    for stage, content in stages().items():
        kind, _, name = stage.partition("@")
        own.setdefault(name, {})[kind] = content.get("deps", [])
    return {
        name
        for name, kinds in own.items()
        if kinds.keys() & {*SELECTORS.values()} and (files.MODELS / name).is_dir()
        if not any(_changed(**dep) for kind in kinds if kind in UP_TO_TRAINING for dep in kinds[kind])
    }


def _changed(path: str, md5: str, **_: object) -> bool:
    """Return whether a file that a stage depends on differs. Folders are not read, not even data/raw."""
    file = Path(path)
    settled = md5.endswith(".dir") or (file.is_file() and hashlib.md5(file.read_bytes()).hexdigest() == md5)
    return not settled


def _estimate(names: list[str]) -> Ahead:
    from convlab.campaign.estimate import NeverTimed, TrainingSpeed  # PyTorch takes seconds

    elsewhere = (os.environ.get(EXECUTOR) or "processes") != "processes"
    speed, seconds, untimed = TrainingSpeed(measures=False), 0.0, len(names) if elsewhere else 0
    for name in [] if elsewhere else names:
        try:
            seconds += speed.estimate(name, load_item(files.config(name))).seconds
        except (NeverTimed, InputError):  # InputError: it needs a device that is not here
            untimed += 1
    return Ahead(len(names), seconds, untimed)
