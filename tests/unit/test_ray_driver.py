"""The driver of a Ray cluster that no machine here could hold: its own code, on a simulated `ray`."""

from typing import Any

import pytest

from convlab.errors import InputError

pytest.importorskip("ray", reason="Ray is not installed here: pip install '.[ray]'")
from ray.exceptions import RayActorError

from bench.pipeline.driver import Answer, Cluster, drive, simulate

COSTS = {"poll": 0.001, "run": 0.001, "get": 0.001, "wait": 0.001, "wait_each": 0.0}
JOBS = {str(number): 1.0 for number in range(8)}


def test_many_workers_do_not_wait_for_the_driver() -> None:
    """A call takes 1 ms here: one for each worker after each trial would take minutes."""
    found = simulate(COSTS, workers=200, seconds=2, trials=800)
    assert found["seconds"] < 1.2 * found["least"]
    assert found["waits"] < 3 * 800
    assert found["poll_every"] >= 0.5


class Dying(Cluster):
    """A cluster whose first workers die when they start."""

    def __init__(self, dying: int) -> None:
        super().__init__(COSTS, JOBS)
        self.dying = dying

    def start(self, threads: int) -> Any:
        """Return a worker."""
        worker = super().start(threads)
        if self.dying:
            self.dying -= 1
            worker.where.remote = lambda *given: Answer(self.now, RayActorError())
        return worker


def test_a_lost_node_may_have_had_any_number_of_workers_that_were_starting() -> None:
    cluster = Dying(4)
    drive(cluster, workers=4)
    assert cluster.calls["run"] == len(JOBS)


def test_where_one_worker_after_the_other_dies_at_its_start_the_run_ends() -> None:
    with pytest.raises(InputError, match="a worker: its worker died 3 times"):
        drive(Dying(100), workers=4)
