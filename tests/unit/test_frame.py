"""The tidy table of results: one row per training."""

import pytest
from params import write
from test_results_read import facts, put, scores, timing

from convlab import results


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"early_stopping": None})


def test_without_a_result_there_is_no_row_but_every_column():
    table = results.frame()
    assert table.empty
    assert {"result", "seed", *results.NUMBERS, *results.CLOCKS} <= set(table.columns)


def test_each_seed_of_an_experiment_and_of_a_trial_is_a_row():
    put(
        "digits",
        train=facts(1) | {"seeds": [facts(1), facts(2, epochs=6)]},
        evaluate=scores(0.9) | {"seeds": [{"seed": 1, **scores(0.9)}, {"seed": 2, **scores(0.8)}]},
        timing=timing(1) | {"seeds": [timing(1), timing(2, seconds=12.0)]},
    )
    trial = {"name": "steady", "status": "finished", **facts(7), **scores(0.7)}
    put("named", trials=[trial, {"name": "plain", "status": "diverged", "seed": 7}])
    table = results.frame()
    assert list(table["result"]) == ["digits", "digits", "named/steady"]
    assert list(table["trial"]) == ["", "", "steady"]
    assert list(table["seed"]) == [1, 2, 7]
    assert list(table["test_accuracy"]) == [0.9, 0.8, 0.7]
    assert list(table["epochs"]) == [4, 6, 4]
    assert table["shortened"].all()
    assert list(table["seconds"].dropna()) == [8.0, 12.0]
    assert list(table["fingerprint"]) == ["print-1", "print-2", "print-7"]


def test_the_means_of_the_table_are_those_of_the_rows():
    put("digits", train=facts(1), evaluate=scores(0.9))
    mean = results.frame().groupby("result")["gap"].mean()["digits"]
    assert mean == pytest.approx(results.rows("digits")[0]["gap"])
