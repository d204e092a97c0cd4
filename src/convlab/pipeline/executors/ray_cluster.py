"""A Ray cluster: the one that RAY_ADDRESS names, or else one that is started here."""

import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import ray

from convlab.errors import InputError
from convlab.pipeline.executors.job import Job
from convlab.pipeline.executors.workers import WORKERS, workers_asked_for
from convlab.pipeline.provenance import run_context
from convlab.train.device import ALL_THREADS

ADDRESS = "RAY_ADDRESS"
PACKAGE = Path(__file__).parents[2]
RESOURCES = {"num_cpus": "CPU", "num_gpus": "GPU"}  # what is asked for → its name at a node
GPU_SHARE = 0.25  # of a GPU: networks for small images do not fill one
CONNECT_SECONDS = 5.0  # for a head to answer, and between checks whether it still does


@contextmanager
def cluster(cpus: int, variables: Mapping[str, str]) -> Iterator[None]:
    """Attach to the cluster that RAY_ADDRESS names, or start one here that ends with this process.

    `variables`: further environment variables of the workers' processes.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # else its workers run at a low priority
    address = os.environ.get(ADDRESS, "")
    asked = workers_asked_for()
    here = {"address": "local", "include_dashboard": False}
    if asked:
        here["num_cpus"] = max(asked * cpus, os.cpu_count() or 1)  # as many as asked for, cores or not
    environment = {
        "OMP_NUM_THREADS": str(ALL_THREADS),  # Ray would set it to the share of the CPUs
        "MALLOC_ARENA_MAX": "1",  # a training runs in a thread: its memory is to be kept as a main thread's
        "CONVLAB_COMMIT": run_context()["git_commit"] or "",
        **variables,
    }
    terminate = signal.getsignal(signal.SIGTERM)  # Ray puts its own handler there
    try:
        if address:
            check_reachable(address)
        ray.init(
            **({"address": address} if address else here),
            log_to_driver=False,
            logging_level="ERROR",
            # Every node runs this code, whatever is installed there.
            runtime_env={"py_modules": [str(PACKAGE)], "excludes": ["__pycache__"], "env_vars": environment},
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"{ADDRESS}: found {address!r}, but" if address else "Ray does not start here:"
        raise InputError(f"{where} {(str(error).splitlines() or [type(error).__name__])[0]}") from None
    try:
        signal.signal(signal.SIGTERM, terminate)
        yield
    finally:
        ray.shutdown()
        signal.signal(signal.SIGTERM, terminate)


def check_reachable(address: str) -> None:
    """Refuse at once what Ray would try to reach for minutes.

    Raises:
        InputError: nothing listens there, or it is not the address of a head node.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise InputError(
            f"{ADDRESS}: found {address!r}; allowed: HOST:PORT of a head node (`ray start --head`), auto"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"{ADDRESS}: found {address!r}, but nothing answers there ({error})") from None


def share_of(jobs: Sequence[Job], cpus: int) -> tuple[dict[str, float], int]:
    """Return the resources that one training asks for, and how many of them to run at once.

    With CONVLAB_WORKERS there may be more than the cluster has room for now: with autoscaling, it grows.

    Raises:
        InputError: no node has the resources, and CONVLAB_WORKERS is not set.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = any(node.get("GPU") for node in nodes)
    wanted = {job.trial.experiment.device for job in jobs}
    if "cuda" in wanted or (gpus and "auto" in wanted):
        share = {"num_cpus": 1.0, "num_gpus": GPU_SHARE}
    else:
        largest = max((node.get("CPU", 0.0) for node in nodes), default=1.0)
        share = {"num_cpus": max(1.0, min(float(cpus), largest))}
    room = sum(
        int(min(node.get(RESOURCES[key], 0.0) // amount for key, amount in share.items())) for node in nodes
    )
    asked = workers_asked_for()
    if not (room or asked):
        raise InputError(
            f"{jobs[0].label}: needs {amounts(share)}, which no node of the cluster has; start one that has, "
            f"or set {WORKERS} to wait for one"
        )
    return share, max(1, min(asked or room, len(jobs)))


def amounts(share: Mapping[str, float]) -> str:
    """Return `1 CPU and 0.25 GPU`, or `2 CPUs`."""
    return " and ".join(
        f"{amount:g} {RESOURCES[key]}{'s' if amount > 1 else ''}" for key, amount in share.items()
    )
