"""Runs in MLflow: created, brought up to date, or replaced where MLflow allows no change.

A run is found again by its result, its fingerprint and when it began, never by its name, which users may
change.
"""

import hashlib
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from convlab.errors import InputError
from convlab.tracking.records import SCORES
from convlab.tracking.run import Run
from convlab.tracking.server_lock import ServerLock
from convlab.tracking.store import clone_id, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH = 1000  # metrics in one `log_batch`: MLflow's limit
DIGEST = "mirrored"  # the tag that says which content of the files a run holds
MODEL = "model"  # the tag that says where MLflow has a run's network
PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"
TIMES = ("seconds", "images_per_second", "device_seconds", "peak_memory_mib", "utilisation")


def put(client: "MlflowClient", run: Run) -> dict[tuple[str, str], str]:
    """Create a run or bring it up to date, and its children; return the id of each training's run, by its
    result and fingerprint."""
    with ServerLock(client) as lock:
        mirror = _Mirror(client, experiment_id(client, run.dataset), run.item, lock)
        mirror.put(run)
    return mirror.ids


class _Mirror:
    """Puts the runs of one experiment or sweep; `known` are those that MLflow has of it."""

    def __init__(self, client: "MlflowClient", home: str, item: str, lock: ServerLock):
        self.client, self.home, self.item, self.lock = client, home, item, lock
        self.known = self._look()
        self.ids: dict[tuple[str, str], str] = {}
        there = {one.info.run_id for one in self.known}
        for one in [one for one in self.known if _ours(one)]:
            if one.data.tags.get(PARENT, one.info.run_id) not in there:
                self._delete(one)  # somebody deleted the run that it was below

    def _look(self) -> list[Any]:
        return list(_search(self.client, self.home, f"tags.item = '{self.item}'"))

    def put(self, run: Run, parent: str | None = None) -> str:
        if self.lock.give_a_turn():
            self.known = self._look()
        found, old = self._find(run, parent)
        for other in old:
            self._delete(other)
        if found is not None and _unchangeable(found, run):
            self._delete(found)
            found = None
        if found is None:
            self.lock.check()
            tags = run.tags | {"clone": clone_id()} | ({PARENT: parent} if parent else {})
            found = self.client.create_run(self.home, _milliseconds(run, 0.0), tags, run.name)
            _not_alive(self.client, found.info.run_id)
        run_id: str = found.info.run_id
        self.ids[run.result, run.fingerprint] = run_id
        if found.data.tags.get(DIGEST) != run.digest():
            _log(self.client, found, run)
        children = [self.put(child, parent=run_id) for child in run.children]
        if _ours(found):
            for other in list(self.known):
                if other.data.tags.get(PARENT) == run_id and other.info.run_id not in children:
                    self._delete(other)
        return run_id

    def _find(self, run: Run, parent: str | None) -> tuple[Any, list[Any]]:
        """Return MLflow's run of a training, if it is there, and those that it replaces.

        The same training done again, here, replaces the one before: with other times, its curves would appear
        twice. What another clone has put there stays, and so does a DVC experiment's.
        """
        keys = ("result", "fingerprint", "device")
        same = [
            one
            for one in self.known
            if all(one.data.tags.get(key) == run.tags.get(key) for key in keys)
            and one.data.tags.get(PARENT) == parent
        ]
        same.sort(key=_ours, reverse=True)
        started = run.tags.get("started_at")
        if started is None:  # DVC's run cache brought an old result back, without its timing
            return (same[0] if same else None), []
        found = next((one for one in same if one.data.tags.get("started_at") == started), None)
        within = run.tags.get("dvc_experiment")
        return found, [
            one
            for one in same
            if one is not found and _ours(one) and one.data.tags.get("dvc_experiment") == within
        ]

    def _delete(self, run: Any) -> None:
        """Delete a run of MLflow's, with those below it."""
        if run not in self.known:
            return
        for child in [one for one in self.known if one.data.tags.get(PARENT) == run.info.run_id]:
            self._delete(child)
        self.known.remove(run)
        self.client.delete_run(run.info.run_id)


def _not_alive(client: "MlflowClient", run_id: str) -> None:
    """Mark a run as killed until it is complete: its training is over, so it is not running."""
    client.set_terminated(run_id, "KILLED")


