"""`convlab list`: what a line says of an experiment, and of a sweep with one trial or several."""

import io

import pytest
from params import write
from result import evaluation, put, training, trial
from rich.console import Console

from convlab.config import load_params
from convlab.results import listing

HERE = {"environment": {"device_name": "a CPU"}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def told(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    console.print(listing.table(listing.listed(load_params(write(tmp_path, {})))))
    return {line.split()[0]: line for line in console.file.getvalue().splitlines()}


def test_an_experiment_has_mean_and_spread_over_its_seeds(tmp_path):
    both = [training("digits", seed, **HERE) for seed in (1, 2)]
    put(both, [evaluation(both[0], 0.9), evaluation(both[1], 0.92)])
    assert "91.00% ± 1.41" in told(tmp_path)["digits"]


def test_several_trials_are_a_range_and_a_single_one_is_a_number(tmp_path):
    put([trial("named", "a", 1, 0.7), trial("named", "b", 1, 0.8)])
    assert "70.00% to 80.00%" in told(tmp_path)["named"]
    put([trial("named", "a", 1, 0.7)])
    line = told(tmp_path)["named"]
    assert "70.00%" in line
    assert " to " not in line
