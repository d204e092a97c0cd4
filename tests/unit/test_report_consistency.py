"""What a report's own numbers say of its claims."""

from types import SimpleNamespace
from typing import Any

import pytest

from convlab.results import claims, report_consistency
from convlab.results.reports import Report, ReportRow

ROWS = [
    {"what": "a", "result": "sweep/a", "test_accuracy": 0.9947, "running_accuracy": 0.99},
    {"what": "b", "result": "sweep/b", "test_accuracy": 0.9952, "running_accuracy": 0.98},
    {"what": "b again", "result": "sweep/b", "test_accuracy": 0.9952, "validation_accuracy": 0.9},
    {"what": "another b", "result": "other/b", "test_accuracy": 0.5, "other_reading": True},
]


class Recipe(SimpleNamespace):
    """An experiment, as far as two may be alike."""

    def model_copy(self, update: dict[str, Any]) -> "Recipe":
        """Return it without its seeds."""
        return Recipe(**{**vars(self), **update})


EXPERIMENTS: Any = {
    "sweep/a": Recipe(lr=0.1, seeds=1),
    "sweep/b": Recipe(lr=0.2, seeds=1),
    "b": Recipe(lr=0.2, seeds=3),
    "other/b": Recipe(lr=0.3, seeds=1),
}


def of(a: str = "sweep/a", b: str = "sweep/b", **more: Any) -> dict[str, Any]:
    claim = {"report": "R0", "metric": "test_accuracy", "relation": "below", "margin": 0.0, "a": a, "b": b}
    report = Report(title="t", hardware=None, rows=[ReportRow(**row) for row in ROWS])
    return report_consistency.beside([{**claim, **more}], {"R0": report}, EXPERIMENTS)[0]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "agrees"),
        ({"relation": "above"}, "contradicts"),
        ({"margin": 0.002}, "contradicts"),
        ({"relation": "same", "margin": 0.0005}, "agrees"),
        ({"relation": "same", "margin": 0.0004}, "contradicts"),
    ],
)
def test_a_table_agrees_with_a_claim_or_contradicts_it(more: dict[str, Any], said: str) -> None:
    claim = of(**more)
    assert claim["printed_difference"] == -0.0005
    assert claim["printed"] == said
    shown = f"**{said}**" if said == "contradicts" else said
    assert claims.in_its_table(claim) == f"-0.05 {shown}"


def test_a_result_of_the_same_recipe_stands_for_one_without_a_row() -> None:
    assert of(b="b")["printed_difference"] == -0.0005


def test_a_second_reading_of_a_row_is_no_number_of_its_own() -> None:
    assert of(b="other/b")["printed"] is None


@pytest.mark.parametrize(
    "more",
    [{"report": "R4"}, {"b": "never"}, {"metric": "kernel_norm"}, {"metric": "gap"}, {"b": "sweep/a"}],
)
def test_what_a_report_does_not_print_is_a_dash(more: dict[str, Any]) -> None:
    claim = of(**more)
    assert (claim["printed"], claim["printed_difference"]) == (None, None)
    assert claims.in_its_table(claim) == "–"


def test_a_gap_is_of_the_two_accuracies_of_one_row() -> None:
    row = ReportRow(what="c", result="c", running_accuracy=0.9, validation_accuracy=0.7)
    report = Report(title="t", hardware=None, rows=[row, row.model_copy(update={"result": "d"})])
    claim = {"report": "R3", "metric": "gap", "relation": "above", "margin": 0.0, "a": "c", "b": "d"}
    [found] = report_consistency.beside([claim], {"R3": report}, {})
    assert (found["printed_difference"], found["printed"]) == (0.0, "neither")
