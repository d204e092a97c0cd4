"""The number of seeds in params.yaml and studies.yaml is set in place; all else stays as it is."""

from pathlib import Path

import pytest
from repository import ROOT

from bench.gpu.plan import read_plan
from convlab.config import load_params
from convlab.config.seed_counts import edited, seeds_of, set_seeds
from convlab.errors import InputError

PLAN = ROOT / "bench/gpu/plan.yaml"
NAMES = [entry.name for entry in read_plan(PLAN).entries]


def test_seeds_are_set_and_all_else_stays(tmp_path: Path) -> None:
    texts = {name: (ROOT / name).read_text() for name in ("params.yaml", "studies.yaml")}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    path = tmp_path / "params.yaml"
    before = load_params(path)
    set_seeds(path, {"mnist_cnn": 3, "mnist_vgg_l2": 2, "mnist_cnn_l2": 3})
    after = load_params(path)
    assert after.experiments["mnist_cnn"].seeds == 3
    assert seeds_of(after.sweeps["mnist_vgg_l2"]) == 2
    changed = {name for name in before.sweeps if before.sweeps[name] != after.sweeps[name]}
    assert changed == {"mnist_vgg_l2"}

    def others(content: str) -> list[str]:
        return [line for line in content.splitlines() if not line.startswith("    seeds: ")]

    for name, text in texts.items():
        assert others((tmp_path / name).read_text()) == others(text)


def test_a_number_of_seeds_is_replaced_where_it_stands() -> None:
    text = "sweeps:\n  a:\n    seeds: 3   # why\n    grid: {}\n  b:   # other\n    grid: {}\n"
    assert edited(text, "sweeps", "a", 2) == text.replace("3", "2")
    assert edited(text, "sweeps", "b", 2) == text.replace("other\n", "other\n    seeds: 2\n")
    with pytest.raises(InputError, match=r"sweeps\.c"):
        edited(text, "sweeps", "c", 2)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "  my_lr: {experiment: digits, grid: {lr: [0.1]}}",
            "  my_lr: {seeds: 3, experiment: digits, grid: {lr: [0.1]}}",
        ),
        ("  my_lr:   {experiment: a, seeds: 2}  # {why}", "  my_lr:   {experiment: a, seeds: 3}  # {why}"),
        ("  my_lr:  # {why}", "  my_lr:  # {why}\n    seeds: 3"),
    ],
)
def test_a_number_of_seeds_is_set_in_a_sweep_on_one_line(line: str, expected: str) -> None:
    text = "sweeps:\n{}\n  other: {{grid: {{}}}}\n"
    assert edited(text.format(line), "sweeps", "my_lr", 3) == text.format(expected)
