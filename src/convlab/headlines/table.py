"""The table of the headlines, in Markdown: what `convlab headlines` prints and the README shows."""

from collections.abc import Sequence

from convlab.campaign.durations import format_duration
from convlab.headlines.contents import Headline, accuracy_text
from convlab.results import mean_and_spread
from convlab.results.reports import points

TITLES = (
    "data",
    "headlines of the reports",
    "ours",
    "gain, points",
    "n",
    "per training",
    "in all",
    "hardware",
)


def table(found: Sequence[Headline]) -> str:
    """Return a line for each experiment. 'per training' is timed by its own clock, 'in all' is `dvc repro`:
    data, the trainings, scores, figures."""
    lines = [TITLES, ("---", "---", *["---:"] * 5, "---"), *map(cells, found)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def cells(one: Headline) -> tuple[str, ...]:
    """Return what the table says of an experiment, a text for each of `TITLES`."""
    ours = one.ours.values("test_accuracy")
    return (
        one.data,
        _theirs(one),
        mean_and_spread(ours, accuracy_text) if ours else "not run",
        points(None if one.accuracy is None else one.accuracy - one.highest),
        str(len(ours) or "–"),
        "–" if one.seconds is None else format_duration(one.seconds),
        "–" if one.whole is None else format_duration(one.whole),
        ", ".join(one.ours.hardware()) or "–",
    )


def _theirs(one: Headline) -> str:
    if not one.theirs:
        return f"the goal: {accuracy_text(one.highest)}"
    return ", ".join(
        f"{theirs.report} {accuracy_text(theirs.accuracy)}"
        + (f" in {format_duration(theirs.seconds)}" if theirs.seconds else "")
        for theirs in one.theirs
    )
