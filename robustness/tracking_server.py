"""Several clones write the same results to one MLflow server on PostgreSQL, which are killed in between.

    python robustness/tracking_server.py [--clones 8] [--kills 2] [--seed 1] [--out FILE]

Needs PostgreSQL (Debian's package `postgresql`) and `pip install '.[postgres]'`. The database, the server
and the clones live in a temporary folder, on ports of this machine alone. Every clone runs `convlab track`,
all at once, again and again until its exit status is 0; the last one first runs a sweep of its own.
`--kills` times, when a random number of runs is there, and once more when the first of the sweep's runs is,
MLflow gets a SIGKILL and PostgreSQL an immediate restart; MLflow comes back some seconds later. In the end
each run has to be there once and complete: read back from the server, its parameters, the history of every
metric and the paths and sizes of its artifacts are those in the database that one clone alone has written.
The table of docs/scale.md is written from it.
"""

import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench import work_tree
from bench.options import Parser, count
from convlab import markdown
from convlab.errors import InputError, run
from convlab.files import METRICS, STUDIES, write_json
from convlab.pipeline.provenance import environment, run_context
from robustness.servers import MlflowServer, Postgres, find_postgres

ROOT = Path(__file__).parents[1]
OUT, PAGE = Path("robustness/results/tracking_server.json"), Path("docs/scale.md")
RESULTS = ("digits", "digits_l2", "mnist_cnn", "headline_mnist")  # one seed, a sweep, twice three seeds
ATTEMPTS = 50
AWAY = 5.0  # seconds for which nothing answers
SWEEP = "digits_l2"  # what the last clone computes again, with two epochs
IDENTITY = ("result", "kind", "fingerprint", "started_at")  # tags by which a run is one and the same
Found = Counter[tuple[str, ...]]


def main() -> int:
    """Let all clones write, and write the table; exit status 1 if a run is lost, incomplete or duplicated."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--clones", type=count, default=8)
    parser.add_argument("--kills", type=count, default=2)
    parser.add_argument("--seed", type=count, default=1)
    parser.add_argument("--out", type=Path, default=OUT, help="(%(default)s)")
    options = parser.parse_args()
    binaries = find_postgres()
    chance = random.Random(options.seed)
    results = environment(torch.device("cpu")) | {"git_commit": run_context()["git_commit"]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        clones = [clone(folder / f"clone-{number}") for number in range(options.clones)]
        track(clones[0], f"sqlite:///{folder / 'alone.db'}")
        wanted = contents(f"sqlite:///{folder / 'alone.db'}")
        known = {key[: len(IDENTITY)] for key in wanted}
        if options.kills >= len(wanted):
            raise InputError(f"--kills: found {options.kills}; allowed: less than the {len(wanted)} runs")
        moments = sorted(chance.sample(range(1, len(wanted)), options.kills))
        with (
            closing(Postgres(folder / "database", binaries)) as database,
            closing(MlflowServer(folder, database.uri)) as server,
            ThreadPoolExecutor(options.clones) as threads,
        ):
            stage = threads.submit(sweep, clones[-1], server.uri)
            writers = [threads.submit(track, one, server.uri) for one in clones[:-1]]

            def interrupt(reached: Callable[[], bool], working: list[Future[Any]]) -> None:
                while not reached() and not all(one.done() for one in working):
                    time.sleep(1)
                server.kill()
                database.restart()
                time.sleep(AWAY)
                server.start()

            for moment in moments:
                interrupt(lambda least=moment: len(runs(server.uri)) >= least, writers)  # type: ignore[misc]
            interrupt(lambda: any(identity(one) not in known for one in runs(server.uri)), [stage])
            said = stage.result()
            attempts = [writer.result() for writer in writers] + [track(clones[-1], server.uri)]
            track(clones[-1], f"sqlite:///{folder / 'sweep.db'}")
            wanted |= contents(f"sqlite:///{folder / 'sweep.db'}")
            found = judged(wanted, contents(server.uri))
    results |= {"postgresql": database.version, "clones": options.clones, "killed_at": moments}
    results |= {"attempts": attempts, "sweep_said": said} | found
    results["mlflow"] = version("mlflow")
    write_json(options.out, results)
    print(table(results))
    if options.out == OUT:
        markdown.rewrite(PAGE, "tracking-server", table(results))
    return 1 if found["lost"] or found["duplicated"] or found["incomplete"] else 0


def table(results: dict[str, Any]) -> str:
    """Return what was found as a Markdown table, with the hardware and versions."""
    least, most = min(results["attempts"]), max(results["attempts"])
    moments = [str(moment) for moment in results["killed_at"]]
    moments += ["the sweep's first"] if "sweep_said" in results else []
    cells = {
        "clones": results["clones"],
        "killed when so many runs were there": ", ".join(moments),
        "`convlab track` in each clone, times": f"{least} to {most}" if least < most else least,
        "runs wanted": results["wanted"],
        "lost": results["lost"],
        "incomplete": results["incomplete"],
        "duplicated": results["duplicated"],
    }
    lines = [
        f"{results['device_name']}, PostgreSQL {results['postgresql']}, MLflow {results['mlflow']}, "
        f"commit {results['git_commit'][:7]}.",
        "",
        markdown.row(cells),
        "|" + " ---: |" * len(cells),
        markdown.row(cells.values()),
    ]
    return "\n".join(lines) + "\n"


def judged(wanted: Found, found: Found) -> dict[str, int]:
    """Count the runs on a server that are lost, incomplete or duplicated.

    Args:
        wanted, found: runs by IDENTITY, digest of the content, and status.
    """
    known: Found = Counter()
    for key, number in found.items():
        known[key[: len(IDENTITY)]] += number
    names = [(key, key[: len(IDENTITY)]) for key in wanted]
    return {
        "wanted": len(wanted),
        "lost": sum(not known[name] for _, name in names),
        "incomplete": sum(known[name] > 0 and not found[key] for key, name in names),
        "duplicated": known.total() - len(known),
    }


def contents(uri: str) -> Found:
    """Count the runs of a tracking server or database by IDENTITY, content and status."""
    return Counter((*identity(one), content(uri, one), one.info.status) for one in runs(uri))


def identity(one: Any) -> tuple[str, ...]:
    """Return what a run is recognised by."""
    return tuple(one.data.tags.get(name, "") for name in IDENTITY)


def content(uri: str, one: Any) -> str:
    """Hash what a server gives back of a run: whether it is complete, parameters, all values of all metrics,
    artifacts; not what a clone says of its own state, such as whether a result is stale there."""
    from mlflow import MlflowClient

    client, run_id = MlflowClient(uri), one.info.run_id
    metrics = {
        key: sorted((at.step, at.timestamp, at.value) for at in client.get_metric_history(run_id, key))
        for key in one.data.metrics
    }
    held = ["mirrored" in one.data.tags, one.data.params, metrics, sorted(artifacts(client, run_id))]
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


def artifacts(client: Any, run_id: str, folder: str | None = None) -> Iterator[tuple[str, int]]:
    """List a run's artifacts with their sizes in bytes."""
    for one in client.list_artifacts(run_id, folder):
        if one.is_dir:
            yield from artifacts(client, run_id, one.path)
        else:
            yield one.path, one.file_size


