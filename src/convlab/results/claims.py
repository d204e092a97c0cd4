"""What the reports claim, judged from intervals over seeds and test images.

The difference a − b is taken seed by seed where both sides have the seed (a paired t interval), else between
the two groups (Welch's); both at 95 %, and wider by what another set of test images might have given. With
fewer than three seeds on a side the standard deviation is that of the study's trials about their own means,
pooled (as in an analysis of variance); with one seed, where no trial has more, it is borrowed: that of the
experiment which both sides vary, or else the largest that a result on the same data set has over its seeds.
Where the interval settles neither, or a side has not learned at all, the verdict is 'inconclusive'.
"""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, Literal, assert_never, get_args

from convlab import markdown, results
from convlab.data.catalogue import DATASETS
from convlab.results import intervals, lending, single_result_claims
from convlab.results.intervals import CONFIDENCE, Borrowed, Difference
from convlab.results.plans import Plan
from convlab.results.quantities import QUANTITIES, difference_text
from convlab.results.read import Found, rounded
from convlab.results.rerun import rerun
from convlab.schema import Claim, Experiment, Params, Relation
from convlab.schema.study import Than

Verdict = Literal["confirmed", "refuted", "inconclusive", "not run"]
VERDICTS = get_args(Verdict)
ALIKE = ("init", "batch_norm", "epochs", "precision")  # equal on both sides, else a difference says nothing
LEARNED = 1.5  # times the accuracy of guessing, at least, of a network whose accuracy says something
# Metrics of held-out images whose interval lacks the images' sampling error: only their mean is recorded
WITHOUT_IMAGES = (
    *("test_loss", "validation_loss", "penalised_test_loss", "rise_validation_loss", "early_accuracy"),
    *("oscillation_validation_loss", "oscillation_validation_accuracy"),
)


def judge_all(params: Params, plans: Mapping[str, Plan]) -> list[dict[str, Any]]:
    """Judge every claim from metrics/. Differences, margins and intervals are in the units of metrics/:
    accuracies from 0 to 1; rounded to six digits, so that they are the same text on every machine.

    `holds_among_all`: the verdict stands at 95 % for all of the claims together (Holm, 1979).

    Raises:
        InputError: a result's file is damaged.
    """
    experiments = by_result(params)
    judged = [judge(name, claim, plans, experiments) for name, claim in params.claims.items()]
    settled = [row for row in judged if row["verdict"] in ("confirmed", "refuted")]
    tested = sum(row["verdict"] != "not run" for row in judged)
    unsettled = [1.0] * (tested - len(settled))
    held = intervals.holm([*(row["p"] for row in settled), *unsettled])
    for row, holds in zip(settled, held, strict=False):
        row["holds_among_all"] = holds
    return judged


def by_result(params: Params) -> dict[str, Experiment]:
    """Return the experiment of every result, by its name; of several seeds the first."""
    found = dict(params.experiments)
    for name, sweep in params.sweeps.items():
        for trial in sweep.trials:
            found.setdefault(f"{name}/{trial.name}", trial.experiment)
    return found


def judge(
    name: str, claim: Claim, plans: Mapping[str, Plan], experiments: Mapping[str, Experiment]
) -> dict[str, Any]:
    """Judge one claim: verdict, difference a − b, its interval, and the epochs of both sides."""
    other = claim.b or claim.a
    a, b = results.find(claim.a, plans), results.find(other, plans)
    borrowed = None
    if claim.b is None:
        difference = single_result_claims.difference(name, claim) if a.trainings else None
    else:
        fewest = min(len(a.trainings), len(b.trainings))
        if 0 < fewest < lending.SEEDS and claim.metric != "epoch_seconds":
            borrowed = lending.pooled(claim.metric, (claim.a, other), experiments)
        if fewest == 1 and borrowed is None and claim.metric != "epoch_seconds":
            found = lending.lenders(claim.metric, experiments[claim.a].dataset, experiments)
            borrowed = lending.lent(found, plans[claim.a].base, plans[other].base)
        images = images_error_of(claim.metric, (a, b))
        difference = intervals.interval_of_difference(
            numbers_by_seed(a, claim.metric),
            numbers_by_seed(b, claim.metric),
            images=images,
            borrowed=borrowed,
        )
    verdict, reason, level = _verdict(claim, (a, b), difference, borrowed)
    interval = difference.interval() if difference else None
    stale = [result for result, found in {claim.a: a, other: b}.items() if found.stale]
    return {
        "name": name,
        **claim.model_dump(),
        "b": other,
        "n": difference.n if difference else 0,
        "difference": rounded(difference.value) if difference else None,
        "interval": [rounded(end) for end in interval] if interval else None,
        "confidence": CONFIDENCE,
        "verdict": verdict,
        "p": rounded(level),
        "holds_among_all": None,
        "borrowed_from": borrowed.result if borrowed and not borrowed.pooled else None,
        "reason": reason,
        "stale": stale,
        **_epochs("a", a),
        **_epochs("b", b),
    }


