"""The benchmark suite: what it computes from measurements, and each contender for real, in small."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT
from torch import nn

from bench.fidelity.keras_table import keras_table
from bench.fidelity.parity import require_learned
from bench.fidelity.parity_table import parity_table, time_to
from bench.speed.cases import (
    CONTENDERS,
    NETWORKS,
    WITH_ALL,
    contenders_of,
    experiment_of,
    random_data,
    versions,
)
from bench.speed.chart import ratio_chart
from bench.speed.one import STEPS, WARM_UP_STEPS, Clock, Enough, measure
from bench.speed.profile_table import REST, by_kind, profile_table
from bench.speed.roofline import training_flops
from bench.speed.speed_table import chart_rows, full_table, ratios, share_of_roofline, short_table, spread
from bench.speed.suite import resumed
from bench.speed.table import BENCH_README, KERAS
from convlab import files, markdown
from convlab.errors import InputError
from convlab.files import read_json
from convlab.models.build import build_model
from robustness.fault_table import fault_table
from robustness.faults import PAGE, RESULTS

# Images/s of each contender in each of three rounds; the machine is half as fast in the last
SPEEDS = {"plain": [100.0, 200.0, 50.0], "fp32": [150.0, 320.0, 75.0], "bf16": [300.0, 500.0, 150.0]}


def results(**changes: Any) -> dict[str, Any]:
    """What suite.py writes, with SPEEDS for R0's network."""
    rows = [
        {
            "round": number,
            "network": WITH_ALL,
            "way": contender,
            "images_per_second": speed,
            "start_up_seconds": 2.0,
            "peak_memory_mib": 1000.0,
        }
        for contender, speeds in SPEEDS.items()
        for number, speed in enumerate(speeds, start=1)
    ]
    return {
        "device": "cpu",
        "device_name": "a processor",
        "python": "3.11",
        "torch": "2.11",
        "lightning": None,
        "keras": None,
        "tensorflow": None,
        "absent": {"lightning": "not installed", "keras": "not installed"},
        "rounds": 3,
        "peaks": [{"fp32": 1e11, "bf16": 2e11}, {"fp32": 0.9e11, "bf16": 4e11}],
        "networks": {WITH_ALL: {"batch_size": 128, "training_flops": 2 * 10**8}},
        "measurements": rows,
        **changes,
    }


# ------------------------------------------------------------------------------------- what is computed of it


def test_a_ratio_is_of_one_round() -> None:
    assert ratios(results(), WITH_ALL, "fp32") == [1.5, 1.6, 1.5]
    assert ratios(results(), WITH_ALL, "plain") == [1, 1, 1]


def test_a_round_without_the_plain_loop_has_no_ratio() -> None:
    found = results()
    found["measurements"] = [
        row for row in found["measurements"] if (row["way"], row["round"]) != ("plain", 2)
    ]
    assert ratios(found, WITH_ALL, "bf16") == [3, 3]


def test_the_share_is_of_the_highest_peak_in_the_ways_precision() -> None:
    assert share_of_roofline(results(), WITH_ALL, "plain") == pytest.approx(100 * 2e8 / 1e11)
    assert share_of_roofline(results(), WITH_ALL, "bf16") == pytest.approx(300 * 2e8 / 4e11)


def test_a_spread_is_a_median_with_its_range() -> None:
    assert spread([3.0, 1.0, 2.0], "{:.0f}".format) == "2 (1–3)"
    assert spread([3.0], "{:.0f}".format) == "3"
    assert spread([], "{:.0f}".format) == "–"


def test_the_tables_have_a_row_for_each_way_measured_or_not() -> None:
    table = full_table(results())
    assert "| convlab, fp32 | 150 (75–320) | 1.50 (1.50–1.60) | 30% | 1,000 | 2.0 |" in table
    assert "| PyTorch Lightning | not installed | – | – | – | – |" in table
    assert "| convlab, fp32, freed memory returned | failed |" in table
    short = short_table(results())
    assert "| plain PyTorch loop, DataLoader | 100 (50–200) | 1 |" in short
    assert "returned" not in short
    assert "a processor; medians (min–max) of 3 rounds." in short


def test_the_figure_shows_every_measured_way_but_the_plain_loop() -> None:
    rows = chart_rows(results())
    assert rows == {NETWORKS[WITH_ALL]: {"convlab, fp32": [1.5, 1.6, 1.5], "convlab, bf16": [3, 2.5, 3]}}
    (axes,) = ratio_chart(rows, "on a processor; three rounds").axes
    assert [text.get_text() for text in axes.texts] == ["1.50 ×", "3.00 ×"]


