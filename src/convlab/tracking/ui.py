"""MLflow's pages, served to this machine alone, with the address of a view that shows the metrics."""

import errno
import os
import socket
import sys

from convlab.errors import InputError
from convlab.results.folders import finished
from convlab.tracking import failures, mirror_all, store

HOST, PORT = "127.0.0.1", 5000


def serve(port: int) -> int:
    """Mirror every result, say where to look, and become MLflow's server, until it is ended.

    Where MLFLOW_TRACKING_URI is a server, say where to look there.

    Raises:
        InputError: another program has the port, MLflow is not installed, or the server fails.
    """
    uri = store.tracking_uri()
    remote = uri.startswith(("http://", "https://"))
    if not remote:
        require_free(port)
    mirror_all(finished())
    try:
        print_views(store.shown_uri().rstrip("/") if remote else f"http://{HOST}:{port}")
    except ImportError:
        raise InputError("mlflow: not installed here; `make setup` installs it") from None
    except Exception as error:  # whatever a server may raise
        raise InputError(f"ui: {failures.explain(error)}") from None
    if remote:
        return 0
    print("Ctrl-C stops it", flush=True)
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # seven processes of 200 MB, for GenAI
    program = [sys.executable, "-m", "mlflow", "server"]  # of this environment, which need not be on the PATH
    options = ["--backend-store-uri", uri, "--host", HOST, "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, [*program, *options])


def require_free(port: int) -> None:
    """Refuse a port that another program listens on, or that this user may not take.

    Raises:
        InputError: says how to choose another.
    """
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the server does: one that just ended does not matter
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = {
                errno.EADDRINUSE: "another program listens there",
                errno.EACCES: "not allowed to this user",
            }.get(error.errno or 0, str(error))
            raise InputError(
                f"ui: port {port}: {reason}; name a free one: `convlab ui --port {port + 1}` "
                f"(make ui PORT={port + 1})"
            ) from None


def print_views(server: str) -> None:
    """Print the address of each data set's runs, with the columns that matter, and of the registry."""
    with store.connected() as client:
        found = client.search_experiments(order_by=["name"])
    ours = [one for one in found if f"mlflow.sharedViewState.{store.VIEW}" in one.tags]
    width = max((len(one.name) for one in ours), default=0)
    for one in ours:
        view = f"#/experiments/{one.experiment_id}/runs?viewStateShareKey={store.VIEW}"
        print(f"{one.name:<{width}}  {server}/{view}&workflowType=machine_learning")
    print(f"{'models':<{width}}  {server}/#/models")
