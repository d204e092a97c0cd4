"""The fuzzing campaign: random damage to the files that are read; each is read, or refused in one line.

    python robustness/fuzz.py [--inputs 100000] [--seed 1] [--only READER] [--out FILE]        half an hour
    python robustness/fuzz.py --only idx --repeat 123        that one input again, with what it raises

Anything else is a problem: another exception, a crash, ten seconds of work for one input, more memory than a
bounded process has. Each input comes from (seed, reader, number) alone; the same command resumes where it
stopped. At its end the table of robustness/README.md is written.
"""

import gzip
import multiprocessing
import pickle
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.options import Parser, count
from convlab.config import load_params
from convlab.data.readers import LARGEST_IDX, parse_cifar_batch, read_cifar_batch, read_idx
from convlab.errors import InputError, run
from convlab.files import PARAMS, read_json, read_tensors, write_json, write_text
from convlab.pipeline.provenance import environment, run_context
from convlab.results.tables import insert
from convlab.train.checkpoint import Checkpoints
from robustness.mutations import damaged, damaged_text

RESULTS, PAGE = Path("robustness/results/fuzz.json"), Path("robustness/README.md")
SECONDS = 10  # of the processor's, for one input
MEMORY = 2 << 30  # bytes more than the process has when it starts
WRITTEN = 500  # inputs between two writings of the results
BOMBS = 0.002  # the share of them among the gzipped inputs: each takes a second


def main() -> int:
    """Try the inputs that are missing, and write the table; exit status 1 if there was a problem."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=count, default=100_000, help="over all readers (%(default)s)")
    parser.add_argument("--seed", type=count, default=1)
    parser.add_argument("--only", choices=READERS, metavar="READER", help=", ".join(READERS))
    parser.add_argument("--repeat", type=int, metavar="NUMBER", help="one input of --only, in this process")
    parser.add_argument("--out", type=Path, default=RESULTS, help="(%(default)s)")
    options = parser.parse_args()
    names = [options.only] if options.only else list(READERS)
    if options.repeat is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(
                READERS[names[0]](random.Random(f"{options.seed}/{names[0]}/{options.repeat}"), Path(folder))
            )
        return 0
    results = read_json(options.out) if options.out.exists() else {"seed": options.seed, "readers": {}}
    if results["seed"] != options.seed:
        raise InputError(
            f"{options.out}: of seed {results['seed']}; give --seed {results['seed']} or another --out"
        )
    for name in names:
        campaign(name, options.inputs // len(names), results, options.out)
    text = table(results)
    print(text)
    if options.out == RESULTS:
        write_text(PAGE, insert(PAGE.read_text(encoding="utf-8"), "fuzz", f"{text}\n", PAGE))
    return 1 if any(found["problems"] for found in results["readers"].values()) else 0


# ------------------------------------------------------------------------------------------------ the readers


@cache
def valid_idx() -> bytes:
    """Make a whole idx file, not compressed."""
    array = np.random.default_rng(0).integers(0, 256, (20, 5, 4), np.uint8)
    return b"\0\0\x08\x03" + struct.pack(">3I", *array.shape) + array.tobytes()


@cache
def bomb() -> bytes:
    """Make a file of a quarter of a megabyte that unpacks to more than any idx file may hold."""
    return gzip.compress(valid_idx() + bytes(LARGEST_IDX + 1), mtime=0)


@cache
def valid_batch() -> bytes:
    """Make a CIFAR-10 batch as the real ones are, with four images."""
    data = np.random.default_rng(0).integers(0, 256, (4, 3072), np.uint8)
    content = {"batch_label": "1 of 5", "labels": [3, 1, 4, 1], "data": data, "filenames": ["a.png"] * 4}
    return pickle.dumps(content, protocol=2).replace(b"numpy._core", b"numpy.core")


@cache
def valid_tensors() -> bytes:
    """Make a safetensors file."""
    tensors = {
        "a": torch.arange(12.0).reshape(3, 4),
        "b": torch.ones(2, dtype=torch.bfloat16),
        "c": torch.ones(0),
    }
    return save(tensors, metadata={"of": "fuzz"})


STATES: list[dict[Any, Any]] = [{"epoch": epoch, 7: [1, (2,)], "weights": [0.5] * 20} for epoch in (1, 2)]


@cache
def valid_checkpoints() -> dict[str, bytes]:
    """Write a checkpoint of each of STATES, with a tensor; return the files by name."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        for state in STATES:
            checkpoints.save(
                state["epoch"], 0, {"model": Part({"weight": torch.ones(3, 2)}), "other": Part(state)}
            )
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


class Part:
    """Something with a state, as a training's parts have one."""

    def __init__(self, state: Any = None):
        self.state = state

    def state_dict(self) -> Any:
        """Return the state."""
        return self.state

    def load_state_dict(self, state: Any) -> None:
        """Load a state."""
        self.state = state


def idx(chance: random.Random, folder: Path) -> Any:
    """Read a damaged idx file: the compressed bytes, or what is in them; now and then a bomb."""
    if chance.random() < BOMBS:
        content = bomb()
    elif chance.random() < 0.5:
        content = gzip.compress(damaged(valid_idx(), chance), 1, mtime=0)
    else:
        content = damaged(gzip.compress(valid_idx(), mtime=0), chance)
    return read_idx(put(folder / "images.gz", content)).shape


def cifar(chance: random.Random, folder: Path) -> Any:
    """Read a damaged CIFAR batch, mostly without the check of its MD5, which would refuse each."""
    content = damaged(valid_batch(), chance)
    if chance.random() < 0.1:
        return read_cifar_batch(put(folder / "data_batch_1", content))
    return parse_cifar_batch(content, "data_batch_1")[1]


