"""Claims and thresholds in params.yaml: what they may say, and the one line that refuses the rest.

The verdicts on claims: test_claims.py."""

from pathlib import Path
from typing import get_args

import pytest
from params import GONE, VALID, Changes, load, refusal

from convlab.schema import COMPARABLE, WITHIN, Claim

REPORTS = get_args(Claim.model_fields["report"].annotation)

CLAIM = "claims/strides_cost"
PLAIN = VALID["claims"]["strides_cost"]
TRIALS = ", ".join(
    f"strides/strides-{strides}_l2-{l2}" for strides in ("1-1", "2-1") for l2 in ("0.0", "0.0001")
)
RESULTS = "allowed: digits, cifar, fashion, strides/TRIAL, named/TRIAL, look/TRIAL"
MAPPING = "allowed: a mapping of keys to values"


def test_a_claim_is_what_it_says(tmp_path: Path) -> None:
    (claim,) = load(tmp_path, {}).claims.values()
    assert claim.model_dump() == PLAIN | {"margin": 0.0, "pairs": None, "than": None}


@pytest.mark.parametrize("metric", [metric for metric in COMPARABLE if metric not in WITHIN])
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
    own = {"test_accuracy": "5e-1", "train_accuracy": 1, "validation_accuracy": 0}
    thresholds = load(tmp_path, {"thresholds/digits": own}).thresholds
    assert thresholds == {"digits": {"test_accuracy": 0.5, "train_accuracy": 1.0, "validation_accuracy": 0.0}}


def test_chosen_images_are_named_by_class_and_index(tmp_path: Path) -> None:
    chosen = {"cifar": ["frog/0", "ship/12"]}
    assert load(tmp_path, {"feature_maps": chosen}).feature_maps == chosen
    assert load(tmp_path, {}).feature_maps == {}


def test_a_claim_about_one_result_has_no_other(tmp_path: Path) -> None:
    pairs = {f"{CLAIM}/pairs": ["5/3", "8->9"], f"{CLAIM}/than": "others"}
    changes = {f"{CLAIM}/metric": "confusion_share", f"{CLAIM}/a": "digits", f"{CLAIM}/b": GONE, **pairs}
    claim = load(tmp_path, changes).claims["strides_cost"]
    assert (claim.a, claim.b, claim.pairs) == ("digits", None, ["5/3", "8->9"])


