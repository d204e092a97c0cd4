"""The time to a target accuracy: what is measured, and the table of it."""

from pathlib import Path

import pytest
from repository import ROOT

from bench.baselines.speedruns import last_seconds, with_views
from bench.speed import time_to_accuracy
from bench.speed.target_table import target_table
from bench.speed.time_to_accuracy import seconds_to
from convlab import files
from convlab.errors import InputError
from convlab.train.history import History


def test_without_the_data_set_nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(files, "RAW", tmp_path)
    out = tmp_path / "out.json"
    monkeypatch.setattr("sys.argv", ["x", "mnist_best", "--target", "0.9", "--out", str(out)])
    with pytest.raises(InputError, match="mnist: not there; `dvc repro download` fetches it"):
        time_to_accuracy.main()
    assert not out.exists()


def test_the_seconds_to_a_target_are_those_of_training_until_validation_reached_it() -> None:
    history = History(training_seconds=[1.0, 2.0, 4.0])
    history.records = [{"validation_accuracy": accuracy} for accuracy in (0.5, 0.9, 0.8)]
    assert seconds_to(0.9, history) == 3.0
    assert seconds_to(0.95, history) is None


def test_the_table_has_a_row_for_each_way_that_ran() -> None:
    ours = [
        {"test_accuracy": 0.94, "seconds": 3.0, "seconds_to_target": 2.0},
        {"test_accuracy": 0.95, "seconds": 5.0, "seconds_to_target": None},
    ]
    results = {"target": 0.94, "experiment": "fast", "epochs": 8, "ours": ours, "theirs": []}
    results |= {"device_name": "a GPU", "python": "3.12", "torch": "2.11", "precision": "bf16"}
    row = target_table(results).splitlines()[-1]
    assert row == (
        "| convlab, `fast`, 8 epochs | 2 | 94.50 ± 0.71 % | 4.0 (3.0–5.0) | 2.0 (2.0–2.0) in 1 of 2 |"
    )
    results |= {"beside": "airbench94_muon", "theirs": [{"test_accuracy": 0.94, "seconds": 3.0}]}
    assert target_table(results).splitlines()[-1] == "| airbench94_muon | 1 | 94.00 % | 3.0 (3.0–3.0) | – |"


@pytest.mark.parametrize("returned", [0.94, (0.93, 0.94, 2.5)])
def test_the_accuracy_of_a_script_is_the_one_with_views(returned: float | tuple[float, float, float]) -> None:
    assert with_views(returned) == 0.94


def test_a_scripts_seconds_are_the_last_column_of_its_last_row() -> None:
    printed = "|  0  |  1  |  0.6  |  1.2345  |\n|     |  eval  |  0.94  |  2.5900  |\n-----------\n"
    assert last_seconds(printed) == 2.59
