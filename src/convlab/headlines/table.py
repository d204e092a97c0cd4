"""The table of the headlines, in Markdown: what `convlab headlines` prints and the README shows."""

from collections.abc import Sequence

from convlab import markdown
from convlab.campaign.durations import format_duration
from convlab.headlines.contents import Headline, accuracy_text, hardware_of
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
GOAL = 1800.0  # seconds that `make headlines` is to take


def table(found: Sequence[Headline]) -> str:
    """Return a line for each experiment, and a note below. 'per training' is timed by its own clock, 'in all'
    is `dvc repro`: data, the trainings, scores, figures."""
    lines = [TITLES, ("---", "---", *["---:"] * 5, "---"), *map(cells, found)]
    rows = [markdown.row(line[:-1]) for line in lines]  # the hardware is the same in most
    return "\n".join([*rows, "", note(found), ""])


def note(found: Sequence[Headline]) -> str:
    """Return the line below the table: how ours were chosen and tested, the time of all that `make headlines`
    trains by default, if all of it was timed, and the hardware."""
    wholes = [one.whole for one in found if one.theirs]
    seconds = [whole for whole in wholes if whole is not None]
    taken = ""
    if wholes and len(seconds) == len(wholes):
        total = format_duration(sum(seconds))
        taken = f"; {total} for those that surpass a report (goal {format_duration(GOAL)})"
    hardware = "; ".join(hardware_of(found))
    return f"Chosen on validation images, tested once{taken}{f'. {hardware}' if hardware else ''}."


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
        f"{theirs.report} {'validation ' * theirs.validated}{accuracy_text(theirs.accuracy)}"
        + (f" in {format_duration(theirs.seconds)}" if theirs.seconds else "")
        for theirs in one.theirs
    )
