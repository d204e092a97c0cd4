"""Start a process for each device, and collect the result of the first."""

import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load, save

from convlab.data.dataset import load_statistics
from convlab.errors import InputError
from convlab.interrupt import Interrupted, Request, deferred, end_with_parent
from convlab.models.build import build_model
from convlab.models.layers import InfeasibleGeometry
from convlab.pipeline.run import Trained, train
from convlab.schema import Experiment
from convlab.train import device as devices
from convlab.train.checkpoint import Checkpoints
from convlab.train.device import select_device
from convlab.train.distributed.checkpoints import CheckpointsOfAll
from convlab.train.distributed.network import fit_share
from convlab.train.distributed.share import Share
from convlab.train.engine import EAGER
from convlab.train.history import Diverged

POLL = 0.5  # seconds between checks for a request to end
GRACE = 5.0  # seconds in which the others notice that one is gone, and end
LOOPBACK = "lo" if sys.platform == "linux" else "lo0"


@dataclass(frozen=True)
class Task:
    """What every process gets: one training, as the arguments of `train` that can be sent to a process."""

    label: str
    experiment: Experiment
    folder: Path
    checkpoints: Path | None
    seconds: float
    ranks: int
    threads: int  # of each process, where the experiment leaves them open
    meeting: Path  # the file of their rendezvous


def require_devices(experiment: Experiment) -> None:
    """Refuse more devices than there are: GPUs, or on a CPU cores for the threads of each process.

    Raises:
        InputError: says how many there are.
    """
    wanted, device = experiment.devices, select_device(experiment.device)
    if device.type == "cuda":
        there, what = torch.cuda.device_count(), "GPUs"
    else:
        each = experiment.threads or 1
        there = max(1, (os.cpu_count() or 1) // each)
        what = f"processes of {each} threads" if each > 1 else "cores"
    if wanted > there:
        allowed = f"1 to {there}" if there > 1 else "1"
        raise InputError(f"devices: found {wanted}, but this machine has {there} {what}; allowed: {allowed}")


def train_on_devices(
    label: str, experiment: Experiment, folder: Path, checkpoints: Checkpoints | None = None
) -> Trained:
    """Do what `train` does on the experiment's `devices`, in a process for each.

    Raises:
        InputError: there are fewer devices than that, or a process was killed from outside.
        InfeasibleGeometry, Diverged, Interrupted: as `train` does.
    """
    require_devices(experiment)
    checkpoints = checkpoints or Checkpoints()
    with tempfile.TemporaryDirectory() as place:
        threads = max(1, devices.ALL_THREADS // experiment.devices)
        told = (label, experiment, folder, checkpoints.folder, checkpoints.seconds)
        task = Task(*told, experiment.devices, threads, Path(place, "meeting"))
        outcome = _outcome(task, checkpoints.request)
    if isinstance(outcome, Interrupted) and checkpoints.request.number is not None:
        raise Interrupted(checkpoints.request.number, outcome.message)
    if isinstance(outcome, Exception):
        raise outcome
    statistics = load_statistics(folder)
    model = build_model(experiment, statistics.input_shape, len(statistics.classes))
    model.load_state_dict(load(outcome.pop("weights")))
    return Trained(model=model, **outcome)


def _outcome(task: Task, request: Request) -> Any:
    """Return what the first process sends: an error of the training, or its result."""
    spawn = multiprocessing.get_context("spawn")
    processes = list[BaseProcess]()
    answers: list[Connection] = []
    try:
        for rank in range(task.ranks):
            answer, own = spawn.Pipe(duplex=False)
            process: BaseProcess = spawn.Process(target=_run, args=(task, rank, own), daemon=True)
            process.start()
            own.close()
            processes.append(process)
            answers.append(answer)
        return _awaited(task, processes, answers, request)
    finally:
        for process in processes:
            process.kill()
            process.join()


def _awaited(task: Task, processes: list[BaseProcess], answers: list[Connection], request: Request) -> Any:
    passed_on = False
    while True:
        wait([answers[0], *(process.sentinel for process in processes)], POLL)
        if request.number is not None and not passed_on:
            passed_on = True
            with suppress(ProcessLookupError):
                os.kill(processes[0].pid or 0, signal.SIGTERM)
        if answers[0].poll():
            with suppress(EOFError):
                outcome = answers[0].recv()
                if not isinstance(outcome, Failed):
                    return outcome
                raise _death(task, processes, answers, outcome)
        if any(process.exitcode for process in processes):
            if request.number is not None:  # before the first one could defer it, while it imported PyTorch
                raise Interrupted(request.number, f"{task.label} stopped while its processes started")
            raise _death(task, processes, answers)


@dataclass(frozen=True)
class Failed:
    """A process ended with an error other than those of a training: its traceback."""

    text: str


def _death(
    task: Task, processes: list[BaseProcess], answers: list[Connection], failed: Failed | None = None
) -> Exception:
    """Return the error that says which process died, and why, once the others have noticed."""
    end = monotonic() + GRACE
    for process in processes:
        process.join(max(0.0, end - monotonic()))
    for rank, process in enumerate(processes):
        if (process.exitcode or 0) < 0:
            number = signal.Signals(-(process.exitcode or 0)).name
            return InputError(
                f"{task.label}: the process of device {rank + 1} of {task.ranks} was killed from outside "
                f"({number}; out of memory?); run it again to resume from its last checkpoint"
            )
    for answer in answers:
        with suppress(EOFError):
            if failed is None and answer.poll():
                failed = answer.recv()
    return RuntimeError(failed.text if failed else f"{task.label}: a process ended without a word")


def _run(task: Task, rank: int, answer: Connection) -> None:
    """Train in one of the processes, and send the outcome."""
    end_with_parent()
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all processes; the parent passes it on to the first
    if rank:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 — one process prints
    try:
        answer.send(_trained(task, rank))
    except (Diverged, InfeasibleGeometry, InputError, Interrupted) as error:
        answer.send(error)
    except Exception:
        answer.send(Failed(traceback.format_exc()))
        sys.exit(1)


def _trained(task: Task, rank: int) -> dict[str, Any]:
    devices.ALL_THREADS = task.threads
    os.environ[EAGER] = "1"  # no CUDA graphs: the steps of several GPUs wait for each other
    os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK)
    backend = "gloo"
    if select_device(task.experiment.device).type == "cuda":
        torch.cuda.set_device(rank)
        backend = "cpu:gloo,cuda:nccl"
    # Kernels for one channel cause it: their two memory orders are the same
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    dist.init_process_group(backend, f"file://{task.meeting}", rank=rank, world_size=task.ranks)
    with deferred() as request:
        checkpoints = CheckpointsOfAll(task.checkpoints, request, task.label, task.seconds)
        fitting = partial(fit_share, Share(rank, task.ranks))
        trained = train(task.label, task.experiment, task.folder, checkpoints, fitting)
    weights = save({name: tensor.cpu().contiguous() for name, tensor in trained.model.state_dict().items()})
    dist.destroy_process_group()
    content = {name: value for name, value in vars(trained).items() if name != "model"}
    return {**content, "weights": weights} if rank == 0 else {}
