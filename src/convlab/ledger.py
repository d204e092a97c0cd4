"""Finished trainings in a scratch folder, so that no cut-off loses one: a folder each, complete or absent."""

import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from convlab import files
from convlab.train.run import Trained


@dataclass(frozen=True)
class Finished:
    """How a training ended; an `infeasible` or `diverged` one has a reason, neither curves nor weights."""

    status: str
    results: dict[str, Any]
    reason: str | None = None
    curves: list[dict[str, float]] = field(default_factory=list)
    iterations: list[dict[str, float]] = field(default_factory=list)
    timing: dict[str, Any] = field(default_factory=dict)
    weights: Path | None = None


class Ledger:
    """The finished trainings of one experiment or sweep, by a key of all that decides their results."""

    def __init__(self, folder: Path):
        self.folder = folder

    def find(self, key: str) -> Finished | None:
        """Give the training that was finished under `key`, or None."""
        folder = self.folder / key
        if not (folder / "finished.json").is_file():  # written last
            return None
        weights = folder / "model.safetensors"
        content = files.read_json(folder / "finished.json")
        return Finished(**content, weights=weights if weights.is_file() else None)

    def add(self, key: str, finished: Finished, trained: Trained | None) -> None:
        """Put a finished training down, with its weights if it has any."""
        if trained:
            files.write_tensors(self.folder / key / "model.safetensors", trained.model.state_dict())
        content = {name: value for name, value in asdict(finished).items() if name != "weights"}
        files.write_json(self.folder / key / "finished.json", content)

    def drop(self, keys: Iterable[str]) -> None:
        """Forget trainings, once their outputs are where the stage declares them.

        Only these: another worker of DVC's queue may be filling the same ledger.
        """
        for key in keys:
            shutil.rmtree(self.folder / key, ignore_errors=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            shutil.rmtree(self.folder, ignore_errors=True)
