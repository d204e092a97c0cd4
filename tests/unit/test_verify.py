"""`convlab verify`: a result in the work tree against the committed one, in a real git repository."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT
from result import clock, evaluation, put, scores_of, training

from convlab import cli, files
from convlab.pipeline.made_from import TrainingRecord
from convlab.results.verify import verify


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "start")


def commit() -> None:
    git("add", "-A")
    git("commit", "-q", "-m", "results")


def experiment(accuracy: float, weights: str = "a", **more: Any) -> None:
    one = training("digits", weights=weights, **more)
    put([one], [evaluation(one, **scores_of(accuracy, 360))])


def trial(name: str, accuracy: float, **more: Any) -> TrainingRecord:
    return training("grid", 1, name, weights=f"{name} {accuracy}", **scores_of(accuracy, 360), **more)


def test_equal_weights_are_a_reproduction_to_the_last_bit_on_whatever_machine() -> None:
    experiment(347 / 360)
    commit()
    assert str(verify("digits")) == "digits: reproduced to the last bit: test 96.39%"
    experiment(347 / 360, environment={"device_name": "another CPU"})
    assert str(verify("digits")) == "digits: reproduced to the last bit: test 96.39%"


def test_what_was_not_computed_here_is_not_called_reproduced() -> None:
    one = training("digits", weights="a")
    scores = [evaluation(one, **scores_of(0.95, 360))]
    put([one], scores, timing={"started_at": "2026-11-26T22:53:47+00:00"})
    commit()
    assert str(verify("digits")) == (
        "digits: not compared: not computed since the commit: the files are the committed ones"
    )
    put([one], scores, timing={"started_at": "2026-11-27T10:00:00+00:00"})
    assert verify("digits").kind == "reproduced to the last bit"


def test_it_is_said_how_many_trainings_a_campaign_kept() -> None:
    rows = [trial("a", 0.9), trial("b", 0.8), training("grid", 1, "c", status="infeasible")]
    clocks: dict[str, Any] = {
        "a_seed-1": clock(rows[0], 3.0),
        "b_seed-1": clock(rows[1], 3.0),
        "c_seed-1": {},
    }
    put(rows, timing=clocks)
    commit()
    assert verify("grid").kind == "not compared"
    put(rows, timing=clocks | {"b_seed-1": clock(rows[1], 4.0)})
    kept = "1 of 2 trainings not computed since the commit"
    assert str(verify("grid")) == f"grid: reproduced to the last bit: test 80.00% to 90.00%; {kept}"


def test_other_weights_are_noise_as_far_as_the_test_images_cannot_tell_them_apart() -> None:
    experiment(347 / 360)
    commit()
    experiment(346 / 360, "b")
    text = "96.11% here, 96.39% committed, difference -0.28 [-3.2, +2.6]"
    assert str(verify("digits")) == f"digits: reproduced within noise: {text}"
    experiment(347 / 360, "b")
    assert verify("digits").kind == "reproduced within noise"
    experiment(300 / 360, "b")
    assert str(verify("digits")).startswith("digits: not reproduced: 83.33% here, 96.39% committed, ")
    experiment(360 / 360, "b")
    assert verify("digits").kind == "not reproduced"  # better is not the same either


def test_a_sweep_is_judged_by_its_farthest_trial() -> None:
    put([trial("a", 0.95), trial("b", 0.95), training("grid", 1, "c", status="infeasible")])
    commit()
    never = training("grid", 1, "c", status="infeasible")
    put([trial("a", 0.95), trial("b", 0.94), never])
    found = str(verify("grid"))
    assert found.startswith(
        "grid: reproduced within noise: 2 trials, at most b: 94.00% here, 95.00% committed"
    )
    put([trial("a", 0.95), trial("b", 0.5), never])
    assert verify("grid").kind == "not reproduced"
    put([trial("a", 0.95), training("grid", 1, "b", status="diverged"), never])
    assert str(verify("grid")) == "grid: not reproduced: b: diverged"


def test_a_sweep_that_is_reproduced_shows_the_range_of_its_trials() -> None:
    put([trial("a", 0.95), trial("b", 0.9), training("grid", 1, "c", status="infeasible")])
    commit()
    assert str(verify("grid")) == "grid: reproduced to the last bit: test 90.00% to 95.00%"


def test_of_many_trials_one_may_differ_by_more() -> None:
    names = [f"t{number}" for number in range(20)]
    put([trial(name, 0.95) for name in names])
    commit()
    put([trial(name, 0.91 if name == "t7" else 0.95) for name in names])
    assert verify("grid").kind == "reproduced within noise"


def test_a_trial_outside_its_interval_is_found_though_another_differs_by_more() -> None:
    def one(name: str, accuracy: float) -> TrainingRecord:
        return training("grid", 1, name, weights=f"{name} {accuracy}", **scores_of(accuracy, 10_000))

    put([one("x", 0.99), one("y", 1.0)])
    commit()
    put([one("x", 0.9866), one("y", 0.9993)])
    assert str(verify("grid")).startswith("grid: not reproduced: 2 trials, at most y: 99.93% here")


def test_another_seed_is_named() -> None:
    experiment(0.96)
    commit()
    one = training("digits", 2, weights="b")
    put([one], [evaluation(one, **scores_of(0.96, 360))])
    text = "settings differ from the committed result: digits, seed 2, which is not committed"
    assert str(verify("digits")) == f"digits: not compared: {text}"


def test_other_settings_are_no_reproduction_and_no_failure_of_one() -> None:
    experiment(0.96, configuration={"lr": 0.001, "epochs": 4})
    commit()
    experiment(0.5, "b", configuration={"lr": 0.01, "epochs": 4})
    text = "settings differ from the committed result: lr: 0.001 → 0.01"
    assert str(verify("digits")) == f"digits: not compared: {text}"


def test_what_has_no_committed_result_says_so() -> None:
    experiment(0.96)
    assert str(verify("digits")) == "digits: not compared: no committed result at HEAD"


def test_a_folder_without_git_says_so() -> None:
    experiment(0.96)
    shutil.rmtree(".git")
    text = "this folder is not a git repository, or has no commits"
    assert str(verify("digits")) == f"digits: not compared: {text}"


def test_a_missing_or_inconsistent_result_is_not_reproduced() -> None:
    experiment(0.96)
    commit()
    path = files.METRICS / "digits/train.json"
    path.write_text(path.read_text().replace("3.0", "4.0"))
    assert "train.json does not match trainings.json" in str(verify("digits"))
    assert verify("digits").kind == "not reproduced"
    shutil.rmtree(files.METRICS / "digits")
    assert str(verify("digits")) == "digits: not reproduced: no result in the work tree"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["convlab", "verify", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(str(ended.value.code))


def test_the_command_fails_where_a_result_is_not_reproduced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("params.yaml", "studies.yaml"):
        shutil.copy(ROOT / name, name)
    experiment(0.96)
    commit()
    assert run(monkeypatch, "digits") == 0
    experiment(0.5, "b")
    assert run(monkeypatch, "digits") == 1
    assert run(monkeypatch) == 1  # what params.yaml selects
    out = capsys.readouterr().out
    assert "digits: reproduced to the last bit: test 96.00%\ndigits: not reproduced: 50.00% here" in out
    assert run(monkeypatch, "digts") == 2
    said = capsys.readouterr().err
    assert "NAME: found 'digts'; allowed: " in said
    assert "did you mean `digits`?" in said
