"""`convlab campaign`: the missing results, in order of worth, shown or trained one after the other."""

import os
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import IO

from rich.console import Console
from rich.table import Table

from convlab.campaign.durations import format_duration
from convlab.campaign.estimate import START, Estimate, TrainingSpeed
from convlab.campaign.missing import (
    MissingResult,
    fewer_seeds,
    missing_results,
    rows_with_fewer_epochs,
    undecided_claims,
)
from convlab.campaign.raised_seeds import lower_left, raised_seeds
from convlab.campaign.reuse import fill_ledger, forget, reusable
from convlab.campaign.running import Ended, reproduce, reproduce_selection
from convlab.config.seed_counts import seeds_of
from convlab.errors import InputError
from convlab.files import PARAMS, STUDIES
from convlab.pipeline.kept import put_back
from convlab.pipeline.selection_lock import selection_lock
from convlab.schema import Sweep

NICE = 10
INTERVAL = 3  # seeds that it takes, at least
MARGIN = 1.1  # factor on an estimate, for its error
GRACE, SHARE = 20.0, 0.1  # seconds, and share of the time at most, that a checkpoint may take
SHOWN = 3  # claims of an item that are named
KEPT = f"README.md docs metrics plots {PARAMS} {STUDIES} dvc.lock"  # what a campaign and `make report` write


@dataclass(frozen=True)
class Candidate:
    """A missing result, with how long it takes."""

    result: MissingResult
    estimate: Estimate

    def fits(self, left: float | None) -> bool:
        """Return whether at least one of its trainings will end within `left` seconds."""
        return left is None or START + MARGIN * (self.estimate.longest - START) <= left


def campaign(
    names: Collection[str], plan: bool, seconds: int | None, seeds: int | None, console: Console
) -> int:
    """Train what is missing, or show it; return 1 if something failed.

    `names`: only these, if any; `seconds`: the time available; `seeds`: raise the number of seeds to this.

    Raises:
        InputError: a name is unknown, a file is wrong, or another campaign is running.
        Interrupted: SIGINT, SIGTERM or SIGHUP came.
    """
    if plan:
        show(ordered(names, seeds, TrainingSpeed()), seconds, console)
        show_open(names, seeds, console)
        return 0
    began = time.monotonic()
    with selection_lock() as lock:
        put_back()  # params.yaml, after a campaign that was killed
        lower_left()  # and what it had written there
        os.nice(NICE)
        ended: dict[str, Ended] = {}
        while entry := _next(names, seeds, ended, began, seconds, console):
            ended[entry.result.name] = _train(entry, lock, _until(began, seconds), console)
            if ended[entry.result.name] == "out of time":
                break
        if ended:
            reproduce_selection(lock)
    counts = [f"{list(ended.values()).count(how)} {how}" for how in dict.fromkeys(ended.values())]
    left = len({result.name for result in missing_results(names, seeds)})
    took = format_duration(time.monotonic() - began)
    console.print(f"campaign: {', '.join(counts) or 'nothing trained'}; {left} left; {took}", highlight=False)
    if "done" in ended.values():
        hint = f"campaign: to keep the results: `make report`, then `git add {KEPT}`"
        console.print(hint, highlight=False, soft_wrap=True)  # to be copied as one line
    return int("failed" in ended.values())


def ordered(names: Collection[str], seeds: int | None, speed: TrainingSpeed) -> list[Candidate]:
    """Return the missing results by rank, and within a rank by rows and claims per second of training.

    What cannot be trained on this machine is named on stderr and left out.
    """
    entries = []
    for result in missing_results(names, seeds):
        try:
            kept = reusable(result.name, result.item)
            entries.append(Candidate(result, speed.estimate(result.name, result.item, kept)))
        except InputError as error:
            print(f"campaign: {result.name} is left out ({error})", file=sys.stderr)
    return sorted(entries, key=lambda one: (one.result.rank, -one.result.worth / one.estimate.seconds))


