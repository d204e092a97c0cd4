"""The tidy table of results: one row per training."""

from statistics import mean

import pytest
from params import write
from repository import ROOT
from result import clock, evaluation, put, training, trial

from convlab import files, results
from convlab.config import load_params
from convlab.pipeline.identity import identity
from convlab.results.intervals import interval_of_difference


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"early_stopping": None})


def test_without_a_result_there_is_no_row_but_every_column():
    table = results.frame()
    assert table.empty
    assert list(table.attrs["titles"]) == list(table.attrs["units"]) == list(results.OF_TRAININGS)
    assert {"result", "seed", *results.OF_TRAININGS, *results.TIMING_COLUMNS} <= set(table.columns)


def test_each_seed_of_an_experiment_and_of_a_trial_is_a_row():
    one, two = training("digits", 1), training("digits", 2, epochs=6)
    clocks = clock(one) | {"seeds": [clock(one), clock(two, seconds=12.0)]}
    put([one, two], [evaluation(one, 0.9), evaluation(two, 0.8)], clocks)
    steady = trial("named", "steady", 7, 0.7)
    put([steady, training("named", 7, "plain", status="diverged")])
    table = results.frame()
    assert list(table["result"]) == ["digits", "digits", "named/steady"]
    assert list(table["trial"]) == ["", "", "steady"]
    assert list(table["seed"]) == [1, 2, 7]
    assert list(table["test_accuracy"]) == [0.9, 0.8, 0.7]
    assert list(table["epochs"]) == [4, 6, 4]
    assert table["shortened"].all()
    assert list(table["seconds"].dropna()) == [8.0, 12.0]
    assert list(table["fingerprint"]) == [made["fingerprint"] for made in (one, two, steady)]


def test_a_training_has_its_state_its_hardware_and_what_is_read_off_its_curves():
    params = load_params()
    (experiment,) = params.experiments["digits"].each_seed()
    code = {phase: identity(phase, experiment) for phase in ("prepare", "train")}
    settings = {"configuration": experiment.model_dump(mode="json", exclude_defaults=True), "code": code}
    settings |= {"epochs": experiment.epochs, "environment": {"device_name": "a GPU"}}
    now = training("digits", experiment.seed, **settings)
    put(
        [now, training("digits", 2)],
        [evaluation(now, code={"evaluate": identity("evaluate", experiment)})],
        clock(now, epoch_seconds=[9.0, 2.0, 3.0]),
    )
    (row,) = results.frame().to_dict("records")
    assert (row["state"], row["hardware"], row["epoch_seconds"]) == ("other hardware", "a GPU", 3.0)
    assert row["last_lr"] == 0.1
    steady = trial("named", "steady")
    put([steady])
    assert list(results.frame()["state"]) == ["other hardware", "stale"]


def test_the_means_of_the_table_are_those_of_the_rows():
    one = training("digits")
    put([one], [evaluation(one, 0.9)])
    mean = results.frame().groupby("result")["gap"].mean()["digits"]
    assert mean == pytest.approx(results.rows("digits")[0]["gap"])


def of(table, result, quantity):
    """Return (seed, number) of each training of a result, from the table alone."""
    rows = table[table["result"] == result].dropna(subset=[quantity])
    return list(zip(rows["seed"], rows[quantity], strict=True))


def test_the_committed_tables_have_the_numbers_of_the_frame(monkeypatch):
    monkeypatch.chdir(ROOT)
    table = results.frame()
    numbers = [one for one in files.read_json(files.METRICS / "reports.json") if one["result"]]
    numbers = [one for one in numbers if one["quantity"] in results.OF_TRAININGS]
    for one in numbers:
        ours = [number for _, number in of(table, one["result"], one["quantity"])]
        expected = (len(ours), results.rounded(mean(ours)) if ours else None, results.spread(ours))
        assert (one["n"], one["ours"], one["sd"]) == (*expected[:2], results.rounded(expected[2])), one
    assert any(one["n"] > 1 for one in numbers)


def test_the_committed_claims_are_of_the_numbers_of_the_frame(monkeypatch):
    monkeypatch.chdir(ROOT)
    table = results.frame()
    judged = [one for one in files.read_json(files.METRICS / "claims.json") if one["b"] != one["a"]]
    for one in judged:
        a, b = (of(table, one[side], one["metric"]) for side in "ab")
        found = interval_of_difference(a, b)
        assert one["difference"] == (results.rounded(found.value) if found else None), one["name"]
    assert any(one["difference"] is not None for one in judged)
