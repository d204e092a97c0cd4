"""`convlab headlines`: train what surpasses the reports' headlines, and print the table."""

import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from convlab.campaign.durations import format_duration
from convlab.campaign.running import reproduce, reproduce_selection
from convlab.config.explain import nearest
from convlab.errors import InputError
from convlab.headlines.contents import Headline, headlines, runs, write_times
from convlab.headlines.table import table
from convlab.pipeline.kept import put_back
from convlab.pipeline.selection_lock import selection_lock
from convlab.results import TrainingRow


def command(names: Collection[str], console: Console) -> int:
    """Run `dvc repro` for each of `names`, by default of those that surpass a report's; return 1 if one
    failed.

    Raises:
        InputError: a name is not one of these experiments, or a campaign is running.
        Interrupted: SIGINT, SIGTERM or SIGHUP came.
    """
    found = headlines()
    known = [one.name for one in found]
    for name in names:
        if name not in known:
            raise InputError(f"NAME: found {name!r}{nearest(name, known)}")
    chosen = [one.name for one in found if (one.name in names if names else one.theirs)]
    began, failed = time.monotonic(), []
    with selection_lock() as lock:
        put_back()  # params.yaml, after a run that was killed
        for name in chosen:
            started, clock = datetime.now(UTC), time.monotonic()
            if reproduce(name, False, lock, None) != "done":
                failed.append(name)
                continue
            seconds = time.monotonic() - clock
            (one,) = (one for one in headlines() if one.name == name)
            if times := _times(one, started, seconds):
                write_times({name: times})
        reproduce_selection(lock)
    shown = [one for one in headlines() if one.name in chosen]
    console.print(table(shown), highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"headlines: {format_duration(time.monotonic() - began)}; `make report` writes table and figure"
    )
    for name in failed:
        console.print(f"headlines: {name} failed, see above")
    return int(bool(failed))


def _times(one: Headline, started: datetime, seconds: float) -> dict[str, Any] | None:
    """Return what is recorded of the time of a `dvc repro`; None if it did not run all of the trainings."""
    if not one.ours.trainings or not all(_since(row, started) for row in one.ours.trainings):
        return None
    return {"seconds": round(seconds, 1), **runs(one.ours.trainings)}


def _since(row: TrainingRow, started: datetime) -> bool:
    timing = row["timing"]
    began = timing.get("started_at")
    whole = began is not None and not timing.get("cut_offs")
    return whole and datetime.fromisoformat(began) >= started.replace(microsecond=0)
