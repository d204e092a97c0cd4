"""MLflow, mirrored from the files that the stages write. The files are the truth.

A run is found again by its fingerprint, so mirroring twice changes nothing, and deleting the database loses
nothing: `make track` rebuilds it. A failing MLflow costs a warning, never a training.
"""

import logging
import os
import sqlite3
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlab import files
from convlab.errors import InputError
from convlab.folders import load
from convlab.records import Run, configuration, read_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

MLFLOW_EXPERIMENT = "convlab"
LOCK_SECONDS = 10.0  # for another program that is writing
BATCH = 1000  # metrics in one `log_batch`: MLflow's limit
DIGEST = "mirrored"  # the tag that says which content of the files a run holds


def mirror(name: str) -> bool:
    """Bring what the files say of an experiment or sweep into MLflow; what is there already stays.

    Never raises: whatever goes wrong is one warning line, and `make track` catches up later.

    Returns:
        Whether MLflow now holds it.
    """
    try:
        with _connected() as (client, experiment_id):
            _put(client, experiment_id, read_run(name))
    except ImportError:
        print("mlflow: not installed here; `make track` mirrors the results where it is", file=sys.stderr)
        return False
    except Exception as error:  # a tracker's trouble, of any kind, must not cost a training
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        print(f"mlflow: {name} is not mirrored ({reason}); `make track` catches up", file=sys.stderr)
        return False
    return True


def tracking_uri() -> str:
    """Give MLFLOW_TRACKING_URI, or the database in the repository's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(files.root() / 'mlflow.db').resolve()}"


@contextmanager
def _connected() -> "Iterator[tuple[MlflowClient, str]]":
    """Open MLflow's client, one writer at a time: first users who create the database together crash."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # a server that is gone must not hold us up
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds
    from filelock import FileLock
    from mlflow import MlflowClient, set_tracking_uri

    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    files.scratch().mkdir(parents=True, exist_ok=True)
    with FileLock(files.scratch() / "mlflow.lock", timeout=60):
        _check_database(tracking_uri())
        set_tracking_uri(tracking_uri())
        client = MlflowClient()
        experiment = client.get_experiment_by_name(MLFLOW_EXPERIMENT)
        if experiment:
            yield client, experiment.experiment_id
        else:
            local = tracking_uri().startswith("sqlite:")
            artifacts = (files.root() / "mlartifacts").resolve().as_uri() if local else None
            yield client, client.create_experiment(MLFLOW_EXPERIMENT, artifact_location=artifacts)


def _check_database(uri: str) -> None:
    """Raise at once what MLflow would find out by trying to open a database ten times, for 100 seconds."""
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not path.exists():
        return
    with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as database:
        try:
            database.execute("begin immediate")
        except sqlite3.OperationalError:
            raise  # locked, or not readable: not the file's fault
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}: {error}; remove it") from None


def _put(client: "MlflowClient", experiment_id: str, run: Run, parent: str | None = None) -> None:
    """Create a run or bring it up to date, and then its children."""
    found = _find(client, experiment_id, run, parent)
    started = run.tags.get("started_at")  # unknown where DVC's run cache brought an old result back
    if found and started and found.data.tags.get("started_at") != started:
        # The same training done again: with another clock its curves would stand there twice.
        for old in [found, *client.search_runs([experiment_id], _child_of(found.info.run_id))]:
            client.delete_run(old.info.run_id)
        found = None
    if found is None:
        tags = run.tags | ({"mlflow.parentRunId": parent} if parent else {})
        found = client.create_run(experiment_id, _milliseconds(run, 0.0), tags, run.name)
        _not_alive(client, found.info.run_id)
    run_id = found.info.run_id
    mirrored = found.data.tags.get(DIGEST)
    if mirrored is None or (started and mirrored != run.digest()):
        _log(client, run_id, run)
    for child in run.children:
        _put(client, experiment_id, child, parent=run_id)