def show(entries: Sequence[Candidate], seconds: int | None, console: Console) -> None:
    """Print the list, and which of it there is time for."""
    table = Table(box=None, header_style="bold")
    for title in (
        "",
        "name",
        "why",
        "trainings",
        "duration",
        "ends after",
        "estimated from",
        "table rows",
        "claims",
    ):
        right = title in ("", "trainings", "duration", "ends after", "table rows")
        table.add_column(title, justify="right" if right else "left", overflow="fold")
    clock, late = 0.0, 0
    for number, (result, estimate) in enumerate(((one.result, one.estimate) for one in entries), start=1):
        left = None if seconds is None else _available(seconds) - clock
        fits = Candidate(result, estimate).fits(left)
        clock += min(estimate.seconds, left or estimate.seconds) if fits else 0.0
        late += not fits
        more = len(result.claims) - SHOWN
        claims = ", ".join([*result.claims[:SHOWN], *([f"and {more} more"] if more > 0 else [])])
        table.add_row(
            str(number),
            result.name,
            result.why,
            f"{estimate.of - estimate.done} of {estimate.of}",
            format_duration(estimate.seconds),
            format_duration(clock) if fits else "does not fit",
            estimate.source,
            str(result.rows or "–"),
            claims or "–",
            style="" if fits else "dim",
        )
    if not entries:
        console.print("nothing to train: every result is as params.yaml and studies.yaml have it")
        return
    console.print(table)
    total = format_duration(sum(one.estimate.seconds for one in entries))
    rows = sum(one.result.rows for one in entries)
    claims_ = len({claim for one in entries for claim in one.result.claims})
    items = f"{len(entries)} item{'s' if len(entries) > 1 else ''}, {total} in all"
    console.print(
        f"{items}, for {rows} table rows and up to {claims_} claims"
        + (f"; {len(entries) - late} begin within {format_duration(seconds)}" if seconds else ""),
        highlight=False,
    )


def show_open(names: Collection[str], seeds: int | None, console: Console) -> None:
    """Print what stays open after the list: claims for which it takes more seeds, and rows of the tables that
    the settings shorten."""
    few = [] if seeds else fewer_seeds(INTERVAL, names)
    if few:
        console.print(f"with --seeds {INTERVAL}, after them: {', '.join(few)}", highlight=False)
    if claims := undecided_claims(names):
        more = f"; --seeds {INTERVAL} trains more seeds" if few else ""
        are = "claim is" if len(claims) == 1 else "claims are"
        console.print(f"{len(claims)} {are} inconclusive or not run{more}", highlight=False)
    for line in rows_with_fewer_epochs(names):
        console.print(line, highlight=False)


def _until(began: float, seconds: int | None) -> float | None:
    """Return when the running item is asked to end, so that the campaign ends in time."""
    return None if seconds is None else began + _available(seconds)


def _available(seconds: int) -> float:
    """Return how much of the time may be used for training; the rest is for a checkpoint."""
    return seconds - min(GRACE, SHARE * seconds)


def _next(
    names: Collection[str],
    seeds: int | None,
    ended: Collection[str],
    began: float,
    seconds: int | None,
    console: Console,
) -> Candidate | None:
    """Return the next item to train; the list is rebuilt each time, with what has been timed since."""
    waiting = [one for one in ordered(names, seeds, TrainingSpeed()) if one.result.name not in ended]
    until = _until(began, seconds)
    left = None if until is None else until - time.monotonic()
    if entry := next((one for one in waiting if one.fits(left)), None):
        return entry
    if waiting and left is not None:
        names_ = ", ".join(one.result.name for one in waiting)
        console.print(f"campaign: not enough time left for {names_}", highlight=False)
    return None


def _train(entry: Candidate, lock: IO[str], until: float | None, console: Console) -> Ended:
    result = entry.result
    seconds, source = format_duration(entry.estimate.seconds), entry.estimate.source
    console.print(f"campaign: {result.name} ({result.why}): {seconds}, {source}", highlight=False)
    kept = fill_ledger(result.name, result.item)  # before DVC removes them with the outputs
    if kept:
        bare = sum(one.finished.weights is None for one in kept)
        without = f", {bare} of them without weights, so not in histograms" if bare else ""
        says = f"campaign: {result.name}: {len(kept)} of {entry.estimate.of} trainings kept{without}"
        console.print(says, highlight=False)
    how: Ended = "failed"
    wanted = {result.name: seeds_of(result.item)} if result.more_seeds else {}
    try:
        with raised_seeds(wanted) as raised:
            for line in raised.lines:
                console.print(f"campaign: {line}", highlight=False)
            how = reproduce(result.name, isinstance(result.item, Sweep), lock, until)
            raised.stay = how == "done"
    except InputError as error:  # of this one: the others are trained all the same
        print(f"campaign: {result.name}: {error}", file=sys.stderr)
    if how == "done":
        forget(result.name, kept)
    console.print(f"campaign: {result.name}: {how}", highlight=False)
    return how
