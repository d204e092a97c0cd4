"""Where trainings run: the one interface between them and what runs them.

An executor is a function in a module of its own. To add one (for Slurm, say), write a module that calls
`job.train_job` for each job, wherever it runs, and add its name here. The choice is not a setting of an
experiment: it changes no bit of a result.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Protocol

from convlab.errors import InputError
from convlab.pipeline.executors.job import Job
from convlab.pipeline.ledger import Ledger

EXECUTOR = "CONVLAB_EXECUTOR"
NAMES = ("processes", "ray")


class Executor(Protocol):
    """Run jobs, as many at once as there is room for, until the ledger holds all of them."""

    def __call__(self, jobs: Sequence[Job], ledger: Ledger) -> None:
        """Run `jobs`, none of which is in `ledger`; each is added to it as soon as it ends.

        Raises:
            Interrupted: SIGINT or SIGTERM came; what was running has written checkpoints.
            InputError: the cluster cannot be reached, or processes were killed from outside.
        """


def chosen() -> Executor:
    """Return the executor that CONVLAB_EXECUTOR names: `processes` (the default) or `ray`.

    Raises:
        InputError: there is no such executor, or it is not installed.
    """
    match os.environ.get(EXECUTOR) or "processes":
        case "processes":
            from convlab.pipeline.executors.processes import run_in_processes

            return run_in_processes
        case "ray":
            if find_spec("ray") is None:
                raise InputError(
                    f"{EXECUTOR}: found 'ray', which is not installed; `pip install '.[ray]'`, or leave it "
                    "unset"
                )
            from convlab.pipeline.executors.on_ray import run_on_ray

            return run_on_ray
        case other:
            raise InputError(f"{EXECUTOR}: found {other!r}; allowed: {', '.join(NAMES)}")