def _not_alive(client: "MlflowClient", run_id: str) -> None:
    """Until all of it is there, a run says that it was cut off: its training is over."""
    client.set_terminated(run_id, "KILLED")


def _find(client: "MlflowClient", experiment_id: str, run: Run, parent: str | None) -> Any:
    wanted = {"tags.fingerprint": run.fingerprint, "tags.stage": run.stage, "attributes.run_name": run.name}
    if "device" in run.tags:  # the same fingerprint on a GPU is another run
        wanted["tags.device"] = run.tags["device"]
    query = " and ".join(f"{key} = '{value}'" for key, value in wanted.items())
    if parent:  # two experiments or sweeps may hold the same training, under the same name
        query += f" and {_child_of(parent)}"
    found = client.search_runs([experiment_id], query, max_results=1)
    return found[0] if found else None


def _child_of(run_id: str) -> str:
    return f"tags.`mlflow.parentRunId` = '{run_id}'"


def _log(client: "MlflowClient", run_id: str, run: Run) -> None:
    from mlflow.entities import Metric, Param, RunTag

    metrics = [Metric(key, value, at, step) for key, value, at, step in _points(run)]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])
    client.log_batch(
        run_id,
        params=[Param(key, value) for key, value in run.params.items()],
        tags=[RunTag(key, value) for key, value in run.tags.items()],
    )
    for path in run.artifacts:
        client.log_artifact(run_id, str(path), "figures" if path.suffix in (".png", ".svg") else None)
    if run.model and "model" not in client.get_run(run_id).data.tags:
        _log_model(client, run_id, *run.model)
    client.set_tag(run_id, DIGEST, run.digest())
    client.set_terminated(run_id, "FINISHED", _milliseconds(run, run.timing.get("seconds", 0.0)))


def _points(run: Run) -> Iterator[tuple[str, float, int, int]]:
    """List every metric as (key, value, milliseconds, step), with the clock of the run itself."""
    seconds = list(run.timing.get("epoch_seconds", []))
    end = _milliseconds(run, sum(seconds))
    for key, value in run.metrics.items():
        yield key, value, end, 0
    for key in ("seconds", "images_per_second", "device_seconds", "peak_memory_mib", "utilisation"):
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
    """Give the time `after` seconds into the run, in milliseconds since 1970."""
    started = run.timing.get("started_at", "1970-01-02T00:00:00+00:00")
    return int((datetime.fromisoformat(started).timestamp() + after) * 1000)


def _log_model(client: "MlflowClient", run_id: str, name: str, seed: int) -> None:
    """Log the model: raw uint8 images in, logits out, as an exported program (no pickle)."""
    record = next(one for one in load(name).trainings if one["seed"] == seed)
    experiment, weights = configuration(record), files.weights(name, seed)
    folder = files.PROCESSED / name / experiment.data_key()
    if not weights.is_file() or not (folder / "statistics.json").is_file():
        return  # a fresh clone has the results in git, but not yet the weights
    import mlflow.pytorch
    import torch
    from mlflow.models import infer_signature

    from convlab.data.dataset import load_split, load_statistics
    from convlab.models.build import load_model

    statistics = load_statistics(folder)
    model = torch.nn.Sequential(statistics.transform(), load_model(experiment, statistics, weights)).eval()
    images = load_split(folder, "validation").images[:2]
    with torch.inference_mode():
        signature = infer_signature(images.numpy(), model(images).numpy())
    with warnings.catch_warnings(), mlflow.start_run(run_id=run_id):
        _not_alive(client, run_id)  # `start_run` has called it alive
        warnings.simplefilter("ignore")  # torch.export's, of MLflow's own making
        mlflow.pytorch.log_model(
            model,
            name="model",
            signature=signature,
            input_example=images.numpy(),
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}"],
            serialization_format="pt2",
        )
    client.set_tag(run_id, "model", weights.name)