def test_parity_is_claimed_of_nothing_that_has_not_learned() -> None:
    """As when three epochs were too few for Keras's running statistics: all ended at 10.60 %."""
    row = {"way": "bf16", "seed": 2, "accuracy": [0.1, 0.75]}
    require_learned([row], [0, 0, 1, 2])
    with pytest.raises(
        InputError, match=r"bf16, seed 2: found an accuracy of 75\.00%; allowed: above 75\.00%"
    ):
        require_learned([row], [0, 0, 0, 1])


def test_parity_is_paired_by_seed() -> None:
    accuracies = {"plain": [0.95, 0.97, 0.96], "fp32": [0.96, 0.98, 0.97], "bf16": [0.95, 0.985, 0.96]}
    trainings = [
        {"way": contender, "seed": seed, "accuracy": [0.5, accuracy], "seconds": [10.0, 20.0]}
        for contender, found in accuracies.items()
        for seed, accuracy in enumerate(found)
    ]
    about = {"device_name": "a processor", "torch": "2.11", "images": 100, "held_out": 50, "epochs": 2}
    table = parity_table({**about, "trainings": trainings})
    assert "| plain PyTorch loop, DataLoader | 3 | 96.00 ± 1.00 % | – | 20.0 (20.0–20.0) |" in table
    assert "| convlab, fp32 | 3 | 97.00 ± 1.00 % | +1.00 | 20.0 (20.0–20.0) |" in table
    assert "20.0 (20.0–20.0), 1 of 3 did not" in table
    assert time_to(0.99, trainings) == "not reached"
    assert "| convlab, bf16 | 3 | 96.50 ± 1.80 % | +0.50 [-1.65, +2.65] |" in table


def test_a_steps_seconds_are_gathered_without_losing_any() -> None:
    measured = {
        "operators": {
            "aten::convolution_backward": 0.06,
            "aten::mkldnn_convolution": 0.03,
            "aten::native_batch_norm": 0.01,
            "aten::native_batch_norm_backward": 0.02,
            "ProfilerStep*": 0.005,
        },
        "convolutions": {"forward_training": 0.3, "backward_data": 0.2, "backward_weights": 0.4},
    }
    found = by_kind(measured)
    assert list(found)[-1] == REST
    assert found == pytest.approx(
        {
            "convolution, gradients of the weights": 0.04,
            "convolution, forward": 0.03,
            "batch normalisation": 0.03,
            "convolution, gradients of the inputs": 0.02,
            REST: 0.005,
        }
    )
    assert by_kind({**measured, "convolutions": {}})["convolution, gradients"] == 0.06
    table = profile_table({"device_name": "x", "torch": "2", "steps": 1, "ways": {"fp32": measured}})
    assert "| the whole step | 125.0 | 100% |" in table


def test_the_table_of_faults_counts_rounds_hits_and_recoveries() -> None:
    rounds = [
        {"fault": "disk full", "hit": True, "recovered": True},
        {"fault": "disk full", "hit": True, "recovered": False},
        {"fault": "SIGKILL, all", "hit": False, "recovered": True},
        {"fault": "a folder read-only", "recovered": None},  # mounting is not possible there
    ]
    versions = {"device_name": "x", "python": "3", "torch": "2", "dvc": "3", "mlflow": "3"}
    table = fault_table({**versions, "rounds": rounds})
    assert "| disk full | 2 | 2 | 1 | 1 |" in table
    assert "| SIGKILL, all | 1 | 0 | 1 | 0 |" in table
    assert "| a folder read-only | not run |" in table
    assert "| all | 3 | 2 | 2 | 1 |" in table


def test_the_table_of_faults_in_the_readme_is_of_the_rounds_that_ran() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert markdown.insert(text, "faults", fault_table(read_json(RESULTS)), PAGE) == text


def test_the_table_of_keras_gives_reasons_for_what_differs() -> None:
    row = {"quantity": "a", "on": "b", "largest": 1.26e-3, "tolerance": 1e-4, "holds": False, "reason": "c"}
    same = {**row, "largest": 0.0, "tolerance": 0, "holds": True, "reason": ""}
    versions = {"device_name": "x", "python": "3", "torch": "2", "keras": "3", "tensorflow": "2"}
    table = keras_table({**versions, "started_at": "2026-01-02T03:04:05", "quantities": [row, same]})
    assert "| a | b | 1.3e-03 | 1e-04 | no: c |" in table
    assert "| a | b | 0 | 0 | yes |" in table
    assert "2026-01-02; 1 of 2 hold." in table


def test_the_table_of_keras_in_the_readme_is_of_what_was_compared() -> None:
    text, results = BENCH_README.read_text(encoding="utf-8"), read_json(KERAS)
    assert markdown.insert(text, "keras", keras_table(results), BENCH_README) == text
    assert all(row["reason"] for row in results["quantities"] if not row["holds"])


def test_training_costs_three_forward_passes_less_the_gradient_of_the_images() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    convolution, linear = 2 * 2 * 2 * 9, 8 * 3  # multiply-accumulates for an image of 4×4
    assert training_flops(model, [1, 4, 4]) == 2 * (2 * convolution + 3 * linear)


