"""What the tests of params.yaml share: a small file with every kind of section, and how it is refused."""

import copy
import io
import runpy
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from repository import ROOT

from convlab.config import STUDIES, load_params, read_params
from convlab.schema import Params

GONE = object()  # as a value: the key is taken away


def names_in(union: Any) -> str:
    """Return the names that a section may have, as a message lists them: somebody may have added one."""
    sections = get_args(get_args(union)[0])
    return ", ".join(name for one in sections for name in get_args(one.model_fields["name"].annotation))


OURS = """
seed: 7
lr: 0.001
batch_size: 128
epochs: 40
l2: 0.0
split: {method: last, validation: 5000}
schedule: {name: plateau, factor: 0.5, patience: 3}
early_stopping: {patience: 7}
augment: []
experiments:
  digits:
    dataset: digits
    model:
      name: cnn
      filters: [16, 32]
      convolutions: 2
      kernels: [3, 3]
      strides: [1, 1]
      pools: [2, 2]
      norm: convolution
      activation: relu
      block_dropout: [0.0, 0.0]
      dense: [64]
      dropout: 0.5
    split: {method: random, validation: 250}
    epochs: 30
  cifar:
    dataset: cifar10
    model: {name: resnet, input: [3, 32, 32], widths: [8, 16], blocks: [1, 1], activation: relu}
    augment: [{name: crop, padding: 4, border: zero}, {name: flip}, {name: cutmix, alpha: 1.0}]
  fashion:
    dataset: fashion_mnist
    model: {name: preact, stem: 8, widths: [8, 16], activation: silu}
    optimizer: {name: sgd, momentum: 0.9, nesterov: true, decoupled: false}
    schedule: {name: multistep, milestones: [16, 26], factor: 0.1}
sweeps:
  strides:
    experiment: digits
    overrides: {epochs: 10}
    grid:
      model.strides: [[1, 1], [2, 1]]
      l2: [0.0, 1.0e-4]
  named:
    experiment: fashion
    seeds: 2
    variants:
      plain: {}
      steady: {schedule: {name: constant}, lr: 0.01}
  look:
    experiments: [digits, fashion]
    overrides: {epochs: 2}
claims:
  strides_cost:
    report: R0
    says: stride 2 lowers accuracy
    metric: test_accuracy
    a: strides/strides-2-1_l2-0.0
    relation: below
    b: strides/strides-1-1_l2-0.0
thresholds:
  digits: {test_accuracy: 0.95}
run: [digits]
run_sweeps: [strides]
"""
REPOSITORYS = read_params(ROOT / "params.yaml")
DEFAULTS = {key: value for key, value in REPOSITORYS.items() if key not in STUDIES}
VALID: dict[str, Any] = DEFAULTS | yaml.safe_load(OURS)
Changes = dict[str, Any]
# A network of the digits that takes a fraction of a second
SMALL: Changes = {
    "experiments/digits/model": {
        "name": "cnn",
        "filters": [4],
        "convolutions": 1,
        "kernels": [3],
        "strides": [1],
        "pools": [2],
        "norm": "none",
        "activation": "relu",
        "block_dropout": [0.0],
        "dense": [],
        "dropout": 0.0,
    },
    "experiments/digits/epochs": 2,
    "iterations": True,
    "device": "cpu",
    "precision": "fp32",
    "threads": 1,
}


def changed(changes: Changes) -> dict[str, Any]:
    """VALID with `{"experiments/digits/lr": 0.1}` laid over it."""
    params = copy.deepcopy(VALID)
    for path, value in changes.items():
        *parents, key = path.split("/")
        section = params
        for parent in parents:
            section = section[parent]
        if value is GONE:
            del section[key]
        else:
            section[key] = value
    return params


def write(folder: Path, changes: Changes) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(changed(changes), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def load(folder: Path, changes: Changes) -> Params:
    return load_params(write(folder, changes))


def stage(folder: Path, script: str, *arguments: str) -> tuple[int, str]:
    """Run a script of stages/ in `folder`, in this process; return its exit status and its stderr."""
    errors = io.StringIO()
    with (
        chdir(folder),
        redirect_stdout(io.StringIO()),
        redirect_stderr(errors),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "argv", [f"stages/{script}.py", *arguments])
        with pytest.raises(SystemExit) as exit_:
            runpy.run_path(str(ROOT / f"stages/{script}.py"), run_name="__main__")
    return int(exit_.value.code or 0), errors.getvalue()


def resolve(folder: Path, changes: Changes) -> tuple[int, str]:
    """Run the resolve stage on VALID with changes."""
    write(folder, changes)
    return stage(folder, "resolve")


def run(folder: Path, name: str, changes: Changes, *scripts: str) -> None:
    """Run the stages of an experiment or a sweep up to `scripts`, on VALID and SMALL with changes."""
    assert resolve(folder, {**SMALL, "sweeps": {}, "claims": {}, **changes, "run_sweeps": []}) == (0, "")
    for script in ("download", "preprocess", *scripts):
        status, message = stage(folder, script, name)
        assert status == 0, message


def refusal(folder: Path, changes: Changes) -> str:
    """The one line with which the resolve stage refuses VALID with changes, and writes nothing."""
    status, message = resolve(folder, changes)
    assert status == 2, message
    assert message.endswith("\n")
    assert len(message.splitlines()) == 1
    assert [path.name for path in folder.iterdir()] == ["params.yaml"]
    start = "resolve: params.yaml: "
    assert message.startswith(start)
    return message.removeprefix(start).removesuffix("\n")