def _search(client: "MlflowClient", home: str, query: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([home], query, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _ours(run: Any) -> bool:
    """Tell whether this clone has put a run of MLflow's there."""
    return bool(run.data.tags.get("clone") == clone_id())


def _unchangeable(found: Any, run: Run) -> bool:
    """Return whether MLflow's run holds what MLflow never changes: another value of a parameter, a score that
    the files no longer have, or other seconds: of a result with more seeds, some of them trained before."""
    if DIGEST not in found.data.tags or not _ours(found):
        return False
    params, metrics = found.data.params, found.data.metrics
    other = any(params.get(key, value) != value for key, value in run.params.items())
    other = other or any(key in metrics and key not in run.metrics for key in SCORES)
    clock = {f"timing/{key}": run.timing[key] for key in TIMES if run.timing.get(key) is not None}
    return other or any(metrics.get(key, value) != value for key, value in clock.items())


def _log(client: "MlflowClient", found: Any, run: Run) -> None:
    from mlflow.entities import Metric, Param, RunTag

    run_id, tags = found.info.run_id, run.tags
    again = DIGEST in found.data.tags
    new = _changed(run, found.data.metrics) if again else metric_points(run)
    metrics = [Metric(key, value, at, step) for key, value, at, step in new]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])
    note, written = found.data.tags.get(NOTE), found.data.tags.get("described")
    if note is None or written == _hash(note):  # else somebody wrote another
        tags |= {NOTE: run.description, "described": _hash(run.description)}
    client.log_batch(
        run_id,
        params=[Param(key, value) for key, value in run.params.items() if key not in found.data.params],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    client.log_inputs(run_id, datasets=list(_inputs(run)))
    for path in run.artifacts:
        client.log_artifact(run_id, str(path), "figures" if path.suffix in (".png", ".svg") else None)
    if run.exportable and MODEL not in found.data.tags:
        try:
            export(client, run_id, run)
        except InputError as error:  # the numbers are worth having without it
            print(f"mlflow: {run.name} mirrored without its network ({error})", file=sys.stderr)
    _end(client, run_id, run)
    client.set_tag(run_id, DIGEST, run.digest())  # last: a run without it is mirrored again


def export(client: "MlflowClient", run_id: str, run: Run) -> str:
    """Put a training's network into its run; return its address in MLflow, which a tag of the run says too.

    Raises:
        InputError: the weights are damaged, or of another training.
    """
    from convlab.tracking import models  # brings torch: only where it is needed

    assert run.origin is not None
    address = models.log(client, run_id, run.origin)
    client.set_tag(run_id, MODEL, address)
    _end(client, run_id, run)
    return address


def _end(client: "MlflowClient", run_id: str, run: Run) -> None:
    client.set_terminated(run_id, "FINISHED", _milliseconds(run, run.timing.get("seconds", 0.0)))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _inputs(run: Run) -> Iterable[Any]:
    """List what a run has seen, for MLflow's column of data sets."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    for one in run.data:
        dataset = Dataset(name=one.name, digest=one.digest, source_type="code", source=one.source)
        yield DatasetInput(dataset, [InputTag("mlflow.data.context", one.split)])


def _changed(run: Run, held: dict[str, float]) -> Iterator[tuple[str, float, int, int]]:
    """List the single numbers in which MLflow's run differs, timed now: MLflow shows the latest value, and of
    several at one time the largest."""
    now = int(time.time() * 1000)
    for key, value in run.metrics.items():
        if held.get(key) != value:
            yield key, value, now, 0


def metric_points(run: Run) -> Iterator[tuple[str, float, int, int]]:
    """List every metric as (key, value, milliseconds since 1970, step), at the times of the run itself."""
    seconds = list(run.timing.get("epoch_seconds", []))
    end = _milliseconds(run, sum(seconds))
    for key, value in run.metrics.items():
        yield key, value, end, 0
    for key in TIMES:
        if run.timing.get(key) is not None:
            yield f"timing/{key}", run.timing[key], end, 0
    for index, row in enumerate(run.curves):
        epoch, at = int(row["epoch"]), _milliseconds(run, sum(seconds[: index + 1]))
        for key, value in row.items():
            if key not in ("epoch", "trial", "seed"):
                yield key, value, at, epoch
        if index < len(seconds):
            yield "timing/epoch_seconds", seconds[index], at, epoch


def _milliseconds(run: Run, after: float) -> int:
    """Return the time `after` seconds into the run, in milliseconds since 1970; now if no timing is known."""
    started = run.timing.get("started_at")
    began = datetime.fromisoformat(started).timestamp() + after if started else time.time()
    return int(began * 1000)