def test_training_r0s_network_takes_0_175_gflop_an_image() -> None:
    experiment = experiment_of(WITH_ALL)
    model = build_model(experiment, experiment.input_shape, 10)
    assert training_flops(model, experiment.input_shape) == pytest.approx(0.175e9, rel=0.02)


# ------------------------------------------------------------------------------------------ what is measured


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_a_clock_ends_the_training_after_the_warm_up_and_enough_steps() -> None:
    clock = Clock(seconds=0.0)
    for _ in range(WARM_UP_STEPS + STEPS - 1):
        clock.tick()
    with pytest.raises(Enough):
        clock.tick()
    assert len(clock.step_seconds()) == STEPS
    assert all(seconds >= 0 for seconds in clock.step_seconds())


@pytest.mark.parametrize("contender", CONTENDERS)
def test_every_contender_trains_and_is_measured(contender: str) -> None:
    if None in (versions()[package] for package in CONTENDERS[contender].packages):
        pytest.skip(f"{contender}: not installed")
    found = measure("digits", contender, seconds=0.0)
    assert found["steps"] == STEPS
    assert found["images_per_second"] == pytest.approx(64 / found["step_seconds"])
    assert found["start_up_seconds"] > 0
    assert found["peak_memory_mib"] > 50


@pytest.mark.parametrize("network", NETWORKS)
def test_random_images_are_as_many_and_as_large_as_the_data_sets(network: str) -> None:
    experiment = experiment_of(network)
    images, labels = random_data(experiment)
    assert list(images.shape[1:]) == experiment.input_shape
    assert len(images) == len(labels) >= 45_000
    assert images.max() == 255
    assert set(contenders_of(network)) <= set(CONTENDERS)


def test_a_suite_resumes_after_the_rounds_in_its_file_if_the_measurement_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    empty = {"torch": "2.11", "networks": {"a": 1}, "git_commit": "x", "rounds": 0, "measurements": []}
    assert resumed(empty, path) is empty
    files.write_json(path, {**empty, "rounds": 2, "measurements": [1, 2]})
    assert resumed(empty, path)["rounds"] == 2
    with pytest.raises(InputError, match="has another git_commit"):
        resumed({**empty, "git_commit": "y"}, path)
    with pytest.raises(InputError, match="has another networks; leave --resume out to begin again"):
        resumed({**empty, "networks": {"b": 1}}, path)


def command(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.campaign
def test_one_measurement_is_one_line_of_json() -> None:
    status, out, _ = command("bench/speed/one.py", "digits", "fp32", "--seconds", "0")
    assert status == 0
    assert json.loads(out)["images_per_second"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bench/speed/one.py", "digits", "fast"], "argument contender: invalid choice: 'fast'"),
        (
            ["bench/speed/one.py", "mnist_vg", "fp32"],
            "networks: found 'mnist_vg'; allowed: digits, mnist_vgg",
        ),
        (
            ["bench/speed/one.py", "digits", "fp32", "--seconds", "nan"],
            "--seconds: found 'nan'; allowed: seconds",
        ),
        (
            ["bench/speed/one.py", "mnist_best", "plain"],
            "augment: found affine; the plain loop here has crop and",
        ),
        (
            ["bench/speed/suite.py", "--rounds", "0"],
            "argument --rounds: found '0'; allowed: a whole number from 1",
        ),
        (["bench/speed/table.py", "bench/results/none.json"], "bench/results/none.json: not there"),
        (
            ["bench/fidelity/parity.py", "--images", "1.5"],
            "argument --images: found '1.5'; allowed: a whole number",
        ),
        (["bench/speed/step_profile.py", "--step", "-1"], "allowed: a whole number from 1"),
        (
            ["bench/speed/time_to_accuracy.py", "digits", "--target", "94"],
            "--target: found '94'; allowed: above 0",
        ),
        (
            ["bench/speed/time_to_accuracy.py", "digit", "--target", "0.9"],
            "found 'digit'; allowed: digits, mnist_",
        ),
        (
            ["bench/speed/roofline.py", "gpu"],
            "argument device: invalid choice: 'gpu' (choose from 'auto', 'cpu', 'cuda')",
        ),
        (
            ["bench/speed/time_to_accuracy.py", "digits", "--target", "0.9", "--beside", "none.py"],
            "--beside: found 'none.py'; allowed: the path of airbench94_muon.py or cifar10_speedrun.py",
        ),
    ],
)
@pytest.mark.campaign  # a process each, most of which imports torch
def test_bad_input_is_one_line_and_exit_status_2(arguments: list[str], words: str) -> None:
    status, _, err = command(*arguments)
    assert status == 2
    assert len(err.splitlines()) == 1
    assert words in err