def _verdict(
    claim: Claim, sides: tuple[Found, Found], difference: Difference | None, borrowed: Borrowed | None
) -> tuple[str, str, float | None]:
    """Return the verdict, why there is none or what it rests on, and its p-value."""
    a, b = sides
    if difference is None:
        stopped = {claim.a: _stopped(claim.a, a), claim.b or claim.a: _stopped(claim.b or claim.a, b)}
        return "not run", "; ".join(filter(None, stopped.values())), None
    if a.shortened != b.shortened:
        return "inconclusive", "one side is shortened", None
    if apart := _apart(a, b):
        return "inconclusive", apart, None
    for result, side in {claim.a: a, claim.b or claim.a: b}.items():
        if not _learned(side):
            reason = f"{result} has not learned: {mean(side.values('test_accuracy')):.2%} of the test images"
            return "inconclusive", reason, None
    if claim.metric == "epoch_seconds" and a.timing_conditions() != b.timing_conditions():
        return "inconclusive", "different hardware or number of parallel trainings", None
    if (interval := difference.interval()) is None:
        reason = "n = 1: no interval" if difference.n == 1 else "the standard deviation over seeds is 0"
        return "inconclusive", reason, None

    def settled(confidence: float) -> bool:
        ends = difference.interval(confidence)
        return ends is not None and decide(claim.relation, claim.margin, *ends) != "inconclusive"

    reasons = ["the first seed's network"] if claim.b is None else []
    if borrowed:
        reasons.append(f"n = {difference.n}: {borrowed.description}")
    if difference.paired and difference.n < (most := max(len(a.trainings), len(b.trainings))):
        reasons.append(f"{difference.n} of {most} seeds on both sides")
    if claim.metric in WITHOUT_IMAGES:
        reasons.append("excluding the sampling error of the images")
    return decide(claim.relation, claim.margin, *interval), "; ".join(reasons), intervals.level(settled)


def _learned(side: Found) -> bool:
    """Tell whether the networks of a side do better than guessing; of a data set imported here: unknown."""
    facts = DATASETS.get(side.trainings[0]["configuration"].get("dataset", ""))
    return facts is None or mean(side.values("test_accuracy")) >= LEARNED / len(facts.classes)


def _apart(a: Found, b: Found) -> str:
    """Return which of ALIKE the trainings of two results differ in; empty if in none."""
    for key in ALIKE:
        one, other = (
            dict.fromkeys(
                str(row[key] if key == "precision" else row["configuration"].get(key))
                for row in side.trainings
            )
            for side in (a, b)
        )
        if one.keys() != other.keys():
            return f"{key} differs: {', '.join(one)} and {', '.join(other)}"
    return ""


def images_error_of(metric: str, sides: tuple[Found, Found]) -> float:
    """Return the standard error that the images give to a difference of accuracies, or of gaps: of the split
    whose accuracy is uncertain; 0 for losses, whose deviation over images is not recorded, and for norms."""
    if (split := QUANTITIES[metric].images) is None:
        return 0.0
    shares = [side.values(f"{split}_accuracy") for side in sides]
    counts = [[n for row in side.trainings if (n := row[split].get("images"))] for side in sides]
    if not all(counts):
        return 0.0
    return intervals.images_error([mean(side) for side in shares], int(min(map(min, counts))))


def decide(relation: Relation, margin: float, low: float, high: float) -> Verdict:
    """Return the verdict on `a above (below, same as) b` from the interval of a − b."""
    match relation:
        case "above":
            confirmed, refuted = low > margin, high < margin
        case "below":
            confirmed, refuted = high < -margin, low > -margin
        case "not_above":
            confirmed, refuted = high <= margin, low > margin
        case "same":
            confirmed, refuted = -margin <= low and high <= margin, low > margin or high < -margin
        case _:
            assert_never(relation)
    return "confirmed" if confirmed else "refuted" if refuted else "inconclusive"