CLAIMS = {
    "no other result": (
        {f"{CLAIM}/b": GONE},
        "claims.strides_cost.b: found nothing; allowed: the result that a is compared with",
    ),
    "another result within one": (
        {f"{CLAIM}/metric": "map_distance"},
        f"claims.strides_cost.b: found {PLAIN['b']}; allowed: nothing with map_distance, which compares "
        "parts of a alone",
    ),
    "confusions of a trial": (
        {f"{CLAIM}/metric": "map_distance", f"{CLAIM}/a": PLAIN["b"], f"{CLAIM}/b": GONE},
        f"claims.strides_cost.a: found {PLAIN['b']}; "
        "allowed: an experiment with map_distance: a trial has no such files",
    ),
    "confusions without pairs": (
        {f"{CLAIM}/metric": "confusion_share", f"{CLAIM}/a": "digits", f"{CLAIM}/b": GONE},
        "claims.strides_cost.pairs: found nothing; allowed: pairs of classes, such as 5/3 or deer->frog",
    ),
    "a pair of one class": (
        {
            f"{CLAIM}/metric": "confusion_share",
            f"{CLAIM}/a": "digits",
            f"{CLAIM}/b": GONE,
            f"{CLAIM}/pairs": ["5/5"],
        },
        "claims.strides_cost.pairs.0: found '5/5'; allowed: two classes, as 5/3 (either way) or deer->frog",
    ),
    "a pair with another sign": (
        {
            f"{CLAIM}/metric": "confusion_share",
            f"{CLAIM}/a": "digits",
            f"{CLAIM}/b": GONE,
            f"{CLAIM}/pairs": ["5-3"],
        },
        "claims.strides_cost.pairs.0: found '5-3'; allowed: two classes, as 5/3 (either way) or deer->frog",
    ),
    "pairs compared with nothing": (
        {
            f"{CLAIM}/metric": "confusion_share",
            f"{CLAIM}/a": "digits",
            f"{CLAIM}/b": GONE,
            f"{CLAIM}/pairs": ["5/3"],
        },
        "claims.strides_cost.than: found nothing; allowed: 'others' or 'every other' or 'average'",
    ),
    "pairs of an accuracy": (
        {f"{CLAIM}/pairs": ["5/3"]},
        "claims.strides_cost.pairs: found ['5/3']; allowed: nothing with test_accuracy",
    ),
    "a name that is no address": (
        {"claims": {"1# or 2?": PLAIN}},
        "claims: found the name '1# or 2?' (str); allowed: letters, digits, `_`, `-`, `.` (it names files)",
    ),
    "claims that are a list": ({"claims": []}, f"claims: found [] (list); {MAPPING}"),
    "claim that is nothing": ({CLAIM: None}, f"claims.strides_cost: found nothing; {MAPPING}"),
    "unknown key": (
        {f"{CLAIM}/margn": 0.1},
        "claims.strides_cost: unknown key `margn`; "
        "allowed: report, says, metric, a, relation, b, margin, pairs, than; "
        "did you mean `margin`?",
    ),
    "unknown report": (
        {f"{CLAIM}/report": "R9"},
        f"claims.strides_cost.report: found 'R9' (str); allowed: {', '.join(REPORTS)}",
    ),
    "unknown metric": (
        {f"{CLAIM}/metric": "accuracy"},
        f"claims.strides_cost.metric: found 'accuracy' (str); allowed: {', '.join(COMPARABLE)}; "
        "did you mean `test_accuracy`?",
    ),
    "unknown relation": (
        {f"{CLAIM}/relation": "higher"},
        "claims.strides_cost.relation: found 'higher' (str); allowed: above, below, same, not_above",
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
        f"threshold of {threshold!r}": (
            {"thresholds/digits/test_accuracy": threshold},
            f"thresholds.digits.test_accuracy: found {shown}; allowed: a number from 0 to 1",
        )
        for threshold, shown in (
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
CHOSEN = {
    "maps of an unknown experiment": (
        {"feature_maps": {"digit": ["3/0"]}},
        "feature_maps: found 'digit' (str); allowed: digits, cifar, fashion; did you mean `digits`?",
    ),
    "maps of a sweep": (
        {"feature_maps": {"strides": ["3/0"]}},
        "feature_maps: found 'strides' (str); allowed: digits, cifar, fashion",
    ),
    "maps of an unknown class": (
        {"feature_maps": {"cifar": ["forg/0"]}},
        "feature_maps.cifar: found the class 'forg' (str); allowed: airplane, automobile, bird, cat, deer, "
        "dog, frog, horse, ship, truck; did you mean `frog`?",
    ),
    "maps of an image twice": (
        {"feature_maps": {"digits": ["3/0", "3/0"]}},
        "feature_maps.digits: '3/0' is listed twice; keep one of them",
    ),
    **{
        f"maps of {given!r}": (
            {"feature_maps": {"digits": given}},
            f"feature_maps.digits: found {shown}; allowed: a list such as [frog/0, ship/0]",
        )
        for given, shown in (([], "[] (list)"), ("3/0", "'3/0' (str)"), (None, "nothing"))
    },
    **{
        f"maps of an image {given!r}": (
            {"feature_maps": {"digits": [given]}},
            f"feature_maps.digits: found {shown}; allowed: CLASS/INDEX, such as 0/0",
        )
        for given, shown in (
            (3, "3 (int)"),
            ("3", "'3' (str)"),
            ("3/-1", "'3/-1' (str)"),
            ("3/", "'3/' (str)"),
        )
    },
}
BAD: dict[str, tuple[Changes, str]] = CLAIMS | THRESHOLDS | CHOSEN


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_line_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    changes, message = BAD[case]
    assert refusal(tmp_path, changes) == message


@pytest.mark.parametrize("key", ["report", "says", "metric", "a", "relation"])
def test_a_claim_lacks_nothing(tmp_path: Path, key: str) -> None:
    message = refusal(tmp_path, {f"{CLAIM}/{key}": GONE})
    assert message.startswith(f"claims.strides_cost.{key}: missing; ")
