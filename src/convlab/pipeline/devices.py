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
from torch import OutOfMemoryError

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
LOOPBACK = "lo" if sys.platform == "linux" else "lo0"
# Errors that a command tells apart, as it does those of a training in one process
AS_OF_ONE = (Diverged, InfeasibleGeometry, InputError, OSError, OutOfMemoryError)


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
        InfeasibleGeometry, Diverged, Interrupted, OutOfMemoryError, OSError: as `train` does, whichever
            process meets it.
    """
    require_devices(experiment)
    checkpoints = checkpoints or Checkpoints()
    with tempfile.TemporaryDirectory() as place:
        threads = max(1, devices.ALL_THREADS // experiment.devices)
        told = (label, experiment, folder, checkpoints.folder, checkpoints.seconds)
        task = Task(*told, experiment.devices, threads, Path(place, "meeting"))
        outcome = _outcome(task, checkpoints.request)
    if isinstance(outcome, Interrupted):
        asked = checkpoints.request.number  # passed on as SIGTERM, whatever it was
        raise Interrupted(outcome.number if asked is None else asked, outcome.message)
    statistics = load_statistics(folder)
    model = build_model(experiment, statistics.input_shape, len(statistics.classes))
    model.load_state_dict(load(outcome.pop("weights")))
    return Trained(model=model, **outcome)


def _outcome(task: Task, request: Request) -> Any:
    """Return what the first process sends: that it was interrupted, or its result."""
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
    """Return what the first process sends, unless one of them fails before: raise the error of that one."""
    unheard, passed_on = answers, False
    while True:
        ready = wait(unheard, POLL)  # for an answer, or the end of a process
        said = {rank: _heard(answer) for rank, answer in enumerate(answers) if answer in ready}
        unheard = [answer for answer in unheard if answer not in ready]
        if any(word is None or isinstance(word, Failed) for word in said.values()):
            raise _cause(task, processes, said, request)
        if 0 in said:
            return said[0]
        if request.number is not None and not passed_on:
            passed_on = True
            with suppress(ProcessLookupError):
                os.kill(processes[0].pid or 0, signal.SIGTERM)


def _heard(answer: Connection) -> Any:
    """Return what a process has sent, or None if it exited without a result."""
    with suppress(EOFError, OSError):  # killed before it began to send, or while it did
        return answer.recv()
    return None


@dataclass(frozen=True)
class Failed:
    """A process ended with an error, at a time by the clock that all of them read."""

    error: Exception
    at: float


def _cause(task: Task, processes: list[BaseProcess], said: dict[int, Any], request: Request) -> Exception:
    """Return the error that ends the training: the first one, as the other processes only notice its end."""
    for rank, word in said.items():
        if word is not None:
            continue
        if request.number is not None:  # before the first one could defer it, while it imported PyTorch
            return Interrupted(request.number, f"{task.label} stopped while its processes started")
        processes[rank].join()
        status = processes[rank].exitcode or 0
        if status < 0:
            return InputError(
                f"{task.label}: the process of device {rank + 1} of {task.ranks} was killed from outside "
                f"({signal.Signals(-status).name}; out of memory?); run it again to resume from its last "
                "checkpoint"
            )
        return RuntimeError(f"{task.label}: a process exited without a result, with status {status}")
    failed = [word for word in said.values() if isinstance(word, Failed)]
    return min(failed, key=lambda one: one.at).error


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
    except Interrupted as ended:  # the first one is still to write its checkpoint: no failure of another
        answer.send(ended)
    except AS_OF_ONE as error:
        error.add_note(traceback.format_exc())
        answer.send(Failed(error, monotonic()))
    except Exception:
        answer.send(Failed(RuntimeError(traceback.format_exc()), monotonic()))


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
