"""Trainings in a scratch folder, so that no interruption loses one: a folder each, with checkpoints until it
is finished, then with its outcome, complete or absent.

Several processes may share it (workers of DVC's queue, on sweeps with trials in common): one of them trains
what several want, and none removes what another uses.
"""

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from convlab import files
from convlab.interrupt import Interrupted, Request
from convlab.locks import Lock
from convlab.pipeline.run import Trained
from convlab.train.checkpoint import KEPT

FINISHED = "finished.json"  # written last
USED, TRAINING = ".used", ".training"  # locks: held by all that use a training, by the one that runs it
POLL = 0.2  # seconds between checks whether another process has ended a training
STALE = 7 * 24 * 3600  # seconds


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
    """The finished trainings of one experiment or sweep, by a key of all that their results depend on."""

    def __init__(self, folder: Path):
        self.folder = folder

    def use(self, key: str) -> Lock:
        """Return a lock: for as long as it is held, no process removes the training."""
        return Lock.shared(self.folder / key / USED)

    @contextmanager
    def turn(self, key: str, label: str, request: Request) -> Iterator[None]:
        """Wait until no other process runs this training, and let none run it within the context.

        Raises:
            Interrupted: this process was asked to end meanwhile.
        """
        path, waited = self.folder / key / TRAINING, False
        while (lock := Lock.exclusive(path)) is None:
            if not waited:
                print(f"{label}: another process is training it; waiting", flush=True)
            if request.number is not None:
                raise Interrupted(request.number, f"{label} waited for another process")
            waited = True
            time.sleep(POLL)
        try:
            yield
        finally:
            lock.release()

    def find(self, key: str) -> Finished | None:
        """Return the training that was finished under `key`, or None."""
        folder = self.folder / key
        if not (folder / FINISHED).is_file():
            return None
        weights = folder / "model.safetensors"
        content = files.read_json(folder / FINISHED)
        return Finished(**content, weights=weights if weights.is_file() else None)

    def checkpoints(self, key: str) -> Path:
        """Return the folder for the checkpoints of a training that is not finished."""
        return self.folder / key / "checkpoints"

    def take_over(self, key: str, others: Iterable[str]) -> None:
        """Let a training that has no checkpoints resume from those of the first of `others` that has any.

        What another process is training stays as it is.
        """
        own = self.checkpoints(key)
        if any(own.glob("*")):
            return
        for found in map(self.checkpoints, others):
            if any(found.glob("*")) and (lock := Lock.exclusive(found.parent / TRAINING)):
                shutil.rmtree(own, ignore_errors=True)
                own.parent.mkdir(parents=True, exist_ok=True)
                found.rename(own)
                lock.release()
                return

    def add(self, key: str, finished: Finished, trained: Trained | None) -> None:
        """Record a finished training, with its weights if it has any."""
        if trained:
            files.write_tensors(self.folder / key / "model.safetensors", trained.model.state_dict())
        content = {name: value for name, value in asdict(finished).items() if name != "weights"}
        files.write_json(self.folder / key / FINISHED, content)
        shutil.rmtree(self.checkpoints(key), ignore_errors=True)

    def keep(self, key: str, finished: Finished) -> None:
        """Record a training of an earlier result, with its weights if it has any; not if the training is here
        already, or another process is training it."""
        used, turn = self.use(key), Lock.exclusive(self.folder / key / TRAINING)
        try:
            if turn is None or self.find(key):
                return
            weights = self.folder / key / "model.safetensors"
            if finished.weights:
                files.copy(finished.weights, weights)
            else:
                weights.unlink(missing_ok=True)  # of one that was killed before it was finished
            self.add(key, finished, None)
        finally:
            used.release()
            if turn:
                turn.release()

    def contents(self, key: str) -> dict[str, bytes]:
        """Return the files of a training, by their place in its folder: what `put` takes on another machine.

        Of one that is not finished they are its checkpoints; a writer may be removing old ones meanwhile.
        """
        found = {}
        for path in sorted((self.folder / key).rglob("[!.]*")):  # no file that is half written
            with suppress(FileNotFoundError):
                if path.is_file():
                    found[path.relative_to(self.folder / key).as_posix()] = path.read_bytes()
        return found

    def put(self, key: str, contents: Mapping[str, bytes]) -> None:
        """Write what `contents` returned elsewhere, `finished.json` last; nothing happens without any."""
        if not contents:  # the folder may be another machine's, too, which is writing a checkpoint into it
            return
        for name in sorted(contents, key=lambda name: name == FINISHED):
            files.write_bytes(self.folder / key / name, contents[name])
        old = sorted(self.checkpoints(key).glob("[!.]*"))[:-KEPT]
        if FINISHED in contents:
            shutil.rmtree(self.checkpoints(key), ignore_errors=True)
        else:
            for path in old:
                path.unlink(missing_ok=True)

    def drop(self, keys: Iterable[str]) -> None:
        """Remove trainings that no process uses, once their outputs are where the stage declares them.

        Of others, remove only those untouched for a week: a training that was interrupted before its
        parameters changed is never asked for again.
        """
        for key in keys:
            self._remove(key)
        for path in self.folder.glob("*"):
            if time.time() - _touched(path) > STALE:
                self._remove(path.name)
        with suppress(OSError):  # other trainings are in it, or it is gone
            self.folder.rmdir()

    def _remove(self, key: str) -> None:
        """Remove a training, unless another process uses it, which will then remove it."""
        if (self.folder / key).is_dir() and (lock := Lock.exclusive(self.folder / key / USED)):
            shutil.rmtree(self.folder / key, ignore_errors=True)
            lock.release()


def _touched(folder: Path) -> float:
    """Return when anything in a folder was last written; now, if it is being removed."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return time.time()
