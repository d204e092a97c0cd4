"""`convlab campaign`: what is wanted, in order of worth, shown or trained one after the other."""

import os
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import IO

from rich.console import Console
from rich.table import Table

from convlab.campaign.durations import format_duration
from convlab.campaign.estimate import START, Estimate, Paces
from convlab.campaign.running import alone, reproduce, settle
from convlab.campaign.wanted import Want, fewer_seeds, wanted
from convlab.config.seed_counts import seeds_of, set_seeds
from convlab.errors import InputError
from convlab.files import PARAMS, STUDIES, write_bytes
from convlab.pipeline.kept import put_back
from convlab.schema import Sweep

NICE = 10
INTERVAL = 3  # seeds that it takes, at least
MARGIN = 1.1  # factor on an estimate, for its error
GRACE, SHARE = 20.0, 0.1  # seconds, and share of the time at most, that a checkpoint may take
SHOWN = 3  # claims of an item that are named


@dataclass(frozen=True)
class Entry:
    """What is wanted, with how long it takes."""

    want: Want
    estimate: Estimate

    def fits(self, left: float | None) -> bool:
        """Return whether at least one of its trainings will end within `left` seconds."""
        return left is None or START + MARGIN * (self.estimate.longest - START) <= left


def campaign(
    names: Collection[str], plan: bool, seconds: int | None, seeds: int | None, console: Console
) -> int:
    """Train what is wanted, or show it; return 1 if something failed.

    `names`: only these, if any; `seconds`: the time available; `seeds`: raise the number of seeds to this.

    Raises:
        InputError: a name is unknown, a file is wrong, or another campaign is running.
        Interrupted: SIGINT or SIGTERM came.
    """
    if plan:
        show(ordered(names, seeds, Paces()), seconds, console)
        if (few := fewer_seeds(INTERVAL, names)) and not seeds:
            console.print(f"with --seeds {INTERVAL}, after them: {', '.join(few)}", highlight=False)
        return 0
    began = time.monotonic()
    with alone() as lock:
        put_back()  # params.yaml, after a campaign that was killed
        os.nice(NICE)
        ended: dict[str, str] = {}
        while entry := _next(names, seeds, ended, began, seconds, console):
            ended[entry.want.name] = _train(entry, lock, _until(began, seconds), console)
            if ended[entry.want.name] == "out of time":
                break
        if ended:
            settle(lock)
    counts = [f"{list(ended.values()).count(how)} {how}" for how in dict.fromkeys(ended.values())]
    left = len({want.name for want in wanted(names, seeds)})
    took = format_duration(time.monotonic() - began)
    console.print(f"campaign: {', '.join(counts) or 'nothing trained'}; {left} left; {took}", highlight=False)
    if "done" in ended.values():
        console.print("campaign: to keep the results: `make report`, then `git add metrics plots dvc.lock`")
    return int("failed" in ended.values())


def ordered(names: Collection[str], seeds: int | None, paces: Paces) -> list[Entry]:
    """Return what is wanted by rank, and within a rank by rows and claims per second of training.

    What cannot be trained on this machine is named on stderr and left out.
    """
    entries = []
    for want in wanted(names, seeds):
        try:
            entries.append(Entry(want, paces.estimate(want)))
        except InputError as error:
            print(f"campaign: {want.name} is left out ({error})", file=sys.stderr)
    return sorted(entries, key=lambda one: (one.want.rank, -one.want.worth / one.estimate.seconds))


def show(entries: Sequence[Entry], seconds: int | None, console: Console) -> None:
    """Print the list, and which of it there is time for."""
    table = Table(box=None, header_style="bold")
    for title in (
        "",
        "name",
        "why",
        "trainings",
        "takes",
        "ends after",
        "by",
        "rows",
        "claims it may decide",
    ):
        right = title in ("", "trainings", "takes", "ends after", "rows")
        table.add_column(title, justify="right" if right else "left", overflow="fold")
    clock, late = 0.0, 0
    for number, (want, estimate) in enumerate(((one.want, one.estimate) for one in entries), start=1):
        left = None if seconds is None else seconds - clock
        fits = Entry(want, estimate).fits(left)
        clock += min(estimate.seconds, left or estimate.seconds) if fits else 0.0
        late += not fits
        more = len(want.claims) - SHOWN
        claims = ", ".join([*want.claims[:SHOWN], *([f"and {more} more"] if more > 0 else [])])
        table.add_row(
            str(number),
            want.name,
            want.why,
            f"{estimate.of - estimate.done} of {estimate.of}",
            format_duration(estimate.seconds),
            format_duration(clock) if fits else "no time",
            estimate.source,
            str(want.rows or "–"),
            claims or "–",
            style="" if fits else "dim",
        )
    if not entries:
        console.print("nothing to train: every result is complete and up to date")
        return
    console.print(table)
    total = format_duration(sum(one.estimate.seconds for one in entries))
    claims_ = len({claim for one in entries for claim in one.want.claims})
    console.print(
        f"{len(entries)} items, {total} in all, which may decide {claims_} claims"
        + (f"; {len(entries) - late} begin within {format_duration(seconds)}" if seconds else ""),
        highlight=False,
    )


def _until(began: float, seconds: int | None) -> float | None:
    """Return when the running item is asked to end, so that the campaign ends in time."""
    return None if seconds is None else began + seconds - min(GRACE, SHARE * seconds)


def _next(
    names: Collection[str],
    seeds: int | None,
    ended: Collection[str],
    began: float,
    seconds: int | None,
    console: Console,
) -> Entry | None:
    """Return the next item to train; the list is rebuilt each time, with what has been timed since."""
    waiting = [one for one in ordered(names, seeds, Paces()) if one.want.name not in ended]
    until = _until(began, seconds)
    left = None if until is None else until - time.monotonic()
    if entry := next((one for one in waiting if one.fits(left)), None):
        return entry
    if waiting and left is not None:
        console.print(f"campaign: no time for {', '.join(one.want.name for one in waiting)}", highlight=False)
    return None


def _train(entry: Entry, lock: IO[str], until: float | None, console: Console) -> str:
    want = entry.want
    seconds, source = format_duration(entry.estimate.seconds), entry.estimate.source
    console.print(f"campaign: {want.name} ({want.why}): {seconds}, {source}", highlight=False)
    before = {path: path.read_bytes() for path in (PARAMS, STUDIES) if path.exists()}
    if want.more_seeds:
        for line in set_seeds(PARAMS, {want.name: seeds_of(want.item)}):
            console.print(f"campaign: {line}", highlight=False)
    how = reproduce(want.name, isinstance(want.item, Sweep), lock, until)
    if want.more_seeds and how == "failed":  # else its result would lack trainings
        for path, content in before.items():
            write_bytes(path, content)
    console.print(f"campaign: {want.name}: {how}", highlight=False)
    return how