def tensors(chance: random.Random, folder: Path) -> Any:
    """Read a damaged safetensors file."""
    return list(read_tensors(put(folder / "a.safetensors", damaged(valid_tensors(), chance))))


def checkpoint(chance: random.Random, folder: Path) -> Any:
    """Resume from two checkpoints, of which one or both may be damaged, or have lost a part of their names.

    Raises:
        ValueError: it resumes from anything but the newest that is whole.
    """
    whole: dict[str, Any] = {}
    for state, (name, content) in zip(STATES, valid_checkpoints().items(), strict=True):
        digest = name.split("-")[2]
        if chance.random() < 0.1:  # its end tells the kind of device: without that it would not be looked at
            name = f"{chance.randrange(10)}-{name[chance.randrange(name.rindex('-')) :]}"
        written = damaged(content, chance) if chance.random() < 0.7 else content
        put(folder / name, written)
        if written == content and name.split("-")[2:3] == [digest]:
            whole[name] = state
    part = Part()
    Checkpoints(folder).restore({"other": part})
    expected = whole[max(whole)] if whole else None
    if part.state != expected:
        raise ValueError(f"resumed from {part.state}, not from {expected}")
    return part.state


def params(chance: random.Random, folder: Path) -> Any:
    """Read a damaged params.yaml, beside the whole studies.yaml."""
    shutil.copy(PARAMS.with_name("studies.yaml"), folder)
    return load_params(put(folder / "params.yaml", damaged_text(PARAMS.read_bytes(), chance))).run


def put(path: Path, content: bytes) -> Path:
    """Write a file."""
    path.write_bytes(content)
    return path


READERS: dict[str, Callable[[random.Random, Path], Any]] = {
    "idx": idx,
    "cifar": cifar,
    "safetensors": tensors,
    "checkpoint": checkpoint,
    "params": params,
}


# ----------------------------------------------------------------------------------------------- the campaign


def campaign(name: str, inputs: int, results: dict[str, Any], out: Path) -> None:
    """Try a reader on the inputs that are missing, in processes of its own."""
    found = results["readers"].setdefault(
        name, {"inputs": 0, "read": 0, "refused": 0, "problems": [], "slowest_seconds": 0.0, "memory_mib": 0}
    )
    if found["inputs"] < inputs:
        results |= {**environment(torch.device("cpu")), "git_commit": run_context()["git_commit"]}
    while found["inputs"] < inputs:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        arguments = (name, results["seed"], range(found["inputs"], inputs), sender)
        worker = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
        worker.start()
        sender.close()
        listen(receiver, found, lambda: write_json(out, results))
        worker.join()
        if worker.exitcode:  # continue after the last reported input
            died = signal.Signals(-worker.exitcode).name if worker.exitcode < 0 else f"exit {worker.exitcode}"
            found["problems"].append({"input": found["inputs"], "problem": died})
            found["inputs"] += 1
        write_json(out, results)
    print(f"{name}: {found['inputs']} inputs, {len(found['problems'])} problems", flush=True)


def listen(receiver: Connection, found: dict[str, Any], write: Callable[[], None]) -> None:
    """Count a worker's outcomes, one for each input, until it ends."""
    while True:
        try:
            outcome, seconds, memory = receiver.recv()
        except EOFError:
            return
        if outcome in ("read", "refused"):
            found[outcome] += 1
        else:
            found["problems"].append({"input": found["inputs"], "problem": outcome})
        found["inputs"] += 1
        found["slowest_seconds"] = max(found["slowest_seconds"], round(seconds, 2))
        found["memory_mib"] = max(found["memory_mib"], memory)
        if found["inputs"] % WRITTEN == 0:
            write()


def work(name: str, seed: int, numbers: range, sender: Connection) -> None:
    """Try inputs with bounded memory and time, and send the outcome of each."""
    with open("/dev/null", "w") as null, redirect_stdout(null), redirect_stderr(null):
        begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
        for number in numbers:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # nothing handles it: it ends the process
            began = time.perf_counter()
            outcome = attempt(name, random.Random(f"{seed}/{name}/{number}"))
            seconds = time.perf_counter() - began
            memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begin) >> 10
            sender.send((outcome, seconds, memory))


def attempt(name: str, chance: random.Random) -> str:
    """Read one input: `read`, `refused`, or what is wrong with how it was refused."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            READERS[name](chance, Path(folder))
        except InputError as error:
            return "refused" if len(str(error).splitlines()) == 1 else f"not one line: {error}"
        except BaseException as error:
            return f"{type(error).__name__}: {error}"[:300]
    return "read"


def table(results: dict[str, Any]) -> str:
    """Make the table of robustness/README.md."""
    lines = [
        "| reader | inputs | read | refused in one line | anything else | slowest, s | memory it took, MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    rows = [(name, results["readers"][name]) for name in READERS if name in results["readers"]]
    for name, found in rows:
        numbers = (found["inputs"], found["read"], found["refused"], len(found["problems"]))
        cells = [f"{number:,}" for number in numbers]
        lines.append(
            f"| {name} | {' | '.join(cells)} | {found['slowest_seconds']:.2f} | {found['memory_mib']:,} |"
        )
    total = sum(found["inputs"] for _, found in rows)
    where = f"{results['device_name']}, Python {results['python']}, PyTorch {results['torch']}"
    about = f"{total:,} inputs, seed {results['seed']}, commit {results['git_commit'][:7]}; {where}."
    return "\n".join([*lines, "", about])


if __name__ == "__main__":
    run(main)
