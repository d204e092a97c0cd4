"""A Ray cluster that loses a node, its head, or the room for data: nothing is lost, and one line says it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_executors import (
    LONG,
    SCRIPT,
    ray_workers,
    run_serially,
    same,
    unshared,  # noqa: F401
    wait_for_a_checkpoint,
)
from test_trainings_cut_off import children
from training import THREE, Make

from convlab import files
from convlab.config import dump_item
from convlab.errors import InputError
from convlab.pipeline.trainings import Trainings

ray = pytest.importorskip("ray", reason="Ray is not installed here: pip install '.[ray]'")
from convlab.pipeline.executors.on_ray import FILES, stored  # noqa: E402  # which imports Ray

pytestmark = pytest.mark.campaign
Start = Callable[..., Any]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a cluster whose head has the settings given, and let trainings run on it, two at once."""
    from ray.cluster_utils import Cluster

    found: list[Any] = []

    def started(**head: Any) -> Any:
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        monkeypatch.setenv("RAY_worker_niceness", "0")
        cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **head})
        found.append(cluster)
        monkeypatch.setenv("CONVLAB_EXECUTOR", "ray")
        monkeypatch.setenv("CONVLAB_WORKERS", "2")
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        return cluster

    yield started
    for cluster in found:
        cluster.shutdown()


def process_of(node: Any, kind: str) -> int:
    (found,) = node.all_processes[kind]
    return int(found.process.pid)


def pull_the_plug(*processes: int) -> None:
    """Kill processes and their children at once, as a machine's end does."""
    for one in [*processes, *(child for process in processes for child in children(process))]:
        os.kill(one, signal.SIGKILL)


@pytest.mark.parametrize("where", ["shared", "unshared"])
def test_the_trials_of_a_node_that_is_gone_resume_on_another(
    sweep: Make,
    prepared: Path,
    tmp_path: Path,
    start: Start,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    where: str,
) -> None:
    if where == "unshared":
        request.getfixturevalue("unshared")
    cluster = start(num_cpus=0)
    raylets = [process_of(cluster.add_node(num_cpus=1), "raylet") for _ in range(2)]
    monkeypatch.setenv("CONVLAB_WORKERS", "1")  # on either node
    plan, over = sweep(*THREE[:2], epochs=LONG), threading.Event()

    def kill() -> None:
        if wait_for_a_checkpoint(tmp_path / "ray", over.is_set):
            pull_the_plug(*(raylet for raylet in raylets if ray_workers(raylet)))

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    trainings = Trainings("lr", plan, prepared, tmp_path / "ray")
    ended = trainings.run()
    over.set()
    thread.join()
    printed = capfd.readouterr()
    assert "its worker died; resuming in another one" in printed.err
    assert "resuming at epoch" in printed.out
    assert sum(finished.timing["cut_offs"] for _, finished in ended) >= 1
    assert same(trainings, run_serially(plan, prepared, tmp_path / "serial"))


def test_without_its_head_a_sweep_ends_and_resumes_elsewhere(
    sweep: Make, prepared: Path, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = start(num_cpus=4)
    plan = sweep(*THREE[:2], epochs=LONG)
    files.write_text(tmp_path / "plan.yaml", dump_item(plan))
    command = [sys.executable, "-u", "-c", SCRIPT, tmp_path / "plan.yaml", prepared, tmp_path / "ray"]
    pipe = subprocess.PIPE
    with subprocess.Popen(list(map(str, command)), stdout=pipe, stderr=pipe, text=True) as process:
        assert wait_for_a_checkpoint(tmp_path / "ray", lambda: process.poll() is not None)
        pull_the_plug(process_of(cluster.head_node, "gcs_server"), process_of(cluster.head_node, "raylet"))
        _, errors = process.communicate()
    assert process.returncode == 2
    *deaths, last = errors.splitlines()
    said = ("its worker died; resuming in another one", "a worker died while it started; starting another")
    assert all(line.endswith(said) for line in deaths)
    assert last.startswith(f"-c: Ray: the cluster's head at {cluster.address} is gone; what is finished")
    resumed = Trainings("lr", plan, prepared, tmp_path / "ray")
    monkeypatch.setenv("CONVLAB_EXECUTOR", "processes")
    ended = resumed.run()
    assert sum(finished.timing["cut_offs"] for _, finished in ended) >= 1
    assert same(resumed, run_serially(plan, prepared, tmp_path / "serial"))


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A folder of prepared data, of 200 MB."""
    for name in FILES:
        (tmp_path / name).write_bytes(os.urandom(50_000_000))
    return tmp_path


def test_data_larger_than_the_object_store_go_to_the_disk(large: Path, start: Start) -> None:
    cluster = start(num_cpus=1, object_store_memory=80_000_000)
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    arrived = ray.get(stored(large)[0])
    assert {name: content.tobytes() for name, content in arrived.items()} == {
        name: (large / name).read_bytes() for name in FILES
    }
    ray.shutdown()


def test_where_the_disk_is_full_too_one_line_says_so(large: Path, start: Start) -> None:
    full = {"local_fs_capacity_threshold": 0.0}  # as full as any disk is
    cluster = start(num_cpus=1, object_store_memory=80_000_000, _system_config=full)
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    with pytest.raises(
        InputError, match=r"200 MB of prepared data do not fit into Ray's object store \(OutOf"
    ):
        stored(large)
    ray.shutdown()
