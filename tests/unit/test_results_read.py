"""The reader of results: the same rows whichever file holds them."""

import copy

import pytest
import yaml
from repository import ROOT
from result import clock, evaluation, put, training, trial

from convlab import files, results
from convlab.config import read_params
from convlab.errors import InputError
from convlab.results import Plan

PARAMS = read_params(ROOT / "params.yaml")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_what_has_not_run_has_no_rows():
    assert results.rows("one") == []
    assert results.rows("sweep/a") == []
    assert results.status("sweep/a") == "not run"


def test_an_experiment_of_one_seed_is_one_row():
    one = training("one")
    put([one], [evaluation(one)], clock(one))
    (row,) = results.rows("one")
    assert (row["seed"], row["epochs"], row["parameters"], row["report_flops"]) == (1, 4, 10, 20)
    assert row["test"] == {"loss": 0.3, "accuracy": 0.9, "images": 5}
    assert row["gap"] == pytest.approx(0.04)
    assert row["timing"]["seconds"] == 8.0
    assert row["configuration"] == one["configuration"]


def test_an_experiment_of_several_seeds_is_a_row_each_with_its_own_scores_and_timing():
    one, two = training("one", 1), training("one", 2, epochs=6)
    timing = clock(one) | {"seeds": [clock(one), clock(two, seconds=12.0)]}
    put([one, two], [evaluation(two, 0.8), evaluation(one, 0.9)], timing)
    rows = results.rows("one")
    assert [(row["seed"], row["epochs"], row["test"]["accuracy"]) for row in rows] == [
        (1, 4, 0.9),
        (2, 6, 0.8),
    ]
    assert results.values(rows, "seconds_per_epoch") == [2.0, 2.0]
    assert results.values(rows, "seconds") == [8.0, 12.0]


def test_a_seed_that_was_not_evaluated_is_not_finished():
    one, two = training("one", 1), training("one", 2)
    put([one, two], [evaluation(one)])
    assert [row["seed"] for row in results.rows("one")] == [1]
    put([training("two")], [])
    assert results.rows("two") == []


def test_scores_of_other_weights_are_not_this_trainings_however_equal_the_losses():
    one = training("one", weights="a")
    put([one], [evaluation(one, weights="b")])
    assert results.rows("one") == []
    put([one], [evaluation(one)])
    assert len(results.rows("one")) == 1


def test_a_trial_is_a_row_per_seed_and_an_unfinished_one_none():
    trials = [
        trial("sweep", "a", 1, 0.9),
        training("sweep", 1, "b", status="infeasible"),
        trial("sweep", "a", 2, 0.8),
        training("sweep", 3, "a", status="diverged"),
    ]
    put(trials, timing={"a_seed-1": clock(trials[0]), "a_seed-2": clock(trials[1])})
    rows = results.rows("sweep/a")
    assert [(row["seed"], row["test"]["accuracy"]) for row in rows] == [(1, 0.9), (2, 0.8)]
    assert [bool(row["timing"]) for row in rows] == [True, False]
    assert results.values(rows, "seconds") == [8.0]
    assert [results.status(f"sweep/{name}") for name in "abc"] == ["finished", "infeasible", "not run"]


def test_a_damaged_file_is_one_line():
    one = training("one")
    put([one], [evaluation(one)])
    files.scores("one").write_text("{")
    with pytest.raises(InputError, match=r"scores\.json: unreadable"):
        results.rows("one")


def test_a_quantity_that_a_training_lacks_is_none():
    one = training("one")
    put([one], [evaluation(one)])
    (row,) = results.rows("one")
    assert results.value(row, "validation_accuracy") == 0.95
    assert results.value(row, "kernel_norm") == 3.0
    assert results.value(row, "weight_norm") == 12.0
    assert results.value(row, "penalty") == 0.5
    assert results.value(row, "seconds_per_epoch") is None


def test_mean_and_spread():
    assert results.mean_and_spread([0.5], "{:.1%}".format) == "50.0%"
    assert results.mean_and_spread([0.5, 0.5], "{:.1%}".format) == "50.0%"
    assert results.mean_and_spread([0.4, 0.6], "{:.1%}".format) == "50.0% ± 14.1"


@pytest.mark.parametrize(
    ("epochs", "configured", "patience", "planned", "shortened"),
    [(3, 3, {"patience": 7}, 40, True), (22, 40, {"patience": 7}, 40, False), (5, 5, None, 10, True)],
)
def test_cut_short_is_what_no_early_stopping_ended(epochs, configured, patience, planned, shortened):
    row = {"epochs": epochs, "configuration": {"epochs": configured, "early_stopping": patience}}
    assert results.shortened(row, planned) is shortened
    assert not results.shortened(row, epochs)


def test_the_plans_of_all_results_come_from_params_yaml():
    params = copy.deepcopy(PARAMS) | {"claims": {}, "run_sweeps": []}
    params["experiments"] = {"digits": params["experiments"]["digits"] | {"early_stopping": None}}
    params |= {"thresholds": {}, "feature_maps": {}}
    params["sweeps"] = {
        "short": {"experiment": "digits", "seeds": 2, "overrides": {"epochs": 3}, "grid": {"l2": [0.0, 0.1]}},
        "whole": {"experiment": "digits", "variants": {"same": {}, "other": {"l2": 0.1}}},
        "several": {"experiments": ["digits"], "overrides": {"epochs": 2}},
    }
    files.PARAMS.write_text(yaml.safe_dump(params))
    plans = {name: Plan(plan.planned, plan.stops_early) for name, plan in results.load_plans().items()}
    assert plans == {
        "digits": Plan(30, False),
        "short/l2-0.0": Plan(30, False),
        "short/l2-0.1": Plan(30, False),
        "whole/same": Plan(30, False),
        "whole/other": Plan(30, False),
        "several/digits": Plan(30, False),
    }


def test_a_result_is_found_once_it_has_run():
    plans = {"one": Plan(50, False)}
    assert results.find("one", plans) == results.Found([], planned=50)
    one = training("one", epochs=50)
    put([one], [evaluation(one)])
    found = results.find("one", plans)
    assert (found.shortened, found.values("epochs"), found.planned) == (False, [50], 50)
    assert (found.status, found.hardware()) == ("finished", ["a CPU (fp32)"])


def test_the_epochs_of_the_report_are_the_whole_unless_early_stopping_ends_a_training():
    one = training("one", epochs=5)
    put([one], [evaluation(one)])
    assert results.find("one", {"one": Plan(10, False)}).shortened
    assert not results.find("one", {"one": Plan(10, False)}, epochs=5).shortened
    assert results.find("one", {"one": Plan(40, True)}, epochs=5).shortened
