"""The cost of our commands is linear in the number of experiments: counted, or timed as a ratio."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import result
import yaml
from params import ROOT

from convlab import results
from convlab.config import load_params
from convlab.networks import feasible


def params_of(folder: Path, count: int) -> Path:
    """Write a params.yaml that selects `count` experiments that differ only in their seeds."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    digits = raw["experiments"]["digits"]
    copies = {f"digits_{number}": {**digits, "seed": number} for number in range(count)}
    raw |= {"experiments": copies, "sweeps": {}, "claims": {}, "thresholds": {}}
    raw |= {"run": list(copies), "run_sweeps": []}
    path = folder / f"params_{count}.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def count_calls(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[Any]:
    """Note the first argument of each call of a function, which does what it did."""
    noted: list[Any] = []
    function: Callable[..., Any] = getattr(module, name)

    def noting(first: Any, *others: Any, **named: Any) -> Any:
        noted.append(first)
        return function(first, *others, **named)

    monkeypatch.setattr(module, name, noting)
    return noted


def test_one_network_is_built_once_however_many_experiments_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = load_params(params_of(tmp_path, 30))
    built = count_calls(monkeypatch, feasible, "build_model")
    feasible.check_selected(params)
    assert len(built) == 1


def test_a_sweeps_file_is_parsed_once_for_all_of_its_trials_and_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result.put([result.training("many", name=f"lr-{number}", status="diverged") for number in range(50)])
    parsed = count_calls(monkeypatch, results.read.files, "read_json")
    assert [results.status(f"many/lr-{number}") for number in range(50)] == ["diverged"] * 50
    assert len(parsed) == len(set(parsed)) > 0
    result.put([result.training("many", name="lr-0", status="infeasible")])
    assert [results.status(f"many/lr-{number}") for number in range(2)] == ["infeasible", "not run"]


def test_reading_params_costs_in_proportion_to_the_experiments(tmp_path: Path) -> None:
    few, many = params_of(tmp_path, 20), params_of(tmp_path, 160)

    def seconds(path: Path) -> float:
        took = []
        for _ in range(2):
            began = time.process_time()  # of this process alone, whatever else the machine does
            feasible.check_selected(load_params(path))
            took.append(time.process_time() - began)
        return min(took)

    assert seconds(many) < 2 * 8 * seconds(few)  # what is quadratic would take 64 times as long
