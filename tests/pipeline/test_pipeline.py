import csv
import json
import re
import sqlite3

import pytest

pytestmark = pytest.mark.pipeline


@pytest.fixture(autouse=True)
def as_committed(clone):
    """Leave nothing to the next test, however this one ends."""
    yield
    clone.run("git", "checkout", "-q", ".")


def read(clone, path):
    return json.loads((clone.folder / path).read_text())


def runs(clone):
    with sqlite3.connect(clone.folder / "mlflow.db") as database:
        return database.execute("select name, status from runs where lifecycle_stage = 'active'").fetchall()


def test_repro_writes_every_declared_result(clone):
    (evaluation,) = read(clone, "metrics/digits/scores.json")
    assert set(evaluation) >= {"of", "seed", "weights", "train", "validation", "test", "per_class"}
    assert len(evaluation["per_class"]) == 10
    assert list(read(clone, "metrics/digits/evaluate.json")) == ["test", "validation", "train"]
    (facts,) = read(clone, "metrics/digits/trainings.json")
    assert set(facts) >= {"configuration", "data", "code", "environment", "seal"}
    assert facts["epochs"] == 3
    assert facts["validation_loss"] == pytest.approx(evaluation["validation"]["loss"])
    with (clone.folder / "plots/digits/curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["status"] for row in read(clone, "metrics/digits_l2/trainings.json")] == ["finished"] * 6
    figures = {path.name for path in (clone.folder / "plots/digits/figures").iterdir()}
    assert {"curves.png", "confusion.png", "correct.png", "wrong.png", "histograms.png"} <= figures
    assert (clone.folder / "plots/digits_l2/figures/trials.png").is_file()
    timing = read(clone, "metrics/digits/timing.json")
    assert timing["fingerprint"] == facts["fingerprint"]
    assert len(timing["epoch_seconds"]) == 3


def test_git_holds_no_data_and_no_weights_but_the_champions(clone):
    tracked = clone.run("git", "ls-files", ":!champions").stdout
    assert ".safetensors" not in tracked
    assert "data/raw" not in tracked
    assert "data/configs" not in tracked


def test_second_repro_does_nothing(clone):
    done = clone.run("dvc", "repro")
    assert "Running stage" not in done.stdout
    assert "up to date" in done.stdout
    assert clone.run("convlab", "repro").stdout == "Data and pipelines are up to date.\n"
    assert clone.run("git", "status", "--porcelain").stdout == ""


def test_committed_results_belong_to_committed_code(clone):
    assert "up to date" in clone.run("dvc", "repro", "--allow-missing", "--dry").stdout


def test_a_rerun_gives_the_same_bytes(clone):
    clone.run("dvc", "repro", "--force", "--single-item", "train@digits")
    changed = clone.run("git", "status", "--porcelain").stdout.split()
    assert changed in ([], ["M", "metrics/digits/timing.json"])
    assert "reproduced to the last bit" in clone.run("convlab", "verify", "digits").stdout


@pytest.mark.campaign
def test_mlflow_mirrors_every_run_once(tracked):
    trials = [f"digits_l2/{name}" for name in ("l2-0.0", "l2-0.001")]
    seeds = [f"{trial} seed={seed}" for trial in trials for seed in range(20250318, 20250321)]
    expected = sorted((name, "FINISHED") for name in ("digits", "digits_l2", *trials, *seeds))
    for path in tracked.folder.glob("mlflow.db*"):
        path.unlink()
    tracked.run("python", "stages/evaluate.py", "digits")
    assert runs(tracked) == [("digits", "FINISHED")]
    tracked.run("convlab", "track")
    assert sorted(runs(tracked)) == expected


def test_the_best_network_is_promoted(tracked):
    assert tracked.run("convlab", "promote").stdout.startswith("digits: first champion: digits")


def test_experiment_with_another_learning_rate_reruns_what_it_reaches(clone):
    until_drawn = ("evaluate@digits", "sweep@digits_l2")  # the figures would be half of its time
    # So small that DVC writes it as 1e-05, which YAML 1.1 reads as a text
    done = clone.run("dvc", "exp", "run", "--name", "slow", "-S", "lr=0.00001", *until_drawn)
    assert "1e-05" in (clone.folder / "params.yaml").read_text()
    assert "Running stage 'train@digits'" in done.stdout
    assert "Running stage 'sweep@digits_l2'" in done.stdout
    assert "Running stage 'download'" not in done.stdout
    assert "lr: 1.0e-05" in (clone.folder / "data/configs/digits.yaml").read_text()
    assert "1e-05" in clone.run("dvc", "exp", "show", "--csv").stdout
    changed = clone.run("dvc", "metrics", "diff").stdout
    assert "test.accuracy" in changed
    assert "l2-0.001.test_accuracy" in changed
    assert "trainings.json" not in changed
    assert "lr" in clone.run("dvc", "params", "diff").stdout
    clone.run("dvc", "plots", "diff", "HEAD", "slow")
    page = (clone.folder / "dvc_plots/index.html").read_text()
    assert "vegaEmbed" in page
    assert 'src="http' not in page, "the page must open without a network"
    (clone.folder / "src/mlflow.py").unlink()
    clone.run("convlab", "track")
    assert ("digits lr=1e-05 [slow]", "FINISHED") in runs(clone)
    clone.run("git", "checkout", "-q", ".")
    clone.run("dvc", "checkout", "-q")
    clone.run("dvc", "exp", "apply", "slow")
    applied = clone.run("git", "diff", "--name-only").stdout.split()
    others = [path for path in applied if path.split("/")[1:2] not in (["digits"], ["digits_l2"])]
    assert sorted(others) == ["dvc.lock", "params.yaml"], "nothing of what the experiment did not train"
    assert "metrics/digits/evaluate.json" in applied
    clone.run("git", "checkout", "-q", ".")
    clone.run("dvc", "checkout", "-q")


def test_a_comment_on_a_threshold_reruns_no_training(clone):
    clone.edit(lambda params: params["thresholds"]["digits"].update(test_accuracy=0.61))
    done = clone.run("dvc", "repro")
    assert "Running stage 'resolve'" in done.stdout
    assert "Running stage 'train" not in done.stdout


def test_the_gate_holds_and_fails(clone):
    assert "ok    digits: test_accuracy" in clone.run("convlab", "check").stdout
    clone.edit(lambda params: params["thresholds"].update(digits={"test_accuracy": 1.0}))
    failed = clone.run("convlab", "check", status=1).stdout
    assert "FAIL  digits: test_accuracy is 0." in failed
    assert "threshold 1.0000" in failed


def test_a_number_edited_by_hand_is_no_result(tracked):
    """Not in what DVC shows, nor in what the readers read; nothing is mirrored."""
    file = tracked.folder / "metrics/digits/evaluate.json"
    file.write_text(re.sub(r'"accuracy": 0\.\d+', '"accuracy": 0.999', file.read_text()))
    assert "digits: test_accuracy is inconsistent: " in tracked.run("convlab", "check", status=1).stdout
    assert "is not mirrored" in tracked.run("convlab", "track", status=1).stdout
    assert "0.999" not in tracked.run("convlab", "results").stdout


def test_the_gate_fails_without_results(clone):
    (clone.folder / "metrics/digits/scores.json").unlink()
    (clone.folder / "metrics/digits/evaluate.json").unlink()
    assert "is missing: there is no" in clone.run("convlab", "check", status=1).stdout


def test_the_gate_sees_that_a_training_diverged(clone):
    clone.edit(lambda params: params.update(lr=1e30))
    done = clone.run("dvc", "repro", "evaluate@digits", status=None)
    assert "at lr 1e+30 the training loss is nan" in done.stdout
    assert (clone.folder / "metrics/digits/evaluate.json").exists()  # of the training before
    failed = clone.run("convlab", "check", "--against", "HEAD", status=1).stdout
    assert "FAIL  digits: test_accuracy belongs to no finished training" in failed
    clone.run("git", "checkout", "-q", ".")
    clone.run("dvc", "checkout", "-q")


def test_bad_parameters_stop_before_any_work(clone):
    clone.edit(lambda params: params.update(batch_size=0))
    done = clone.run("dvc", "repro", status=None)
    assert done.returncode != 0
    assert "params.yaml: batch_size: found 0 (int); allowed: greater than or equal to 1" in done.stdout
    assert "Running stage 'train" not in done.stdout


def test_a_name_is_never_a_part_of_a_shells_command(clone):
    clone.edit(lambda params: params.update(run=["digits", "x; touch ran", "$(touch ran)"]))
    done = clone.run("dvc", "repro", "--keep-going", status=None)
    assert done.returncode != 0
    assert "resolve: params.yaml: run: found" in done.stdout
    assert not (clone.folder / "ran").exists()
    assert "Running stage 'train" not in done.stdout


def test_results_are_shown(clone):
    shown = clone.run("convlab", "results").stdout
    assert "digits_l2" in shown
    assert "make ui" in shown


def test_an_unreachable_tracking_server_is_a_warning(tracked):
    command = ("python", "stages/evaluate.py", "digits")
    done = tracked.run(*command, PYTHONPATH="src", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert "mlflow: digits is not mirrored" in done.stdout
