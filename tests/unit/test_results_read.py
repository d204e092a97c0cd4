"""The reader of results: the same rows whichever file holds them."""

import copy
from pathlib import Path

import pytest
import yaml

from convlab import files, results
from convlab.config import read_params
from convlab.errors import InputError
from convlab.results import Plan

PARAMS = read_params(Path(__file__).parents[2] / "params.yaml")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def facts(seed, **more):
    numbers = {"epochs": 4, "parameters": 10, "report_flops": 20, "validation_loss": 0.2}
    numbers |= {"kernel_norm": 3.0, "weight_norm": 12.0, "penalty": 0.5}
    where = {"precision": "fp32", "device": "cpu", "fingerprint": f"print-{seed}"}
    return {"seed": seed, **numbers, **where, **more}


def scores(test=0.9):
    return {
        "train": {"loss": 0.1, "accuracy": 0.99, "images": 5},
        "validation": {"loss": 0.2, "accuracy": 0.95, "images": 5},
        "test": {"loss": 0.3, "accuracy": test, "images": 5},
    }


def timing(seed, seconds=8.0):
    return {"fingerprint": f"print-{seed}", "seconds": seconds, "device_name": "a CPU"}


def put(name, **contents):
    for file, content in contents.items():
        files.write_json(files.METRICS / name / f"{file}.json", content)


def test_what_has_not_run_has_no_rows():
    assert results.rows("one") == []
    assert results.rows("sweep/a") == []
    assert results.status("sweep/a") == "not run"


def test_an_experiment_of_one_seed_is_one_row():
    put("one", train=facts(1), evaluate=scores() | {"per_class": {}}, timing=timing(1))
    (row,) = results.rows("one")
    assert (row["seed"], row["epochs"], row["parameters"], row["report_flops"]) == (1, 4, 10, 20)
    assert row["test"] == {"loss": 0.3, "accuracy": 0.9, "images": 5}
    assert row["gap"] == pytest.approx(0.04)
    assert row["timing"]["seconds"] == 8.0


def test_an_experiment_of_several_seeds_is_a_row_each_with_its_own_scores_and_timing():
    put(
        "one",
        train=facts(1) | {"seeds": [facts(1), facts(2, epochs=6)]},
        evaluate=scores(0.9) | {"seeds": [{"seed": 1, **scores(0.9)}, {"seed": 2, **scores(0.8)}]},
        timing=timing(1) | {"seeds": [timing(1), timing(2, seconds=12.0)]},
    )
    rows = results.rows("one")
    assert [(row["seed"], row["epochs"], row["test"]["accuracy"]) for row in rows] == [
        (1, 4, 0.9),
        (2, 6, 0.8),
    ]
    assert results.values(rows, "seconds_per_epoch") == [2.0, 2.0]
    assert results.values(rows, "seconds") == [8.0, 12.0]


def test_a_train_json_without_a_seed_is_read():
    old = {key: value for key, value in facts(1).items() if key != "seed"}
    put("one", train=old, evaluate=scores())
    (row,) = results.rows("one")
    assert row["seed"] is None
    assert row["timing"] == {}


def test_a_seed_that_was_not_evaluated_is_not_finished():
    put("one", train=facts(1) | {"seeds": [facts(1), facts(2)]}, evaluate=scores())
    assert [row["seed"] for row in results.rows("one")] == [1]
    put("two", train=facts(1))
    assert results.rows("two") == []


def test_scores_of_an_earlier_training_are_not_this_ones():
    put("one", train=facts(1, validation_loss=0.25), evaluate=scores())
    assert results.rows("one") == []


def test_scores_of_other_weights_are_not_this_trainings_however_equal_the_losses():
    put("one", train=facts(1, weights="a"), evaluate=scores() | {"weights": "b"})
    assert results.rows("one") == []
    put("one", train=facts(1, weights="a"), evaluate=scores() | {"weights": "a"})
    assert len(results.rows("one")) == 1


def test_scores_of_the_same_weights_are_known_however_different_the_losses():
    put("one", train=facts(1, weights="a", validation_loss=0.25), evaluate=scores() | {"weights": "a"})
    assert len(results.rows("one")) == 1


def test_files_of_before_there_were_hashes_are_told_by_the_loss_of_one_view():
    found = scores() | {"weights": "a"}
    found["validation"]["one_view_loss"] = 0.25
    put("one", train=facts(1, validation_loss=0.25), evaluate=found)
    assert len(results.rows("one")) == 1
    put("one", train=facts(1, validation_loss=0.2), evaluate=found)
    assert results.rows("one") == []


