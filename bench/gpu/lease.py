"""The daemon of the lease: trains the plan until time runs out, while data comes in and results go out.

    python3 bench/gpu/lease.py --for SECONDS [--reserve SECONDS] [--workers N] [--scale FACTOR] [PLAN]

In the folder LEASE (/tmp/convlab-lease), which lease.sh has set up; it resumes from what is done there.
"""

import os
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.gpu.background import BackgroundTasks
from bench.gpu.plan import LeasePlan, Wanted, load_items, read_plan, wanted
from bench.gpu.prepare_data import data_hash
from bench.gpu.schedule import Schedule, Training
from bench.gpu.worker_pool import Event, WorkerPool
from bench.options import count, seconds
from convlab import files
from convlab.errors import Parser, run
from convlab.pipeline.provenance import fingerprint

POLL = 0.5  # seconds
LAST = 60.0  # seconds for the last results and figures, at least


def main() -> None:
    """Train until nothing is left or the time is over, then finish what can be finished."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--for", type=seconds, required=True, dest="time", metavar="SECONDS")
    parser.add_argument(
        "--reserve", type=seconds, default=60.0, help="of these, for the last results (%(default)s)"
    )
    parser.add_argument(
        "--workers", type=count, default=6, metavar="N", help="trainings at once (%(default)s)"
    )
    parser.add_argument(
        "--scale", type=seconds, default=1.0, help="scale the plan's estimates by this (%(default)s)"
    )
    parser.add_argument("plan", nargs="?", type=Path, default=Path("bench/gpu/plan.yaml"))
    options = parser.parse_args()
    deadline = time.monotonic() + max(0.0, options.time - options.reserve)
    lease = folder()
    plan = read_plan(options.plan)
    pool = WorkerPool(options.workers, lease)
    schedule = Schedule(trainings_of(plan, lease), lease / "ledger", options.scale)
    tasks = BackgroundTasks(lease, [entry.name for entry in plan.entries])
    kept = sum(one.state == "done" for one in schedule.trainings)
    say(f"{len(schedule.trainings)} trainings, {kept} of them done before")
    write_status(lease, schedule)
    while (left := deadline - time.monotonic()) > 0 and not schedule.exhausted(left, tasks.prepared()):
        tasks.run(schedule)
        for worker in pool.idle():
            if training := schedule.next(deadline - time.monotonic(), tasks.prepared()):
                again = " again" if training.attempts else ""
                settings = f" with {' and '.join(training.fallback)}" if training.fallback else ""
                say(f"{training.label}: starts{again}{settings}, of an estimated "
                    f"{schedule.estimate(training):.0f} s")  # fmt: skip
                pool.give(worker, training)
                write_status(lease, schedule)
        for event in pool.look(POLL):
            if event.kind != "epoch":
                note(event, schedule)
                write_status(lease, schedule)
            elif schedule.late(event.training, event.seconds, event.to_come, deadline - time.monotonic()):
                say(f"{event.training.label}: would not end in time at {event.seconds:.1f} s an epoch, "
                    f"{event.to_come} of them at least: asked to stop")  # fmt: skip
                pool.stop(event.training)
    say("no further training: the last results")
    pool.end()
    schedule.look_up()  # one may have been done while they were asked to end
    tasks.finish(schedule, max(options.reserve, LAST))
    write_status(lease, schedule, ended=True)
    say("ended")


def folder() -> Path:
    """Return the folder of the lease."""
    return Path(os.environ.get("LEASE", "/tmp/convlab-lease")).resolve()


def trainings_of(plan: LeasePlan, lease: Path) -> list[Training]:
    """Return the plan's trainings, each once, whoever wants it."""
    data = files.read_json(lease / "manifest.json")["data"]
    items = load_items([entry.name for entry in plan.entries])
    found: dict[str, Training] = {}
    for one in wanted(plan.entries, items):
        key = one.trial.experiment.data_key()
        if key not in data:
            say(f"{one.label}: its data was not packed: refused")
            continue
        identity = fingerprint(one.trial.experiment, data_hash(data[key]["files"]))
        found.setdefault(identity, Training(identity, [])).wanted.append(one)
    return list(found.values())


def note(event: Event, schedule: Schedule) -> None:
    """Record an event in the schedule and the log."""
    training = event.training
    if event.kind == "done":
        try:
            schedule.ended(training, event.seconds)
            say(f"{training.label}: done in {event.seconds:.1f} s")
            return
        except Exception:  # for example a full disk: counts as a failure
            event = Event(training, "failed", said=traceback.format_exc())
    if event.kind == "stopped":
        schedule.stopped(training)
        say(f"{training.label}: stopped, with a checkpoint")
        return
    schedule.failed(training, raised=event.kind == "failed")
    say(f"{training.label}: {event.kind}, attempt {training.attempts}: {event.said}")


def write_status(lease: Path, schedule: Schedule, ended: bool = False) -> None:
    """Write status.json, for `collect` and for people."""
    rows = [
        {
            "label": one.label,
            "items": sorted({_item(wanted) for wanted in one.wanted}),
            "key": one.key,
            "state": one.state,
            "seconds": one.seconds,
            "attempts": one.attempts,
            "worker": one.worker,
        }
        for one in schedule.trainings
    ]
    files.write_json(lease / "status.json", {"daemon": os.getpid(), "ended": ended, "trainings": rows})


def say(line: str) -> None:
    """Write a line into the log."""
    print(f"{time.strftime('%H:%M:%S')} lease: {line}", flush=True)


def _item(one: Wanted) -> str:
    return f"{one.entry.name}:{one.level}"


if __name__ == "__main__":
    run(main)
