"""Where trainings run: the same bits on a Ray cluster as in processes, and nothing lost when a worker dies.

One cluster for all of it: starting one takes seconds.
"""

import io
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.live import Live
from test_trainings_cut_off import children
from training import THREE, Make, rows, weights

from convlab import files
from convlab.config import dump_item
from convlab.errors import InputError
from convlab.pipeline.executors import ray_worker
from convlab.pipeline.executors.job import Job
from convlab.pipeline.ledger import Ledger
from convlab.pipeline.provenance import hash_files
from convlab.pipeline.trainings import Trainings
from convlab.schema import Sweep
from convlab.train.progress import LiveTable, PlainLines, Total, reporting_to

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed here: pip install '.[ray]'"
)
LONG = 120  # epochs: seconds on any machine, so that there is a checkpoint, which takes a second of training
SCRIPT = """
import sys
from pathlib import Path
from convlab.config import load_sweep
from convlab.errors import run
from convlab.pipeline.provenance import hash_files
from convlab.pipeline.trainings import Trainings
plan, prepared, ledger = map(Path, sys.argv[1:])
run(lambda: Trainings("lr", load_sweep(plan), prepared, ledger).run() and None)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a head with four CPUs, whose processes are this one's children."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
        yield found.address
        found.shutdown()


@pytest.fixture
def on_ray(monkeypatch: pytest.MonkeyPatch, cluster: str) -> None:
    """Let trainings run on the cluster, two at once."""
    monkeypatch.setenv("CONVLAB_EXECUTOR", "ray")
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    monkeypatch.setenv("CONVLAB_WORKERS", "2")


@pytest.fixture
def unshared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the nodes not see the folder that the ledger is in."""
    monkeypatch.setattr("convlab.pipeline.executors.on_ray._marked", lambda folder: folder / "elsewhere")
    monkeypatch.setattr("convlab.pipeline.executors.on_ray.CHECKPOINT_SECONDS", 0.0)


def run_serially(plan: Sweep, prepared: Path, ledger: Path) -> Trainings:
    """Run in this process, one after the other, whatever the environment says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVLAB_EXECUTOR", "processes")
        patch.setenv("CONVLAB_WORKERS", "1")
        trainings = Trainings("lr", plan, prepared, ledger)
        trainings.run()
    return trainings


def same(one: Trainings, other: Trainings) -> bool:
    """Compare every byte of what is no timing."""
    pair = [trainings.run() for trainings in (one, other)]  # what is finished is kept
    a, b = ((rows(ended), weights(ended), [(f.curves, f.iterations) for _, f in ended]) for ended in pair)
    return a == b


def ray_workers(parent: int) -> list[int]:
    """The processes below this one in which trainings run now."""
    found = []
    for process in children(parent):
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        found += [process] if command.startswith(b"ray::Worker") else []
    return found


def wait_for_a_checkpoint(ledger: Path, over: Callable[[], bool]) -> bool:
    """Return whether there was a checkpoint before the trainings were `over`."""
    while not (found := list(ledger.glob("*/checkpoints/[0-9]*"))) and not over():
        time.sleep(0.05)
    return bool(found)


# ------------------------------------------------------------------------------------------------- which one


def test_an_unknown_executor_is_one_line(
    sweep: Make, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVLAB_EXECUTOR", "slurm")
    with pytest.raises(InputError) as error:
        Trainings("lr", sweep(*THREE), prepared, tmp_path).run()
    assert str(error.value) == "CONVLAB_EXECUTOR: found 'slurm'; allowed: processes, ray"


def test_ray_that_is_not_installed_is_one_line(
    sweep: Make, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVLAB_EXECUTOR", "ray")
    monkeypatch.setattr("convlab.pipeline.executors.find_spec", lambda name: None)
    with pytest.raises(InputError) as error:
        Trainings("lr", sweep(*THREE), prepared, tmp_path).run()
    assert str(error.value) == (
        "CONVLAB_EXECUTOR: found 'ray', which is not installed; `pip install '.[ray]'`, or leave it unset"
    )


@needs_ray
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("head", "allowed: HOST:PORT of a head node (`ray start --head`), auto"),
        ("ray://head:10001", "allowed: HOST:PORT of a head node (`ray start --head`), auto"),
        ("127.0.0.1:{free}", "but nothing answers there ("),
    ],
)
def test_an_address_without_a_cluster_is_one_line_at_once(
    sweep: Make,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    said: str,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = address.format(free=free.getsockname()[1])
        monkeypatch.setenv("CONVLAB_EXECUTOR", "ray")
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(InputError) as error:
            Trainings("lr", sweep(*THREE), prepared, tmp_path).run()
    assert str(error.value).startswith(f"RAY_ADDRESS: found {address!r}")
    assert said in str(error.value)


# ---------------------------------------------------------------------------------------------- the same bits


@needs_ray
@pytest.mark.usefixtures("on_ray")
@pytest.mark.parametrize("where", ["shared", "unshared"])
def test_a_sweep_on_ray_ends_as_in_processes_to_the_last_byte(
    sweep: Make, prepared: Path, tmp_path: Path, request: pytest.FixtureRequest, where: str
) -> None:
    if where == "unshared":
        request.getfixturevalue("unshared")
    # `threads: null` are the cores of this machine, whatever share of them Ray gives a worker
    plan = sweep(
        {"lr": 0.001}, {"threads": None}, {"lr": 1e30}, {"model.strides": [4, 4]}, epochs=2, iterations=True
    )
    on_ray = Trainings("lr", plan, prepared, tmp_path / "ray")
    ended = on_ray.run()
    assert [finished.status for _, finished in ended] == ["finished"] * 2 + ["diverged", "infeasible"]
    assert same(on_ray, run_serially(plan, prepared, tmp_path / "serial"))
    on_ray.clear()
    assert not (tmp_path / "ray").exists()  # nothing is left there


def test_a_worker_that_shares_nothing_checks_data_once(
    sweep: Make, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each trial would hash them again: 0.1 s for CIFAR-10, beside trials of a second."""
    hashed: list[Path] = []

    def counted(paths: Iterable[Path]) -> str:
        found = list(paths)
        hashed.extend(found)
        return hash_files(found)

    monkeypatch.setattr(ray_worker, "hash_files", counted)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("convlab.train.device.ALL_THREADS", 1)
    monkeypatch.chdir(tmp_path)
    jobs = Trainings("lr", sweep(*THREE[:2], epochs=1), prepared, tmp_path / "driver").jobs
    sent = {path.name: np.fromfile(path, np.uint8) for path in sorted(jobs[0].folder.iterdir())}
    data = hash_files(jobs[0].folder / name for name in sent)
    with reporting_to(PlainLines(Total("lr", {}))):
        worker = ray_worker.Worker(1)
        assert not worker.where("elsewhere", tmp_path, tmp_path / "not seen").shared
        made = [worker.run(job, tmp_path / "driver", 1, sent, data, {})[1] for job in jobs]
    assert all("finished.json" in contents for contents in made)
    assert len(hashed) == 2 * len(sent)  # when they are not there yet, and once they are


