"""The page on the two engines: what it makes of measurements, and a measurement for real, in small."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.engines import gradients
from bench.engines.compare import SWEEP, difference_of_logits, layer_times
from bench.engines.page import PAGE, curves_figure, epochs_table, layers_table, reported
from convlab import files
from convlab.config import load_params
from convlab.models.build import build_model
from convlab.train.loader import place

EPOCHS = [
    {
        "engine": engine,
        "seconds": seconds,
        "images": 1000,
        "losses": [loss, loss / 2],
        "validation_accuracy": 0.5,
        "memory_mib": 900.0,
    }
    for engine, seconds, loss in [("torch", 2, 2.0), ("numpy", 3, 2.02), ("torch", 4, 2.0), ("numpy", 5, 2.0)]
]
RESULTS: dict[str, Any] = {
    "device_name": "A processor, 2 cores",
    "threads": 2,
    "torch": "2.11.0",
    "numpy": "2.4.0",
    "images": 1000,
    "epochs": EPOCHS,
    "logits": {"images": 10, "largest_difference": 1e-5, "largest_logit": 9.0, "same_class": 1.0},
}


def test_ratios_are_of_the_same_round_and_the_reports_stand_beside_them() -> None:
    table = epochs_table(RESULTS, {"torch": 254.01, "numpy": 1214.67})
    assert "medians (min–max) of 2 rounds" in table
    assert "| NumPy, by hand | 4.0 (3.0–5.0) | 267 (200–333) | 1.38 (1.25–1.50) | 1,214.67 | 4.8 |" in table
    assert "The losses of the first 2 steps differ by at most 1 %" in table
    assert "100 % of the classes are the same" in table


def test_the_reports_seconds_are_those_of_reports_yaml() -> None:
    assert reported() == {"torch": 254.01, "numpy": 1214.67}


def test_layers_are_added_up_by_kind() -> None:
    layers = [
        {"kind": kind, "torch": 1.0, "numpy": ours}
        for kind, ours in (("SiLU", 2.0), ("SiLU", 3.0), ("norm", 1.0))
    ]
    table = layers_table(layers)
    assert "| SiLU | 2 | 2.0 | 5.0 | 2.50 |" in table
    assert "| **all** | 3 | 3.0 | 6.0 | 2.00 |" in table


def test_both_curves_are_in_the_figure() -> None:
    curves = [
        {"trial": engine, "epoch": epoch, "train_accuracy": 0.5, "validation_accuracy": 0.6}
        for engine in ("torch", "numpy")
        for epoch in (1, 2)
    ]
    left, right = curves_figure(EPOCHS, curves).axes
    assert len(left.lines) == 2
    assert len(right.lines) == 4


def test_every_layer_of_the_network_is_timed_by_both_engines_and_the_logits_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.engines.compare.REPEATS", 1)
    experiment = load_params().sweeps[SWEEP].trials[0].experiment
    model = build_model(experiment, [1, 28, 28], 10)
    place(model, torch.device("cpu"))
    images = torch.rand(4, 1, 28, 28)
    layers = layer_times(model, images)
    # The stem; convolutions of 3×3 and of 1×1; as many normalisations and SiLUs as the former; the end
    assert len(layers) == 1 + 12 + 3 + 12 + 12 + 2
    assert all(row["torch"] > 0 and row["numpy"] > 0 for row in layers)
    found = difference_of_logits(model, images)
    assert found["largest_difference"] < 1e-4 * max(found["largest_logit"], 1)


def test_the_gradients_table_has_a_row_for_every_layer() -> None:
    rows = [
        {"layer": name, "input": shape, "differences": 1e-9, "autograd": 2e-7}
        for name, _, shape in gradients.CASES
    ]
    table = gradients.table(rows)
    assert len(table.splitlines()) == 2 + len(gradients.CASES)
    assert "| linear | 50 × 128 | 1e-09 | 2e-07 |" in table


def test_the_page_has_what_was_measured() -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = [files.read_json(path) for path in sorted(Path("bench/results").glob("*-engines.json"))]
    assert any(epochs_table(results, reported()) in page for results in found)
    assert any(layers_table(results["layers"]) in page for results in found)
    assert any(gradients.table(results["gradients"]) in page for results in found)
