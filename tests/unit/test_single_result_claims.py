"""Claims about one result: which classes it confuses, and whether the maps of confused images converge."""

from math import sqrt
from pathlib import Path

import pytest
import result

from convlab import files
from convlab.errors import InputError
from convlab.results import Plan, claims, single_result_claims
from convlab.schema import Claim

# Of 100 wrong images: 5 for 3 and back 40 + 20, 8 for 9 10, 0 for 1 20, 1 for 0 5, 3 for 8 5
WRONG = {("5", "3"): 40, ("3", "5"): 20, ("8", "9"): 10, ("0", "1"): 20, ("1", "0"): 5, ("3", "8"): 5}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def confused() -> list[tuple[str, str]]:
    right = [(str(n), str(n)) for n in range(10)]
    return [*right, *(pair for pair, count in WRONG.items() for _ in range(count))]


def claim(**more: object) -> Claim:
    facts = {"report": "R0", "says": "so", "a": "net", "relation": "above"}
    return Claim.model_validate({**facts, **more})


def put() -> None:
    one = result.training("net")
    result.put([one], [result.evaluation(one)])


def judge(one: Claim) -> dict[str, object]:
    return claims.judge("name", one, {"net": Plan(4, False)}, {})


def test_named_pairs_are_compared_with_as_many_others() -> None:
    found = single_result_claims.of_pairs("name", confused(), ["5/3"], than="others")
    assert found is not None
    # 0.60 against 0/1's 0.25: the variance of a difference of two shares of one multinomial
    assert found.value == pytest.approx(0.35)
    assert found.error == pytest.approx(sqrt((0.85 - 0.35**2) / 100))
    two = single_result_claims.of_pairs("name", confused(), ["5/3", "8/9"], than="others")
    assert two is not None
    assert two.value == pytest.approx(0.70 - 0.30)


def test_the_rarest_of_the_named_pairs_is_compared_with_the_most_frequent_other() -> None:
    found = single_result_claims.of_pairs("name", confused(), ["5/3", "8/9"], than="every other")
    assert found is not None
    assert found.value == pytest.approx(0.10 - 0.25)  # 8/9 against 0/1
    assert found.error == pytest.approx(sqrt((0.35 - 0.15**2) / 100))


def test_named_pairs_are_compared_with_average_ones() -> None:
    found = single_result_claims.of_pairs("name", confused(), ["5->3"], than="average")
    assert found is not None
    assert found.value == pytest.approx(0.40 - 1 / 90)
    both = single_result_claims.of_pairs("name", confused(), ["3/5"], than="average")
    assert both is not None
    assert both.value == pytest.approx(0.60 - 2 / 90)


def test_no_wrong_image_says_nothing() -> None:
    assert single_result_claims.of_pairs("name", [("1", "1"), ("2", "2")], ["1/2"], than="others") is None


def test_a_class_that_is_none_is_one_line() -> None:
    with pytest.raises(InputError) as error:
        single_result_claims.of_pairs("name", confused(), ["cat/3"], than="average")
    assert str(error.value) == (
        "claims.name.pairs: found 'cat/3'; allowed: two of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, as 0/9 or 0->9"
    )


def test_confusions_get_a_verdict() -> None:
    put()
    rows = [{"actual": actual, "predicted": predicted} for actual, predicted in confused()]
    files.write_csv(files.PLOTS / "net/confusion.csv", rows)
    judged = judge(claim(metric="confusion_share", pairs=["5/3"], than="others"))
    assert (judged["verdict"], judged["b"], judged["n"]) == ("confirmed", "net", 1)
    assert judged["reason"] == "the first seed's network"
    assert claims.shown(judged) == "+35.00 [+18.28, +51.72]"
    assert claims.expected(judged) == "5/3 above the most frequent others, in points of the wrong images"


def test_without_the_files_a_claim_has_not_run() -> None:
    assert judge(claim(metric="confusion_share", pairs=["5/3"], than="others"))["verdict"] == "not run"
    put()
    assert judge(claim(metric="map_distance", relation="below"))["verdict"] == "not run"


def layer(median: float, spread: float) -> dict[str, dict[str, float]]:
    quartiles = {"first_quartile": median - spread / 2, "third_quartile": median + spread / 2}
    of_pairs = {"median": median, **quartiles}
    return {"taken_for": of_pairs, "own_class": of_pairs}


def test_maps_converge_from_the_first_convolution_to_the_last() -> None:
    put()
    layers = {
        "input": layer(0.1, 0.1),
        "one": layer(0.8, 0.3),
        "two": layer(0.9, 0.1),
        "last": layer(0.5, 0.4),
    }
    files.write_json(
        files.PLOTS / "net/figures/pairs.json", {"pairs": 100, "unit": "median distance", "layers": layers}
    )
    judged = judge(claim(metric="map_distance", relation="below"))
    assert judged["difference"] == pytest.approx(-0.3)
    assert judged["interval"] == pytest.approx([-0.3 - 1.96 * 0.04645, -0.3 + 1.96 * 0.04645], abs=1e-4)
    assert judged["verdict"] == "confirmed"