def table(judged: Sequence[Mapping[str, Any]]) -> str:
    """Make the Markdown table of claims and verdicts, below one line that counts them."""
    counts = ", ".join(
        f"{sum(row['verdict'] == verdict for row in judged)} {verdict}" for verdict in VERDICTS
    )
    titles = ("report", "claim", "expected", "difference, 95 % interval", "n", "epochs", "verdict")
    lines = [
        markdown.row([*titles, "report's own numbers"]),
        "| --- | --- | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for row in judged:
        verdict = f"**{row['verdict']}**" if row["verdict"] in ("confirmed", "refuted") else row["verdict"]
        verdict += " †" if row["holds_among_all"] is False else ""
        command = f"`{rerun(row)}`" if row["verdict"] == "not run" and not row["reason"] else ""
        reasons = [row["reason"], command, *(f"{name} is stale" for name in row["stale"])]
        reason = f" ({'; '.join(filter(None, reasons))})" if any(reasons) else ""
        cells = [row["report"], row["says"], expected(row), shown(row), str(row["n"] or "–"), _trained(row)]
        lines.append(markdown.row([*cells, verdict + reason, in_its_table(row)]))
    lent = sum(row["verdict"] in ("confirmed", "refuted") and bool(row["borrowed_from"]) for row in judged)
    counts += f"; {lent} verdicts use another result's standard deviation" if lent else ""
    summary = f"<summary>{len(judged)} claims: {counts}</summary>"
    return "\n".join(["<details>", summary, "", *lines, "", "</details>", ""])


def numbers_by_seed(found: Found, metric: str) -> list[tuple[Any, float]]:
    """Return (seed, number) of each training."""
    numbers = [(row["seed"], results.value(row, metric)) for row in found.trainings]
    return [(seed, number) for seed, number in numbers if number is not None]


def _stopped(result: str, found: Found) -> str:
    """Return what stopped a result that has not run, or an empty text."""
    return "" if found.status in ("finished", "not run") else f"{result} is {found.status}"


def _epochs(side: str, found: Found) -> dict[str, Any]:
    epochs = found.values("epochs")
    return {
        f"epochs_{side}": rounded(mean(epochs)) if epochs else None,
        f"planned_epochs_{side}": found.planned,
        f"shortened_{side}": found.shortened,
    }


def expected(row: Mapping[str, Any]) -> str:
    """Return what a judged claim expects of its metric: `test accuracy within ±0.20`."""
    metric = QUANTITIES[row["metric"]].title
    margin = difference_text(row["metric"], row["margin"], sign="")
    if row["pairs"]:
        return f"{', '.join(row['pairs'])} {row['relation']} {compared_with(row)}"
    if row["metric"] == "map_distance":
        return f"{metric} at the last convolution {row['relation']} that at the first"
    relation: Relation = row["relation"]
    match relation:
        case "same":
            return f"{metric} within ±{margin}"
        case "not_above":
            return f"{metric} not above" + (f" by more than {margin}" if row["margin"] else "")
        case "above" | "below":
            return f"{metric} {relation}" + (f" by {margin}" if row["margin"] else "")
        case _:
            assert_never(relation)


def compared_with(row: Mapping[str, Any]) -> str:
    """Name what the pairs of classes of a judged claim are compared with."""
    than: Than = row["than"]
    match than:
        case "average":
            others = "as many average pairs"
        case "others":
            others = "the most frequent others"
        case "every other":
            others = "every other pair, by the rarest of them"
        case _:
            assert_never(than)
    return f"{others}, in points of the wrong images"


def shown(row: Mapping[str, Any]) -> str:
    """Return a judged claim's difference, with its interval if it has one."""
    if row["difference"] is None:
        return "–"
    ends = [difference_text(row["metric"], end) for end in row["interval"] or []]
    return difference_text(row["metric"], row["difference"]) + (f" [{ends[0]}, {ends[1]}]" if ends else "")


def in_its_table(row: Mapping[str, Any]) -> str:
    """Return what the report's own numbers say of a claim (report_consistency); a dash where it has none."""
    if row.get("printed") is None:
        return "–"
    said = f"**{row['printed']}**" if row["printed"] == "contradicts" else row["printed"]
    return f"{difference_text(row['metric'], row['printed_difference'])} {said}"


def _trained(row: Mapping[str, Any]) -> str:
    shown = [
        f"{row[f'epochs_{side}']:.3g}"
        + (f" of {row[f'planned_epochs_{side}']}" if row[f"shortened_{side}"] else "")
        for side in ("a", "b")
        if row[f"epochs_{side}"] is not None
    ]
    return " / ".join(dict.fromkeys(shown)) or "–"