def runs(uri: str) -> list[Any]:
    """List the runs of a tracking server or database."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found: list[Any] = []
    for experiment in client.search_experiments():
        token = None
        while True:
            page = client.search_runs([experiment.experiment_id], page_token=token)
            found += page
            token = page.token
            if not token:
                break
    return found


def clone(folder: Path) -> Path:
    """Make a clone of the committed state that has a few results, and commits that it has no others."""
    subprocess.run(["git", "clone", "-q", "--shared", str(ROOT), str(folder)], check=True)
    for path in (folder / METRICS).iterdir():
        if path.is_dir() and path.name not in RESULTS:
            shutil.rmtree(path)
    author = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    subprocess.run(["git", *author, "commit", "-q", "-a", "-m", "A few results"], cwd=folder, check=True)
    return folder


def sweep(folder: Path, uri: str) -> list[str]:
    """Run the stage of a sweep in a clone; return what it said of MLflow.

    Raises:
        InputError: the stage failed.
    """
    studies = folder / STUDIES
    content = yaml.safe_load(studies.read_text(encoding="utf-8"))
    content["sweeps"][SWEEP]["overrides"]["epochs"] = 2
    studies.write_text(yaml.safe_dump(content), encoding="utf-8")
    command = ["dvc", "repro", "--force", f"sweep@{SWEEP}"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=work_tree.environment(folder) | {"MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise InputError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return [line for line in done.stderr.splitlines() if line.startswith("mlflow: ")]


def track(folder: Path, uri: str) -> int:
    """Run `convlab track` in a clone until its exit status is 0; return how often it was run.

    Raises:
        InputError: it failed `ATTEMPTS` times.
    """
    command = [sys.executable, "-m", "convlab.cli", "track"]
    for attempt in range(1, ATTEMPTS + 1):
        with (folder / "track.log").open("wb") as log:
            if (
                subprocess.run(
                    command,
                    cwd=folder,
                    env=work_tree.environment(folder) | {"MLFLOW_TRACKING_URI": uri},
                    stdout=log,
                    stderr=log,
                ).returncode
                == 0
            ):
                return attempt
    raise InputError(f"convlab track failed {ATTEMPTS} times: {(folder / 'track.log').read_text().strip()}")


if __name__ == "__main__":
    run(main)