def test_files_of_before_there_was_a_kernel_norm_have_it_as_their_weight_norm():
    old = {key: fact for key, fact in facts(1).items() if key not in ("kernel_norm", "penalty")}
    put("one", train=old, evaluate=scores())
    put("sweep", trials=[{"name": "a", "status": "finished", **old, **scores()}])
    for result in ("one", "sweep/a"):
        (row,) = results.rows(result)
        assert results.value(row, "kernel_norm") == 12.0
        assert results.value(row, "weight_norm") is None
        assert results.value(row, "penalty") is None


def test_a_trial_is_a_row_per_seed_and_an_unfinished_one_none():
    trials = [
        {"name": "a", "status": "finished", **facts(1), **scores(0.9)},
        {"name": "b", "status": "infeasible", "seed": 1},
        {"name": "a", "status": "finished", **facts(2), **scores(0.8)},
        {"name": "a", "status": "diverged", "seed": 3},
    ]
    put("sweep", trials=trials, timing={"a_seed-1": timing(1), "a_seed-2": timing(9)})
    rows = results.rows("sweep/a")
    assert [(row["seed"], row["test"]["accuracy"]) for row in rows] == [(1, 0.9), (2, 0.8)]
    assert [bool(row["timing"]) for row in rows] == [True, False]
    assert results.values(rows, "seconds") == [8.0]
    assert [results.status(f"sweep/{name}") for name in "abc"] == ["finished", "infeasible", "not run"]


def test_a_damaged_file_is_one_line():
    put("one", train=facts(1))
    (files.METRICS / "one" / "evaluate.json").write_text("{")
    with pytest.raises(InputError, match=r"evaluate\.json: unreadable"):
        results.rows("one")


def test_a_quantity_that_a_training_lacks_is_none():
    put("one", train=facts(1), evaluate=scores())
    (row,) = results.rows("one")
    assert results.value(row, "validation_accuracy") == 0.95
    assert results.value(row, "kernel_norm") == 3.0
    assert results.value(row, "weight_norm") == 12.0
    assert results.value(row, "penalty") == 0.5
    assert results.value(row, "goal") is None
    assert results.value(row, "seconds_per_epoch") is None


def test_mean_and_spread():
    assert results.mean_and_spread([0.5], "{:.1%}".format) == "50.0%"
    assert results.mean_and_spread([0.5, 0.5], "{:.1%}".format) == "50.0%"
    assert results.mean_and_spread([0.4, 0.6], "{:.1%}".format) == "50.0% ± 14.1"


def test_cut_short_is_what_no_early_stopping_ended():
    assert Plan(planned=40, configured=3, stops_early=True).shortened(3, 40)
    assert not Plan(planned=40, configured=40, stops_early=True).shortened(22, 40)
    assert not Plan(planned=10, configured=10, stops_early=False).shortened(10, 10)
    assert Plan(planned=10, configured=5, stops_early=False).shortened(5, 10)


def test_the_plans_of_all_results_come_from_params_yaml():
    params = copy.deepcopy(PARAMS) | {"claims": {}, "run_sweeps": []}
    params["experiments"] = {"digits": params["experiments"]["digits"] | {"early_stopping": None}}
    params["thresholds"] = {}
    params["sweeps"] = {
        "short": {"experiment": "digits", "seeds": 2, "overrides": {"epochs": 3}, "grid": {"l2": [0.0, 0.1]}},
        "whole": {"experiment": "digits", "variants": {"same": {}, "other": {"l2": 0.1}}},
        "several": {"experiments": ["digits"], "overrides": {"epochs": 2}},
    }
    files.PARAMS.write_text(yaml.safe_dump(params))
    assert results.load_plans() == {
        "digits": Plan(30, 30, False),
        "short/l2-0.0": Plan(30, 3, False),
        "short/l2-0.1": Plan(30, 3, False),
        "whole/same": Plan(30, 30, False),
        "whole/other": Plan(30, 30, False),
        "several/digits": Plan(30, 2, False),
    }


def test_a_result_is_found_once_it_has_run():
    plans = {"one": Plan(50, 50, False)}
    assert results.find("one", plans) == results.Found([], planned=50)
    put("one", train=facts(1, epochs=50), evaluate=scores())
    found = results.find("one", plans)
    assert (found.shortened, found.values("epochs"), found.planned) == (False, [50], 50)
    assert (found.status, found.hardware()) == ("finished", ["cpu (fp32)"])


def test_the_epochs_of_the_report_are_the_whole_unless_early_stopping_ends_a_training():
    put("one", train=facts(1, epochs=5), evaluate=scores())
    assert results.find("one", {"one": Plan(10, 5, False)}).shortened
    assert not results.find("one", {"one": Plan(10, 5, False)}, epochs=5).shortened
    assert results.find("one", {"one": Plan(40, 5, True)}, epochs=5).shortened
