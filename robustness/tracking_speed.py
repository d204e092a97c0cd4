"""How many runs a second a tracking server takes: SQLite and PostgreSQL, one writer and eight.

    python robustness/tracking_speed.py [--runs 24] [--out FILE]

Each writer is a process with MLflow's client. A run is what convlab writes of a short training: 20
parameters, ten tags and 200 values of metrics, in five calls. CPU seconds (user and system) of the writers,
of MLflow's server and of PostgreSQL stand beside runs per second, which depend on what else the machine does.
The table of docs/scale.md is written from it.
"""

import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.options import Parser, count
from convlab import markdown
from convlab.errors import run
from convlab.files import write_json
from convlab.pipeline.provenance import environment, run_context
from robustness.servers import MlflowServer, Postgres, find_postgres

OUT, PAGE = Path("robustness/results/tracking_speed.json"), Path("docs/scale.md")
WRITERS = (1, 8)
PARAMS = {f"param_{number}": str(number) for number in range(20)}
EPOCHS, KEYS = 20, 10  # of the metrics


def main() -> None:
    """Measure all four, and write the table."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=count, default=24)
    parser.add_argument("--out", type=Path, default=OUT, help="(%(default)s)")
    options = parser.parse_args()
    binaries = find_postgres()
    found: list[dict[str, Any]] = []
    for store in ("SQLite", "PostgreSQL"):
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            folder = Path(name)
            folder.chmod(0o755)
            uri = f"sqlite:///{folder / 'mlflow.db'}"
            if store == "PostgreSQL":
                uri = stack.enter_context(closing(Postgres(folder / "database", binaries))).uri
            server = stack.enter_context(closing(MlflowServer(folder, uri)))
            pids = [server.process.pid]
            if store == "PostgreSQL":
                pids.append(int((folder / "database/data/postmaster.pid").read_text().split()[0]))
            for writers in WRITERS:
                found.append({"store": store} | measured(server.uri, writers, options.runs, pids))
            print(found[-2:], flush=True)
    results = environment(torch.device("cpu")) | {
        "git_commit": run_context()["git_commit"],
        "runs": options.runs,
    }
    results |= {"mlflow": version("mlflow"), "load": round(os.getloadavg()[2], 1), "found": found}
    write_json(options.out, results)
    print(table(results))
    if options.out == OUT:
        markdown.rewrite(PAGE, "tracking-speed", table(results))


def measured(uri: str, writers: int, runs: int, pids: list[int]) -> dict[str, Any]:
    """Write runs from so many processes at once; return what it took."""
    with ProcessPoolExecutor(writers, get_context("spawn")) as pool:
        list(pool.map(write, [uri] * writers, [1] * writers))  # import MLflow, make the experiment
        began, before = time.perf_counter(), sum(map(cpu_of, pids))
        cpu = list(pool.map(write, [uri] * writers, [runs // writers] * writers))
        wall, after = time.perf_counter() - began, sum(map(cpu_of, pids))
    took = {"wall": wall, "cpu_of_writers": sum(cpu), "cpu_of_server": after - before}
    return {"writers": writers, "runs": runs // writers * writers} | took


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process and of all below it, so far."""
    whole = psutil.Process(pid)
    times = [one.cpu_times() for one in (whole, *whole.children(recursive=True))]
    return sum(one.user + one.system + one.children_user + one.children_system for one in times)


def write(uri: str, number: int) -> float:
    """Write so many runs; return this process's CPU seconds."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    before = resource.getrusage(resource.RUSAGE_SELF)
    client = MlflowClient(uri)
    for _ in range(number):
        run_id = client.create_run("0").info.run_id
        values = [(f"metric_{key}", step) for key in range(KEYS) for step in range(EPOCHS)]
        client.log_batch(run_id, metrics=[Metric(key, 0.5, 0, step) for key, step in values])
        tags = [RunTag(f"tag_{key}", "a") for key in range(10)]
        client.log_batch(run_id, params=[Param(key, value) for key, value in PARAMS.items()], tags=tags)
        client.set_terminated(run_id)
        client.set_tag(run_id, "mirrored", "yes")
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def table(results: dict[str, Any]) -> str:
    """Return what was found as a Markdown table, with the hardware, the versions and the load."""
    lines = [
        f"{results['device_name']}, PostgreSQL and SQLite behind MLflow {results['mlflow']} with one worker, "
        f"{results['runs']} runs each, once, at a load of {results['load']:.0f}.",
        "",
        "| store | writers | runs per second | CPU ms per run, writers "
        "| CPU ms per run, server and database |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for one in results["found"]:
        cpu = [1000 * one[f"cpu_of_{side}"] / one["runs"] for side in ("writers", "server")]
        cells = [
            one["store"],
            one["writers"],
            f"{one['runs'] / one['wall']:.1f}",
            *(f"{ms:.0f}" for ms in cpu),
        ]
        lines.append(markdown.row(cells))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run(main)
