"""Claims and thresholds in params.yaml: what they may say, and the one line that refuses the rest.

The verdicts on claims: test_claims.py."""

from pathlib import Path

import pytest
from params import GONE, VALID, Changes, load, refusal

from convlab.schema import METRICS, Claim

CLAIM = "claims/strides_cost"
PLAIN = VALID["claims"]["strides_cost"]
TRIALS = ", ".join(
    f"strides/strides-{strides}_l2-{l2}" for strides in ("1-1", "2-1") for l2 in ("0.0", "0.0001")
)
RESULTS = "allowed: digits, cifar, fashion, strides/TRIAL, named/TRIAL, look/TRIAL"
MAPPING = "allowed: a mapping of keys to values"


def test_a_claim_is_what_it_says(tmp_path: Path) -> None:
    (claim,) = load(tmp_path, {}).claims.values()
    assert claim.model_dump() == PLAIN | {"margin": 0.0}


@pytest.mark.parametrize("metric", METRICS)
def test_a_claim_may_compare_any_metric(tmp_path: Path, metric: str) -> None:
    assert load(tmp_path, {f"{CLAIM}/metric": metric}).claims["strides_cost"].metric == metric


@pytest.mark.parametrize(
    "result", ["fashion", "look/fashion", "named/steady", "strides/strides-2-1_l2-0.0001"]
)
def test_a_claim_may_speak_of_an_experiment_or_of_a_trial(tmp_path: Path, result: str) -> None:
    claim = load(tmp_path, {f"{CLAIM}/b": result}).claims["strides_cost"]
    assert (claim.a, claim.b) == (PLAIN["a"], result)


def test_the_same_needs_a_margin_and_takes_one_that_yaml_reads_as_text(tmp_path: Path) -> None:
    same = {f"{CLAIM}/relation": "same", f"{CLAIM}/margin": "1e-05"}
    claim = load(tmp_path, same).claims["strides_cost"]
    assert isinstance(claim, Claim)
    assert (claim.relation, claim.margin) == ("same", 1e-05)


def test_above_and_below_may_have_a_margin(tmp_path: Path) -> None:
    assert load(tmp_path, {f"{CLAIM}/margin": 0.01}).claims["strides_cost"].margin == 0.01


def test_a_threshold_is_a_number_from_0_to_1_however_it_is_written(tmp_path: Path) -> None:
    floors = {"test_accuracy": "5e-1", "train_accuracy": 1, "validation_accuracy": 0}
    thresholds = load(tmp_path, {"thresholds/digits": floors}).thresholds
    assert thresholds == {"digits": {"test_accuracy": 0.5, "train_accuracy": 1.0, "validation_accuracy": 0.0}}


CLAIMS = {
    "claims that are a list": ({"claims": []}, f"claims: found [] (list); {MAPPING}"),
    "claim that is nothing": ({CLAIM: None}, f"claims.strides_cost: found nothing; {MAPPING}"),
    "unknown key": (
        {f"{CLAIM}/margn": 0.1},
        "claims.strides_cost: unknown key `margn`; allowed: report, says, metric, a, relation, b, margin; "
        "did you mean `margin`?",
    ),
    "unknown report": (
        {f"{CLAIM}/report": "R5"},
        "claims.strides_cost.report: found 'R5' (str); allowed: R0, R1, R2, R3, R4",
    ),
    "unknown metric": (
        {f"{CLAIM}/metric": "accuracy"},
        f"claims.strides_cost.metric: found 'accuracy' (str); allowed: {', '.join(METRICS)}; "
        "did you mean `test_accuracy`?",
    ),
    "unknown relation": (
        {f"{CLAIM}/relation": "higher"},
        "claims.strides_cost.relation: found 'higher' (str); allowed: above, below, same",
    ),
    "a sweep without its trial": (
        {f"{CLAIM}/b": "strides"},
        f"claims.strides_cost.b: found 'strides' (str); allowed: {TRIALS}",
    ),
    "unknown experiment": (
        {f"{CLAIM}/b": "digts"},
        f"claims.strides_cost.b: found 'digts' (str); {RESULTS}; did you mean `digits`?",
    ),
    "nothing to compare with": ({f"{CLAIM}/b": ""}, f"claims.strides_cost.b: found '' (str); {RESULTS}"),
    "a side that is a number": (
        {f"{CLAIM}/a": 3},
        "claims.strides_cost.a: found 3 (int); allowed: a valid string",
    ),
    "the same side twice": (
        {f"{CLAIM}/b": PLAIN["a"]},
        "claims.strides_cost: a and b are the same result; compare two",
    ),
    "the same without a margin": (
        {f"{CLAIM}/relation": "same"},
        "claims.strides_cost.margin: found nothing; "
        "allowed: the difference that still counts as the same, such as 0.002",
    ),
    "the same with a margin of 0": (
        {f"{CLAIM}/relation": "same", f"{CLAIM}/margin": 0},
        "claims.strides_cost.margin: found nothing; "
        "allowed: the difference that still counts as the same, such as 0.002",
    ),
    "negative margin": (
        {f"{CLAIM}/margin": -1e-3},
        "claims.strides_cost.margin: found -0.001 (float); allowed: greater than or equal to 0",
    ),
    "infinite margin": (
        {f"{CLAIM}/margin": "inf"},
        "claims.strides_cost.margin: found inf (float); allowed: a finite number",
    ),
}
THRESHOLDS = {
    "threshold of an unknown experiment": (
        {"thresholds": {"digit": {}}},
        "thresholds: found 'digit' (str); allowed: digits, cifar, fashion; did you mean `digits`?",
    ),
    "threshold of an unknown metric": (
        {"thresholds/digits": {"test_acuracy": 0.9}},
        "thresholds.digits: unknown metric `test_acuracy`; "
        "allowed: train_accuracy, validation_accuracy, test_accuracy; did you mean `test_accuracy`?",
    ),
    **{
        f"threshold of {floor!r}": (
            {"thresholds/digits/test_accuracy": floor},
            f"thresholds.digits.test_accuracy: found {shown}; allowed: a number from 0 to 1",
        )
        for floor, shown in (
            (1.5, "1.5 (float)"),
            (-0.1, "-0.1 (float)"),
            ("high", "'high' (str)"),
            (None, "nothing"),
            (True, "True (bool)"),
            (float("nan"), "nan (float)"),
            ([0.9], "[0.9] (list)"),
        )
    },
    "threshold that is a number": (
        {"thresholds/digits": 0.9},
        f"thresholds.digits: found 0.9 (float); {MAPPING}",
    ),
    "thresholds that are a list": ({"thresholds": []}, f"thresholds: found [] (list); {MAPPING}"),
}
BAD: dict[str, tuple[Changes, str]] = CLAIMS | THRESHOLDS


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_line_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    changes, message = BAD[case]
    assert refusal(tmp_path, changes) == message


@pytest.mark.parametrize("key", ["report", "says", "metric", "a", "relation", "b"])
def test_a_claim_lacks_nothing(tmp_path: Path, key: str) -> None:
    message = refusal(tmp_path, {f"{CLAIM}/{key}": GONE})
    assert message.startswith(f"claims.strides_cost.{key}: missing; ")
