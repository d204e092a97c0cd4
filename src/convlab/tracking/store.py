"""MLflow's store, opened by one writer at a time, with one MLflow experiment for each data set."""

import json
import logging
import os
import re
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from convlab import files
from convlab.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_SECONDS = 10.0  # for another program that is writing
VIEW = "convlab"  # the name of the view of runs that `convlab ui` opens
# Its columns, beside names: how good runs are, then what they cost; what is far to the right needs scrolling
COLUMNS = (
    "metrics.`test_accuracy`",
    "metrics.`test_accuracy_sd`",
    "metrics.`n`",
    "metrics.`best_validation_accuracy`",
    "metrics.`timing/seconds`",
    "tags.`state`",
    "tags.`hardware`",
)
TAGS = {
    "mlflow.experimentKind": "custom_model_development",  # else MLflow's page is about tokens, not metrics
    f"mlflow.sharedViewState.{VIEW}": json.dumps({"selectedColumns": COLUMNS}),
}


def tracking_uri() -> str:
    """Return MLFLOW_TRACKING_URI, or the database in the repository's root."""
    path = str((files.root() / "mlflow.db").resolve())
    if "?" in path or "%" in path:  # what follows would be settings, or an escape
        path = os.path.relpath(path)
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{path}"


def shown_uri() -> str:
    """Return the tracking URI without a name and password that may be in it."""
    return without_password(tracking_uri())


def without_password(text: str) -> str:
    """Return a text whose addresses have no name and password."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def clone_id() -> str:
    """Return what tells this clone from others that mirror into the same server; made at the first call."""
    path = files.scratch() / "clone"
    if not path.is_file():
        files.write_text(path, f"{uuid.uuid4().hex}\n")
    return path.read_text(encoding="utf-8").strip()


def load_mlflow() -> None:
    """Import MLflow, which reads these settings as it is imported.

    Raises:
        ImportError: it is not installed.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # a server that is gone must not hold us up
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds
    import mlflow  # noqa: F401


@contextmanager
def connected() -> "Iterator[MlflowClient]":
    """Open MLflow's client, one writer at a time: creating the database concurrently crashes.

    Raises:
        ImportError: MLflow is not installed.
        InputError: the driver of the tracking URI's database is not, or its SQLite file is damaged.
    """
    load_mlflow()
    from filelock import FileLock
    from mlflow import MlflowClient, set_tracking_uri

    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    files.scratch().mkdir(parents=True, exist_ok=True)
    with FileLock(files.scratch() / "mlflow.lock", timeout=60):
        _check_database(tracking_uri())
        set_tracking_uri(tracking_uri())
        try:
            client = MlflowClient()
            client.search_experiments(
                max_results=1
            )  # an unreachable server is noticed once, not for each result
        except ImportError as error:
            raise InputError(
                f"{error.name}, which MLFLOW_TRACKING_URI needs, is not installed; "
                "for PostgreSQL: `pip install '.[postgres]'`"
            ) from None
        yield client


def experiment_id(client: "MlflowClient", name: str) -> str:
    """Return the id of an MLflow experiment, which is created, or restored if somebody deleted it."""
    found = client.get_experiment_by_name(name)
    if found is None:
        local = tracking_uri().startswith("sqlite:")
        artifacts = (files.root() / "mlartifacts").resolve().as_uri() if local else None
        identity = client.create_experiment(name, artifact_location=artifacts)
        tags: dict[str, str] = {}
    else:
        identity, tags = found.experiment_id, found.tags
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(identity)
            print(f"mlflow: the experiment {name} had been deleted; it is restored", file=sys.stderr)
    for key, value in TAGS.items():
        if tags.get(key) != value:
            client.set_experiment_tag(identity, key, value)
    return str(identity)


def create_model(client: "MlflowClient", name: str, description: str | None = None) -> None:
    """Create a registered model; that it is there already is no error: if an answer gets lost, MLflow asks
    again."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


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
