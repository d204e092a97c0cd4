"""What params.yaml may not say of an experiment, and the one line that refuses it."""

from pathlib import Path

import pytest
from params import GONE, VALID, Changes, refusal

from convlab.config import STUDIES
from convlab.schema import Experiment

DIGITS, MODEL = "experiments/digits", "experiments/digits/model"
KEYS = ", ".join(Experiment.model_fields)
MISSING = "missing; add it here or among the defaults at the top"
NAMES = "digits, cifar, fashion"
LIST = "allowed: a list such as `run: [digits]`"
COMMAND_LINE = f"{LIST} (on a command line: -S 'run=[NAME]')"
NAMING = "allowed: letters, digits, `_`, `-`, `.` (it names files)"

BAD: dict[str, tuple[Changes, str]] = {
    # keys
    "unknown key at the top": (
        {"epoch": 3},
        f"unknown key `epoch`; allowed: {KEYS}, {', '.join(STUDIES)}; did you mean `epochs`?",
    ),
    "unknown key that is a number": (
        {f"{DIGITS}/1": 2},
        f"experiments.digits: unknown key `1`; allowed: {KEYS}",
    ),
    "unknown key in an experiment": (
        {f"{DIGITS}/leraning_rate": 3},
        f"experiments.digits: unknown key `leraning_rate`; allowed: {KEYS}",
    ),
    "missing default": ({"seed": GONE}, f"experiments.digits.seed: {MISSING}"),
    "missing data set": ({f"{DIGITS}/dataset": GONE}, f"experiments.digits.dataset: {MISSING}"),
    "missing model": ({f"{DIGITS}/model": GONE}, f"experiments.digits.model: {MISSING}"),
    **{
        f"missing {key}": ({key: GONE}, f"experiments.digits.{key}: {MISSING}")
        for key in ("seeds", "labels", "augment", "weight_decay", "label_smoothing", "keep")
    },
    # numbers
    "word for a number": ({"lr": "fast"}, "lr: found 'fast' (str); allowed: a valid number"),
    "truth for a number": ({"lr": True}, "lr: found True (bool); allowed: a valid number"),
    "nothing for a number": ({"lr": None}, "lr: found nothing; allowed: a valid number"),
    "quotes around an integer": (
        {"batch_size": "5"},
        "batch_size: found '5' (str); allowed: a valid integer",
    ),
    "fraction for an integer": (
        {f"{DIGITS}/epochs": 1.5},
        "experiments.digits.epochs: found 1.5 (float); allowed: a valid integer",
    ),
    "truth for an integer": ({"seed": True}, "seed: found True (bool); allowed: a valid integer"),
    "seeds that are a fraction": ({"seeds": 2.0}, "seeds: found 2.0 (float); allowed: a valid integer"),
    "negative learning rate": ({"lr": -0.1}, "lr: found -0.1 (float); allowed: greater than 0"),
    "learning rate of 0": (
        {f"{DIGITS}/lr": 0},
        "experiments.digits.lr: found 0 (int); allowed: greater than 0",
    ),
    "negative l2": ({"l2": -1e-9}, "l2: found -1e-09 (float); allowed: greater than or equal to 0"),
    "negative weight decay": (
        {"weight_decay": -1},
        "weight_decay: found -1 (int); allowed: greater than or equal to 0",
    ),
    "label smoothing of all": (
        {"label_smoothing": 1.0},
        "label_smoothing: found 1.0 (float); allowed: less than 1",
    ),
    "negative label smoothing": (
        {"label_smoothing": "-1e-05"},
        "label_smoothing: found '-1e-05' (str); allowed: greater than or equal to 0",
    ),
    "no epochs": (
        {f"{DIGITS}/epochs": 0},
        "experiments.digits.epochs: found 0 (int); allowed: greater than or equal to 1",
    ),
    "batch of nothing": ({"batch_size": 0}, "batch_size: found 0 (int); allowed: greater than or equal to 1"),
    "batch beyond any": (
        {"batch_size": 10**20},
        f"batch_size: found {10**20} (int); allowed: less than {2**31}",
    ),
    "threads beyond any": (
        {"threads": 5000},
        "threads: found 5000 (int); allowed: less than or equal to 1024",
    ),
    "no threads": ({"threads": 0}, "threads: found 0 (int); allowed: greater than or equal to 1"),
    "no seeds": ({"seeds": 0}, "seeds: found 0 (int); allowed: greater than or equal to 1"),
    "too many seeds": ({"seeds": 1001}, "seeds: found 1001 (int); allowed: less than or equal to 1000"),
    "negative seed": ({"seed": -1}, "seed: found -1 (int); allowed: greater than or equal to 0"),
    "a seed whose thousandth successor is too large": (
        {"seed": 2**63 - 1000},
        f"seed: found {2**63 - 1000} (int); allowed: less than {2**63 - 1000}",
    ),
    "NaN": ({"lr": float("nan")}, "lr: found nan (float); allowed: a finite number"),
    "infinity": ({"l2": float("inf")}, "l2: found inf (float); allowed: a finite number"),
    "infinity in a string": ({"lr": "inf"}, "lr: found inf (float); allowed: a finite number"),
    "NaN in a string": ({"weight_decay": "nan"}, "weight_decay: found nan (float); allowed: a finite number"),
    "integer beyond any float": ({"lr": 10**400}, f"lr: found 1{'0' * 56}… (int); allowed: a valid number"),
    # words
    "word for a truth": (
        {"deterministic": "maybe"},
        "deterministic: found 'maybe' (str); allowed: a valid boolean",
    ),
    "unknown device": (
        {"device": "cuda:0"},
        "device: found 'cuda:0' (str); allowed: auto, cpu, cuda; did you mean `cuda`?",
    ),
    "unknown precision": (
        {"precision": "fp16"},
        "precision: found 'fp16' (str); allowed: auto, fp32, bf16; did you mean `bf16`?",
    ),
    "unknown labels": (
        {"labels": "onehot"},
        "labels: found 'onehot' (str); allowed: index, one_hot; did you mean `one_hot`?",
    ),
    "unknown epoch to keep": (
        {f"{DIGITS}/keep": "best"},
        "experiments.digits.keep: found 'best' (str); allowed: lowest_loss, highest_accuracy, last",
    ),
    "no epoch to keep": ({"keep": None}, "keep: found nothing; allowed: lowest_loss, highest_accuracy, last"),
    # experiments and their names
    "experiments that are a list": (
        {"experiments": ["digits"]},
        "experiments: found ['digits'] (list); allowed: a mapping of keys to values",
    ),
    "experiment that is nothing": (
        {DIGITS: None},
        "experiments.digits: found nothing; allowed: a mapping of keys to values",
    ),
    "experiment called datasets": (
        {"experiments/datasets": {}},
        "experiments: the name 'datasets' is taken by data/configs/datasets.yaml; choose another",
    ),
    "sweep called datasets": (
        {"sweeps/datasets": {}},
        "sweeps: the name 'datasets' is taken by data/configs/datasets.yaml; choose another",
    ),
    "sweep called as an experiment": (
        {"sweeps/digits": VALID["sweeps"]["strides"]},
        "sweeps.digits: an experiment has this name too; rename one of them",
    ),
    **{
        f"name {name!r}": (
            {"experiments": {**VALID["experiments"], name: {}}},
            f"experiments: found the name {name!r} ({type(name).__name__}); {NAMING}",
        )
        for name in ("a b", "../a", "a/b", ".a", "-a", "", "ä", "a\nb", 7)
    },
    "name of 101 letters": (
        {"experiments": {"x" * 101: {}}},
        f"experiments: found the name '{'x' * 56}… (str); {NAMING}",
    ),
    # run and run_sweeps
    "empty run": ({"run": []}, f"run: found an empty list; {LIST}, of {NAMES}"),
    "run that is a name": ({"run": "digits"}, f"run: found 'digits' (str); {COMMAND_LINE}"),
    "run that is nothing": ({"run": None}, f"run: found nothing; {COMMAND_LINE}"),
    "run that is not there": ({"run": GONE}, f"run: found nothing; {COMMAND_LINE}"),
    "run that is a mapping": ({"run": {"digits": 1}}, f"run: found {{'digits': 1}} (dict); {COMMAND_LINE}"),
    "run of a number": ({"run": [1]}, f"run: found [1] (list); {COMMAND_LINE}"),
    "run of an unknown name": (
        {"run": ["digit"]},
        f"run: found 'digit' (str); allowed: {NAMES}; did you mean `digits`?",
    ),
    "run of a sweep": ({"run": ["strides"]}, f"run: found 'strides' (str); allowed: {NAMES}"),
    "a name twice in run": ({"run": ["digits", "digits"]}, "run: 'digits' is listed twice; keep one of them"),
    "run_sweeps of an unknown name": (
        {"run_sweeps": ["stride"]},
        "run_sweeps: found 'stride' (str); allowed: strides, named, look; did you mean `strides`?",
    ),
    "run_sweeps that is nothing": (
        {"run_sweeps": None},
        "run_sweeps: found nothing; allowed: a list such as `run_sweeps: [strides]` "
        "(on a command line: -S 'run_sweeps=[NAME]')",
    ),
    # seen only when the network is built, which is done for what is selected
    "strides that leave nothing of the image": (
        {f"{MODEL}/strides": [4, 4]},
        "experiments.digits.model: block 2 has a 1×1 map left, too small for its 2×2 pooling; "
        "use smaller strides or poolings",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_line_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    changes, message = BAD[case]
    assert refusal(tmp_path, changes) == message


@pytest.mark.parametrize("experiments", [{}, GONE])
def test_without_experiments_nothing_can_be_run_or_swept(tmp_path: Path, experiments: object) -> None:
    alone = {"experiments": experiments, "sweeps": {}, "claims": {}}
    assert refusal(tmp_path, alone).startswith("run: found 'digits' (str)")


def test_a_sweep_needs_its_experiment(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"experiments/digits": GONE, "run": ["cifar"], "thresholds": {}})
    assert message.startswith("sweeps.strides.experiment: found 'digits' (str)")
