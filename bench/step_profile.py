"""Where the time of a training step goes: R0's network in the plain loop and in ours, operator by operator.

    python bench/step_profile.py [--steps 10] [--out FILE]        prints a Markdown table

PyTorch's profiler tells the operators apart. It sees the backward pass of a convolution as one of them;
oneDNN, which computes it, says how that is divided between the gradients of inputs and of weights.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile, schedule

from cases import COMMON, WAYS, WITH_PEERS, experiment_of, random_data, trainer
from convlab.errors import run
from convlab.files import write_json
from convlab.provenance import environment, occasion
from convlab.train.device import select_precision
from one import Enough
from options import Parser, count
from profile_table import profile_table
from suite import CPU, FOLDER, results_path

WARM_UP = 3  # steps


def main() -> None:
    """Profile each way, write and print."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=count, default=10)
    parser.add_argument("--out", type=Path, default=results_path("-profile"), help="(%(default)s)")
    options = parser.parse_args()
    results: dict[str, Any] = {**occasion(), **environment(CPU), "steps": options.steps, "ways": {}}
    # The plain loop first: what ours tells the allocator holds for the rest of this process.
    native = select_precision("auto", CPU)
    for way in (way for way in COMMON if WAYS[way].precision in ("fp32", native)):
        results["ways"][way] = {
            "operators": operator_seconds(way, options.steps),
            "convolutions": convolution_seconds(way),
        }
    write_json(options.out, results)
    print(profile_table(results))


def operator_seconds(way: str, steps: int) -> dict[str, float]:
    """Measure each operator's own seconds in a step (mean of `steps`), without those of operators it calls.

    What Python does between them is the own time of `ProfilerStep*`; together they make the step.
    """
    experiment = experiment_of(WITH_PEERS)
    plan = schedule(wait=0, warmup=WARM_UP, active=steps)
    left = WARM_UP + steps
    with profile(activities=[ProfilerActivity.CPU], schedule=plan, acc_events=True) as profiler:

        def tick() -> None:
            nonlocal left
            left -= 1
            profiler.step()
            if left == 0:
                raise Enough

        with suppress(Enough):
            trainer(way)(experiment, random_data(experiment), tick)
    averages = {event.key: event.self_cpu_time_total / 1e6 / steps for event in profiler.key_averages()}
    return dict(sorted(averages.items(), key=lambda item: -item[1]))


def convolution_seconds(way: str) -> dict[str, float]:
    """Let oneDNN say how long its convolutions took, by direction; empty where PyTorch has no oneDNN.

    Its lines: `onednn_verbose,v1,primitive,exec,cpu,convolution,KERNEL,DIRECTION,…,MILLISECONDS`.
    """
    command = [sys.executable, str(FOLDER / "one.py"), WITH_PEERS, way, "--seconds", "1"]
    variables = {**os.environ, "ONEDNN_VERBOSE": "profile_exec"}
    lines = subprocess.check_output(command, text=True, env=variables).splitlines()
    totals: dict[str, float] = {}
    for fields in (line.split(",") for line in lines if line.startswith("onednn_verbose")):
        if fields[3:4] == ["exec"] and fields[5] == "convolution":
            totals[fields[7]] = totals.get(fields[7], 0.0) + float(fields[-1]) / 1000
    return totals


if __name__ == "__main__":
    run(main)
