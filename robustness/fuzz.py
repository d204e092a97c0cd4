"""The fuzzing campaign: random damage to the files that are read; each is read, or refused in one line.

    python robustness/fuzz.py [--inputs 100000] [--seed 1] [--only READER] [--out FILE]        half an hour
    python robustness/fuzz.py --only idx --repeat 123        that one input again, with what it raises

Anything else is a problem: another exception, a crash, ten seconds of work for one input, more memory than a
bounded process has. Each input comes from (seed, reader, number) alone; the same command resumes where it
stopped. At its end the table of robustness/README.md is written.
"""

import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.options import Parser, count
from convlab import markdown
from convlab.errors import InputError, run
from convlab.files import read_json, write_json
from convlab.pipeline.provenance import environment, run_context
from robustness.fuzz_readers import READERS

RESULTS, PAGE = Path("robustness/results/fuzz.json"), Path("robustness/README.md")
SECONDS = 10  # of the processor's, for one input
MEMORY = 2 << 30  # bytes more than the process has when it starts
WRITTEN = 500  # inputs between two writings of the results


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
        markdown.rewrite(PAGE, "fuzz", f"{text}\n")
    return 1 if any(found["problems"] for found in results["readers"].values()) else 0


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
        cells += [f"{found['slowest_seconds']:.2f}", f"{found['memory_mib']:,}"]
        lines.append(markdown.row([name, *cells]))
    total = sum(found["inputs"] for _, found in rows)
    where = f"{results['device_name']}, Python {results['python']}, PyTorch {results['torch']}"
    about = f"{total:,} inputs, seed {results['seed']}, commit {results['git_commit'][:7]}; {where}."
    return "\n".join([*lines, "", about])


if __name__ == "__main__":
    run(main)
