import pytest
from mirrored import put, put_sweep

from convlab import files
from convlab.results.folders import finished
from convlab.tracking import records, writer
from convlab.tracking.run import Run


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_is_read_back_from_its_files(recipe):
    (fingerprint,) = put(recipe)
    run = records.read_run("one")
    assert run.params["model.filters"] == "[8, 16]"
    assert run.metrics["test_accuracy"] == 0.9
    assert run.metrics["best_validation_loss"] == 0.25
    assert run.metrics["n"] == 1
    assert run.tags["fingerprint"] == fingerprint
    assert run.tags["state"] == "finished"
    assert run.tags["hardware"] == "a CPU (fp32)"
    assert run.origin.weights == files.weights("one", 1)
    assert run.children == []
    assert run.dataset == "digits"
    assert finished() == ["one"]


def test_a_sweep_shows_its_best_trial_by_validation_not_by_test(recipe):
    put_sweep(recipe)
    run = records.read_run("many")
    assert run.tags["best_trial"] == "b"
    assert run.metrics == {"best_validation_accuracy": 0.9, "test_accuracy": 0.7}
    assert run.params == {"trials": "3"}
    assert [child.tags["state"] for child in run.children] == ["finished", "finished", "infeasible"]
    assert [len(child.curves) for child in run.children] == [1, 1, 0]


def test_each_seed_of_a_trial_is_a_run_of_its_own_below_the_trial(recipe):
    put_sweep(recipe, seeds=2)
    run = records.read_run("many")
    assert [trial.name for trial in run.children] == ["many/a", "many/b", "many/c"]
    names = [f"many/{point} seed={seed}" for point in "abc" for seed in (1, 2)]
    assert [one.name for one in run.trainings()] == names
    assert len({one.fingerprint for one in run.trainings()}) == 6
    for one in run.trainings()[:4]:
        (row,) = one.curves
        assert one.name == f"many/{row['trial']} seed={row['seed']}"
        assert one.timing["seconds"] == row["seed"]
        assert one.params["seed"] == str(row["seed"])
    assert run.timing["seconds"] == 1 + 2 + 1 + 2


def test_several_seeds_have_mean_deviation_and_n_above_runs_of_their_own(recipe):
    fingerprints = put(recipe, seeds=3)
    run = records.read_run("one")
    assert [child.name for child in run.children] == ["one seed=1", "one seed=2", "one seed=3"]
    assert [child.fingerprint for child in run.children] == fingerprints
    assert [child.metrics["test_accuracy"] for child in run.children] == pytest.approx([0.9, 0.8, 0.7])
    assert run.metrics["test_accuracy"] == pytest.approx(0.8)
    assert run.metrics["test_accuracy_sd"] == pytest.approx(0.1)
    assert run.metrics["n"] == 3
    assert run.params["seeds"] == "3"
    assert [row["train_loss"] for row in run.curves] == [2.0, 1.0]  # of 1, 2 and 3, then of halves
    assert run.timing["seconds"] == 9.0
    for one in run.children:
        assert [row["seed"] for row in one.curves] == [int(one.params["seed"])] * 2
        assert one.timing["fingerprint"] == one.fingerprint
    assert [child.exported for child in run.children] == [True, False, False]


@pytest.mark.parametrize("seeds", [1, 2])
def test_scores_of_other_weights_are_left_out(recipe, seeds):
    put(recipe, of_these_weights=False, seeds=seeds)
    run = records.read_run("one")
    for one in (run, *run.trainings()):
        assert one.curves
        assert "test_accuracy" not in one.metrics
        assert one.tags["state"] == "not evaluated"


def test_a_timing_of_another_training_is_left_out(recipe):
    first, _ = put(recipe, seeds=2)
    timing = files.read_json(files.METRICS / "one/timing.json")
    timing["seeds"][1]["fingerprint"] = "another"
    files.write_json(files.METRICS / "one/timing.json", timing)
    run = records.read_run("one")
    assert run.children[0].timing["fingerprint"] == first
    assert "seconds" not in run.children[1].timing
    assert run.children[1].tags["device_name"] == "a CPU"  # which its record knows by itself


def test_a_point_of_a_curve_has_the_clock_of_the_run(recipe):
    put(recipe)
    points = {
        (key, step): (value, at) for key, value, at, step in writer.metric_points(records.read_run("one"))
    }
    start = points["train_loss", 1][1] - 1000
    assert points["train_loss", 2] == (0.5, start + 3000)
    assert points["timing/epoch_seconds", 2] == (2.0, start + 3000)
    assert points["test_accuracy", 0] == (0.9, start + 3000)
    assert "seed" not in {key for key, _ in points}


def test_the_digest_changes_with_what_is_mirrored():
    def run(**what):
        return Run(
            "a", "a", "a", "experiment", "f", **{"params": {"lr": "0.1"}, "metrics": {"x": 0.9}} | what
        )

    assert run().digest() == run().digest()
    assert run().digest() != run(metrics={"x": 0.8}).digest()
    assert run().digest() != run(description="what is known of it").digest()
    assert run().digest() == run(timing={"seconds": 1.0}).digest()


def test_the_data_are_known_by_split_and_by_how_they_were_prepared(recipe):
    put(recipe)
    put(recipe, "two", **{"split.validation": 200})
    one, two = (records.read_run(name).data for name in ("one", "two"))
    assert [data.split for data in one] == ["train", "validation", "test"]
    assert {data.name for data in one} == {"digits"}
    assert len({data.digest for data in [*one, *two]}) == 6
    assert all(len(data.digest) == 32 for data in one)
    assert "9b335364a7bfd63947c7480a5bd51f2d" in one[0].source  # the published file's MD5