def test_a_further_executor_is_one_function(
    sweep: Make, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one for Slurm would: each job goes to a Python that was started elsewhere, as a file."""
    script = "import pickle, sys; from convlab.pipeline.executors.job import train_job; "
    script += "train_job(*pickle.load(sys.stdin.buffer), 1)"

    def by_file(jobs: Sequence[Job], ledger: Ledger) -> None:
        for job in jobs:
            content = pickle.dumps((job, ledger))
            subprocess.run([sys.executable, "-c", script], input=content, check=True)

    plan = sweep(*THREE[:2], epochs=1)
    elsewhere = Trainings("lr", plan, prepared, tmp_path / "elsewhere")
    with monkeypatch.context() as patch:
        patch.setattr("convlab.pipeline.trainings.executors.chosen", lambda: by_file)
        elsewhere.run()
    assert same(elsewhere, run_serially(plan, prepared, tmp_path / "serial"))


# -------------------------------------------------------------------------------------- progress, and waiting


@needs_ray
@pytest.mark.usefixtures("on_ray")
def test_the_progress_of_workers_is_reported_here(
    sweep: Make, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = sweep(*THREE, epochs=6)
    trainings = Trainings("lr", plan, prepared, tmp_path / "ray")
    total = Total("lr", {job.label: 6 for job in trainings.jobs})
    live = LiveTable(Live(console=Console(file=io.StringIO(), force_terminal=True)), total)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("convlab.pipeline.trainings.display", lambda name, epochs, ahead: reporting_to(live))
        trainings.run()
    assert total.ended == set(total.epochs)  # one total for all
    assert sum(total.done.values()) == 3 * 6
    assert not live.running
    assert " epoch " not in capsys.readouterr().out  # lines are for who has no table


@needs_ray
@pytest.mark.usefixtures("on_ray")
def test_of_many_trainings_on_ray_few_lines_are_printed_and_a_total(
    sweep: Make, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Trainings("lr", sweep(*THREE, epochs=6), prepared, tmp_path / "ray").run()
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if " epoch " in line]) < 3 * 6
    assert len([line for line in lines if line.startswith("lr: ") and "of 3 trainings" in line]) == 3


@needs_ray
@pytest.mark.usefixtures("on_ray")
def test_a_device_that_no_node_has_is_one_line(
    sweep: Make, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONVLAB_WORKERS")
    trainings = Trainings("lr", sweep(*THREE[:1], device="cuda"), prepared, tmp_path / "ray")
    with pytest.raises(InputError) as error:
        trainings.run()
    assert str(error.value).endswith(
        "needs 1 CPU and 0.25 GPU, which no node of the cluster has; start one that has, or set "
        "CONVLAB_WORKERS to wait for one"
    )


@needs_ray
@pytest.mark.usefixtures("on_ray")
def test_where_no_worker_starts_one_line_says_so(
    sweep: Make,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("convlab.pipeline.executors.on_ray.START_SECONDS", 0.0)
    Trainings("lr", sweep(*THREE[:1], epochs=1), prepared, tmp_path / "ray").run()
    assert capsys.readouterr().err == (
        "Ray: no worker has started for 0 s; each needs 1 CPU of one node (`ray status` shows what is free)\n"
    )


# ---------------------------------------------------------------------------------------------------- cut off


@needs_ray
@pytest.mark.usefixtures("on_ray")
@pytest.mark.parametrize("where", ["shared", pytest.param("unshared", marks=pytest.mark.campaign)])
def test_a_trial_whose_worker_is_killed_resumes_in_another_from_its_checkpoint(
    sweep: Make,
    prepared: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capfd: pytest.CaptureFixture[str],
    where: str,
) -> None:
    if where == "unshared":
        request.getfixturevalue("unshared")
    plan = sweep(*THREE[:2], epochs=LONG)
    on_ray = Trainings("lr", plan, prepared, tmp_path / "ray")
    killed, over = [], threading.Event()

    def kill() -> None:
        if wait_for_a_checkpoint(tmp_path / "ray", over.is_set):
            killed.extend(ray_workers(os.getpid()))
        for process in killed:
            os.kill(process, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    ended = on_ray.run()
    over.set()
    thread.join()
    printed = capfd.readouterr()
    assert killed
    # One that was killed before it had its trial, or after, has nothing to resume
    assert 1 <= printed.err.count("its worker died; resuming in another one") <= len(killed)
    assert "resuming at epoch" in printed.out
    assert sum(finished.timing["cut_offs"] for _, finished in ended) >= 1
    assert same(on_ray, run_serially(plan, prepared, tmp_path / "serial"))


@needs_ray
@pytest.mark.usefixtures("on_ray")
@pytest.mark.campaign
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_trainings_on_ray_that_are_asked_to_end_write_checkpoints_and_resume(
    sweep: Make, prepared: Path, tmp_path: Path, number: signal.Signals
) -> None:
    plan = sweep(*THREE[:2], epochs=LONG)
    files.write_text(tmp_path / "plan.yaml", dump_item(plan))
    command = [sys.executable, "-u", "-c", SCRIPT, tmp_path / "plan.yaml", prepared, tmp_path / "ray"]
    pipe = subprocess.PIPE
    with subprocess.Popen(list(map(str, command)), stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        seen: set[str] = set()
        for line in process.stdout:
            seen |= {line[:6]} if " epoch " in line else set()
            if len(seen) == 2:
                break
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == 128 + number
    assert errors == f"-c: {number.name}: stopped 2 parallel trainings; run it again to resume\n"
    assert len(list(tmp_path.glob("ray/*/checkpoints/*"))) >= 2

    resumed = Trainings("lr", plan, prepared, tmp_path / "ray")
    whole = run_serially(plan, prepared, tmp_path / "serial")
    assert same(resumed, whole)


@needs_ray
@pytest.mark.usefixtures("on_ray")
def test_what_a_training_raises_on_ray_is_raised_here(sweep: Make, prepared: Path, tmp_path: Path) -> None:
    trainings = Trainings("lr", sweep({"lr": 0.001}, epochs=1), prepared, tmp_path / "ray")
    (job,) = trainings.jobs
    object.__setattr__(job, "folder", tmp_path / "gone")
    with pytest.raises(InputError, match=r"gone/statistics\.json: not there; `dvc repro` writes it"):
        trainings.run()


@needs_ray
@pytest.mark.campaign
def test_without_an_address_a_local_cluster_is_started_and_leaves_no_process(
    sweep: Make, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVLAB_EXECUTOR", "ray")
    monkeypatch.setenv("CONVLAB_WORKERS", "2")
    plan = sweep(*THREE, epochs=1)
    files.write_text(tmp_path / "plan.yaml", dump_item(plan))
    command = [sys.executable, "-u", "-c", SCRIPT, tmp_path / "plan.yaml", prepared, tmp_path / "ray"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        family: list[int] = []
        for line in process.stdout:
            family = family or (children(process.pid) if " epoch " in line else [])
    assert process.returncode == 0
    assert family
    while any(Path(f"/proc/{one}").exists() for one in family):
        time.sleep(0.05)
    here = Trainings("lr", plan, prepared, tmp_path / "ray")
    assert same(here, run_serially(plan, prepared, tmp_path / "serial"))
