"""convlab against the plain PyTorch loop, Lightning and Keras on this machine; `make bench` runs it.

python bench/speed/suite.py [--device cuda] [--rounds 3] [--networks mnist_vgg …] [--seconds 3] [--out FILE]

Every measurement is a process of its own (one.py). A round measures every network with every contender, one
after the other, so that what slows the machine for a while slows all of them; ratios are taken within a
round. The file is written after each round: cut off, it keeps the rounds before, and with --resume it
continues after them.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.options import Parser, count, seconds
from bench.speed.cases import (
    BASELINE,
    CONTENDERS,
    NETWORKS,
    Contender,
    contenders_of,
    experiment_of,
    versions,
)
from bench.speed.one import SECONDS
from bench.speed.roofline import training_flops
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError, run
from convlab.files import read_json, write_json
from convlab.models.build import build_model
from convlab.pipeline.provenance import environment, run_context
from convlab.train.device import select_device, select_precision

FOLDER = Path(__file__).parents[1]
RESULTS = Path("bench/results")
CPU = torch.device("cpu")
FILLED = ("rounds", "peaks", "measurements")  # round by round
BUSY = 0.5  # processes that ran over the last minute, beside this one


def main() -> int:
    """Measure everything; exit status 1 if a measurement failed."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="EXPERIMENT")
    parser.add_argument("--seconds", type=seconds, default=SECONDS, help="of measuring, each; plus a warm-up")
    parser.add_argument("--device", choices=("cpu", "cuda", "auto"), default="cpu")
    parser.add_argument("--out", type=Path, help="(bench/results/<device>.json)")
    parser.add_argument("--resume", action="store_true", help="continue after the rounds that the file holds")
    options = parser.parse_args()
    device = select_device(options.device)
    options.device, options.out = device.type, options.out or results_path(device=device)
    results = describe(options.networks, options.seconds, device)
    if options.resume:
        results = resumed(results, options.out)
    if BASELINE in results["absent"]:
        raise InputError("torchvision: not installed; `make setup` installs it")
    if os.getloadavg()[0] > BUSY:
        print(f"warning: this machine is busy (load {os.getloadavg()[0]:.1f}); quiet numbers need it quiet")

    results["peaks"] = results["peaks"][:1] or [child("speed/roofline.py", device.type)]
    failed = 0
    for number in range(results["rounds"] + 1, options.rounds + 1):
        failed += measure_round(results, number, options)
        results["peaks"] = [results["peaks"][0], child("speed/roofline.py", device.type)]
        results["rounds"] = number
        write_json(options.out, results)
    print(f"{options.out}: {len(results['measurements'])} measurements, {failed} failed")
    return 1 if failed else 0


def results_path(kind: str = "", device: torch.device = CPU) -> Path:
    """Return the results' file, named by the processor or the GPU; `kind` sets other results apart."""
    name = re.sub(r"[^a-z0-9]+", "-", environment(device)["device_name"].lower())
    return RESULTS / f"{name.strip('-')}{kind}.json"


def describe(networks: list[str], seconds: float, device: torch.device = CPU) -> dict[str, Any]:
    """Return what stands beside the measurements: hardware, versions, what is absent and why, networks.

    Raises:
        InputError: a network that params.yaml does not have.
    """
    found = versions()
    absent = {
        name: why for name, contender in CONTENDERS.items() if (why := why_absent(contender, found, device))
    }
    facts = {}
    for name in networks:
        experiment = experiment_of(name)
        classes = len(DATASETS[experiment.dataset].classes)
        model = build_model(experiment, experiment.input_shape, classes)
        facts[name] = {
            "batch_size": experiment.batch_size,
            "training_flops": training_flops(model, experiment.input_shape),
        }
    about = {key: value for key, value in run_context().items() if key != "dvc_experiment"}
    return {
        **about,
        **environment(device),
        **found,
        "absent": absent,
        "seconds": seconds,
        "rounds": 0,
        "peaks": [],
        "networks": facts,
        "measurements": [],
    }


def resumed(results: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return what a file holds, to continue from; without one, `results`, which are still empty.

    Raises:
        InputError: it was measured on something else, or something else was.
    """
    if not path.exists():
        return results
    before = read_json(path)
    for key in sorted(results.keys() - {"started_at", *FILLED}):
        if before.get(key) != results[key]:
            raise InputError(f"--resume: {path} has another {key}; leave --resume out to begin again")
    return before


def why_absent(contender: Contender, found: dict[str, str | None], device: torch.device = CPU) -> str:
    """Return why a contender cannot be measured here; an empty text where it can."""
    if any(found[package] is None for package in contender.packages):
        return "not installed"
    native = contender.precision in (
        "fp32",
        select_precision("auto", device),
    )  # emulated, it would take hours
    return "" if native else f"no {contender.precision} here"


def measure_round(results: dict[str, Any], number: int, options: Any) -> int:
    """Measure every network with every contender once, a line each; return how many failed."""
    failed = 0
    for network in options.networks:
        for contender in contenders_of(network, options.device):
            if contender in results["absent"]:
                continue
            label = f"round {number}/{options.rounds}  {network:<18} {CONTENDERS[contender].label:<38}"
            began = time.perf_counter()
            try:
                shared = ("--seconds", str(options.seconds), "--device", options.device)
                found = child("speed/one.py", network, contender, *shared)
            except subprocess.CalledProcessError as error:
                failed += 1
                print(f"{label} failed: {(error.stderr.strip() or 'no message').splitlines()[-1]}")
                continue
            results["measurements"].append({"round": number, "network": network, "way": contender, **found})
            speed, memory = found["images_per_second"], found["peak_memory_mib"]
            took = time.perf_counter() - began
            print(f"{label} {speed:8,.1f} images/s {memory:7,.0f} MiB {took:5.0f} s", flush=True)
    return failed


def child(script: str, *arguments: str) -> Any:
    """Run a script of bench/ in a process of its own; return the JSON of its last line.

    Raises:
        CalledProcessError: it failed.
    """
    command = [sys.executable, str(FOLDER / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    run(main)
