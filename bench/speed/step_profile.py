"""Where the time of a training step goes: R0's network in the plain loop and in ours, operator by operator.

    python bench/speed/step_profile.py [--device cuda] [--steps 10] [--out FILE]      prints a Markdown table

PyTorch's profiler tells the operators apart. It sees the backward pass of a convolution as one of them; on a
CPU oneDNN, which computes it, says how that is divided between the gradients of inputs and of weights. On a
GPU an operator's seconds are those of its kernels, and what is left of a step without a profiler is the time
in which the GPU has nothing to do: gaps between the launches of kernels, and waiting for the program.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, schedule

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.options import Parser, count
from bench.speed.cases import COMMON, CONTENDERS, WITH_ALL, experiment_of, random_data, trainer
from bench.speed.one import Enough
from bench.speed.profile_table import IDLE, profile_table
from bench.speed.suite import FOLDER, child, results_path
from convlab.errors import run
from convlab.files import write_json
from convlab.pipeline.provenance import environment, run_context
from convlab.train.device import select_device, select_precision

WARM_UP = 3  # steps


def main() -> None:
    """Profile each contender, write and print."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=count, default=10)
    parser.add_argument("--device", choices=("cpu", "cuda", "auto"), default="cpu")
    parser.add_argument("--out", type=Path, help="(bench/results/<device>-profile.json)")
    options = parser.parse_args()
    device = select_device(options.device)
    results: dict[str, Any] = {**run_context(), **environment(device), "steps": options.steps, "ways": {}}
    # The plain loop first: our allocator settings persist for the rest of this process.
    native = select_precision("auto", device)
    for contender in (
        contender for contender in COMMON if CONTENDERS[contender].precision in ("fp32", native)
    ):
        profiled = kernel_seconds if device.type == "cuda" else operator_seconds
        results["ways"][contender] = {
            "operators": profiled(contender, options.steps),
            "convolutions": convolution_seconds(contender, options.steps) if device.type == "cpu" else {},
        }
    write_json(options.out or results_path("-profile", device), results)
    print(profile_table(results))


def operator_seconds(contender: str, steps: int) -> dict[str, float]:
    """Measure each operator's own seconds in a step (mean of `steps`), without those of operators it calls.

    What Python does between them is the own time of `ProfilerStep*`; together they make the step.
    """
    averages = profiled_steps(contender, steps, "cpu")
    return ordered({event.key: event.self_cpu_time_total / 1e6 / steps for event in averages})


def kernel_seconds(contender: str, steps: int) -> dict[str, float]:
    """Measure the seconds in a step of the kernels that each operator launches; and IDLE, the rest of a step.

    Kernels that no operator launched, as those of a compiled graph, stand under their own names.
    """
    averages = profiled_steps(contender, steps, "cuda")
    seconds: dict[str, float] = {}
    kernels = {"count": 0.0, "seconds": 0.0}
    for event in averages:
        if event.device_type == DeviceType.CPU:
            seconds[event.key] = event.self_device_time_total / 1e6 / steps
        elif not event.is_user_annotation:
            kernels["count"] += event.count / steps
            kernels["seconds"] += event.self_device_time_total / 1e6 / steps
    seconds["kernels of no operator"] = max(0.0, kernels["seconds"] - sum(seconds.values()))
    step = child("speed/one.py", WITH_ALL, contender, "--device", "cuda")["step_seconds"]
    seconds[f"{IDLE} between {kernels['count']:.0f} kernels"] = max(0.0, step - sum(seconds.values()))
    return ordered({name: value for name, value in seconds.items() if value})


def profiled_steps(contender: str, steps: int, device: str) -> Any:
    """Train under PyTorch's profiler for some steps after the warm-up; return its averages, by operator."""
    experiment = experiment_of(WITH_ALL, device)
    plan = schedule(wait=0, warmup=WARM_UP, active=steps)
    left = WARM_UP + steps
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    with profile(activities=activities, schedule=plan, acc_events=True) as profiler:

        def tick() -> None:
            nonlocal left
            left -= 1
            profiler.step()
            if left == 0:
                raise Enough

        with suppress(Enough):
            trainer(contender)(experiment, random_data(experiment), tick)
    return profiler.key_averages()


def ordered(seconds: dict[str, float]) -> dict[str, float]:
    """Return them with the most expensive first."""
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def convolution_seconds(contender: str, steps: int) -> dict[str, float]:
    """Return the seconds of oneDNN's convolutions, by direction; empty where PyTorch has no oneDNN.

    Its lines: `onednn_verbose,v1,primitive,exec,cpu,convolution,KERNEL,DIRECTION,…,MILLISECONDS`.
    """
    command = [
        sys.executable,
        str(FOLDER / "speed/one.py"),
        WITH_ALL,
        contender,
        "--seconds",
        str(steps / 10),
    ]
    variables = {**os.environ, "ONEDNN_VERBOSE": "profile_exec"}
    lines = subprocess.check_output(command, text=True, env=variables).splitlines()
    totals: dict[str, float] = {}
    for fields in (line.split(",") for line in lines if line.startswith("onednn_verbose")):
        if fields[3:4] == ["exec"] and fields[5] == "convolution":
            totals[fields[7]] = totals.get(fields[7], 0.0) + float(fields[-1]) / 1000
    return totals


if __name__ == "__main__":
    run(main)
