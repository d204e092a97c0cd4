"""The driver of a Ray cluster that no machine here could hold: its own code, on a simulated `ray`."""

from typing import Any

import pytest

from convlab.errors import InputError

pytest.importorskip("ray", reason="Ray is not installed here: pip install '.[ray]'")
from ray.exceptions import RayActorError

from bench.pipeline.driver import Answer, Cluster, drive, simulate
from convlab.pipeline.executors.ray_cluster import amounts

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


def test_a_lost_node_may_have_had_any_number_of_workers_that_were_starting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster = Dying(4)
    drive(cluster, workers=4)
    assert cluster.calls["run"] == len(JOBS)
    assert capsys.readouterr().err == "Ray: a worker died while it started; starting another\n" * 4


def test_where_one_worker_after_the_other_dies_at_its_start_the_run_ends() -> None:
    with pytest.raises(InputError, match=r"^Ray: a worker died while it started, 3 times"):
        drive(Dying(100), workers=4)


@pytest.mark.parametrize(
    ("share", "said"),
    [
        ({"num_cpus": 1.0}, "1 CPU"),
        ({"num_cpus": 2.0}, "2 CPUs"),
        ({"num_cpus": 1.0, "num_gpus": 0.25}, "1 CPU and 0.25 GPU"),
    ],
)
def test_what_a_worker_needs_is_counted(share: dict[str, float], said: str) -> None:
    assert amounts(share) == said
