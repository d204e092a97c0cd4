"""Our numbers in the prose of docs/reports.md come from the results, as those of its tables do."""

from pathlib import Path

import pytest
from repository import ROOT

from convlab import files
from convlab.errors import InputError
from convlab.results import load_plans
from convlab.results.inline import NUMBER, fill
from convlab.results.tables import PAGE


@pytest.fixture(autouse=True)
def _committed(committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(committed)


def test_a_number_is_that_of_its_result_again_and_again() -> None:
    (record,) = files.read_json(files.scores("digits"))
    expected = f"(ours is {record['test']['accuracy']:.2%}<!-- test_accuracy of digits -->)"
    filled = fill("(ours is 1.00%<!-- test_accuracy of digits -->)", load_plans(), PAGE)
    assert filled == fill(filled, load_plans(), PAGE) == expected


def test_a_number_of_what_has_not_run_is_left_open() -> None:
    text = "ours is 3.0<!-- test_accuracy of fashion_best -->, theirs 4"
    filled = fill(text, load_plans(), PAGE)
    assert filled == "ours is –<!-- test_accuracy of fashion_best -->, theirs 4"
    assert fill(filled, load_plans(), PAGE) == filled


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("test_acuracy of digits", "unknown quantity 'test_acuracy'.* did you mean `test_accuracy`"),
        ("test_accuracy of digitz", "unknown result 'digitz'.* did you mean `digits`"),
    ],
)
def test_an_unknown_name_is_refused(comment: str, said: str) -> None:
    with pytest.raises(InputError, match=rf"docs/reports\.md: 1<!-- {comment} -->: {said}"):
        fill(f"1<!-- {comment} -->", load_plans(), PAGE)


def test_the_page_has_numbers_of_ours_in_its_prose() -> None:
    assert len(NUMBER.findall((ROOT / PAGE).read_text(encoding="utf-8"))) >= 10
