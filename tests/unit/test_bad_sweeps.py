"""What a sweep may not say, and the one line of the resolve stage that refuses it."""

from pathlib import Path

import pytest
from params import GONE, Changes, refusal

from convlab.schema import CNN, Experiment

STRIDES, NAMED, LOOK = (f"sweeps/{name}" for name in ("strides", "named", "look"))
KEYS = "experiment, experiments, seeds, overrides, grid, variants"
MAPPING = "allowed: a mapping of keys to values"
NAMING = "allowed: letters, digits, `_`, `-`, `.` (it names files)"
ONE_KIND = "of grid, variants, experiments; allowed: exactly one of them"
EXPERIMENTS = "allowed: digits, cifar, fashion"
EXPERIMENT = f"allowed: {', '.join(Experiment.model_fields)}"

BAD: dict[str, tuple[Changes, str]] = {
    "sweep that is nothing": ({STRIDES: None}, f"sweeps.strides: found nothing; {MAPPING}"),
    "unknown key": (
        {f"{STRIDES}/gird": {}},
        f"sweeps.strides: unknown key `gird`; allowed: {KEYS}; did you mean `grid`?",
    ),
    "unknown experiment": (
        {f"{STRIDES}/experiment": "digit"},
        f"sweeps.strides.experiment: found 'digit' (str); {EXPERIMENTS}; did you mean `digits`?",
    ),
    "no experiment": (
        {f"{STRIDES}/experiment": GONE},
        "sweeps.strides.experiment: found nothing; allowed: the name of an experiment",
    ),
    "grid and variants": (
        {f"{STRIDES}/variants": {"a": {"lr": 0.1}}},
        f"sweeps.strides: found grid and variants {ONE_KIND}",
    ),
    "neither of the three": ({f"{STRIDES}/grid": GONE}, f"sweeps.strides: found none {ONE_KIND}"),
    # grid
    "grid over an unknown key": (
        {f"{STRIDES}/grid": {"model.stride": [[1, 1]]}},
        f"sweeps.strides.grid.model: unknown key `stride`; allowed: {', '.join(CNN.model_fields)}; "
        "did you mean `strides`?",
    ),
    "grid over a key of another family": (
        {f"{STRIDES}/grid": {"model.stem": [8]}},
        f"sweeps.strides.grid.model: unknown key `stem`; allowed: {', '.join(CNN.model_fields)}",
    ),
    "grid over a wrong value": (
        {f"{STRIDES}/grid": {"l2": [0.1, -1]}},
        "sweeps.strides.grid.l2: found -1 (int); allowed: greater than or equal to 0",
    ),
    "grid over a list too long": (
        {f"{STRIDES}/grid": {"model.strides": [[1, 1, 1]]}},
        "sweeps.strides.grid.model.strides: found [1, 1, 1]; allowed: 2 numbers, one per block as in filters",
    ),
    "grid over a convolution's list too long": (
        {f"{STRIDES}/grid": {"model.strides": [[[2, 2, 2], 1]]}},
        "sweeps.strides.grid.model.strides: found [[2, 2, 2], 1]; "
        "allowed: in place of [2, 2, 2] a number, or a list of 2, one per convolution of the block",
    ),
    "grid over a split too large": (
        {f"{STRIDES}/grid": {"split.validation": [10, 1437]}},
        "sweeps.strides.grid.split.validation: found 1437; "
        "allowed: fewer than the 1,437 training images of digits",
    ),
    "grid over a number": (
        {f"{STRIDES}/grid": {"l2": 3}},
        "sweeps.strides.grid.l2: found 3 (int); allowed: a list",
    ),
    "grid over no values": (
        {f"{STRIDES}/grid": {"l2": []}},
        "sweeps.strides.grid.l2: found [] (list); allowed: at least 1 in it",
    ),
    "grid over no keys": (
        {f"{STRIDES}/grid": {}},
        "sweeps.strides.grid: found {} (dict); allowed: at least 1 in it",
    ),
    "a grid value twice": (
        {f"{STRIDES}/grid": {"l2": [0.1, "1e-1"]}},
        "sweeps.strides.grid: two trials are called 'l2-0.1'; give each value once",
    ),
    "grid of too many points": (
        {f"{STRIDES}/grid": {key: [1 + n for n in range(20)] for key in ("lr", "epochs", "seed", "threads")}},
        "sweeps.strides: more than 2,000 trainings; vary fewer values or seeds",
    ),
    "too many seeds of too many points": (
        {f"{STRIDES}/seeds": 1000},
        "sweeps.strides: more than 2,000 trainings; vary fewer values or seeds",
    ),
    # variants
    "no variants": (
        {f"{NAMED}/variants": {}},
        "sweeps.named.variants: found {} (dict); allowed: at least 1 in it",
    ),
    "variant that is nothing": (
        {f"{NAMED}/variants": {"fast": None}},
        f"sweeps.named.variants.fast: found nothing; {MAPPING}",
    ),
    "variant with a bad name": (
        {f"{NAMED}/variants": {"a b": {}}},
        f"sweeps.named.variants.a b: found the name 'a b' (str); {NAMING}",
    ),
    "variant with a wrong value": (
        {f"{NAMED}/variants": {"fast": {"lr": 0}}},
        "sweeps.named.variants.fast.lr: found 0 (int); allowed: greater than 0",
    ),
    "variant of an unknown key": (
        {f"{NAMED}/variants": {"fast": {"lrr": 1}}},
        f"sweeps.named.variants.fast: unknown key `lrr`; {EXPERIMENT}; did you mean `lr`?",
    ),
    "variant with an augmentation twice": (
        {f"{NAMED}/variants": {"flipped": {"augment": [{"name": "flip"}, {"name": "flip"}]}}},
        "sweeps.named.variants.flipped.augment: found flip, flip; allowed: each kind once",
    ),
    "variant that makes grey grey": (
        {f"{NAMED}/variants": {"grey": {"preprocess.greyscale": True}}},
        "sweeps.named.variants.grey.preprocess.greyscale: found True; "
        "allowed: false: fashion_mnist is grey already",
    ),
    "variant of another input": (
        {f"{NAMED}/variants": {"wide": {"model.input": [3, 28, 28]}}},
        "sweeps.named.variants.wide.model.input: found [3, 28, 28]; allowed: [1, 28, 28], "
        "the channels, height and width of fashion_mnist's images as preprocess leaves them",
    ),
    # experiments
    "experiments and an experiment": (
        {f"{LOOK}/experiment": "digits"},
        "sweeps.look.experiment: found a name beside experiments; allowed: one of the two",
    ),
    "experiments and a grid": (
        {f"{LOOK}/grid": {"lr": [0.1]}},
        f"sweeps.look: found grid and experiments {ONE_KIND}",
    ),
    "no experiments": (
        {f"{LOOK}/experiments": []},
        "sweeps.look.experiments: found [] (list); allowed: at least 1 in it",
    ),
    "experiments that are a name": (
        {f"{LOOK}/experiments": "digits"},
        "sweeps.look.experiments: found 'digits' (str); allowed: a list",
    ),
    "an unknown one of the experiments": (
        {f"{LOOK}/experiments": ["digits", "cifr"]},
        f"sweeps.look.experiments: found 'cifr' (str); {EXPERIMENTS}; did you mean `cifar`?",
    ),
    "a sweep among the experiments": (
        {f"{LOOK}/experiments": ["strides"]},
        f"sweeps.look.experiments: found 'strides' (str); {EXPERIMENTS}",
    ),
    "an experiment twice": (
        {f"{LOOK}/experiments": ["digits", "digits"]},
        "sweeps.look.experiments: two trials are called 'digits'; give each value once",
    ),
    # overrides and seeds
    "an override of an unknown key": (
        {f"{LOOK}/overrides": {"epoch": 1}},
        f"sweeps.look.overrides: unknown key `epoch`; {EXPERIMENT}; did you mean `epochs`?",
    ),
    "an override of a wrong value": (
        {f"{STRIDES}/overrides": {"schedule.factor": 1}},
        "sweeps.strides.overrides.schedule.factor: found 1 (int); allowed: less than 1",
    ),
    "a key as a whole and in part": (
        {f"{STRIDES}/overrides": {"model": 3, "model.dropout": 0.1}},
        "sweeps.strides.overrides: `model.dropout` is set both as a whole and in part; keep one of them",
    ),
    "no seeds": (
        {f"{NAMED}/seeds": 0},
        "sweeps.named.seeds: found 0 (int); allowed: greater than or equal to 1",
    ),
    "too many seeds": (
        {f"{NAMED}/seeds": 1001},
        "sweeps.named.seeds: found 1001 (int); allowed: less than or equal to 1000",
    ),
    "seeds that are a list": (
        {f"{NAMED}/seeds": [1, 2]},
        "sweeps.named.seeds: found [1, 2] (list); allowed: a valid integer",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_line_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    changes, message = BAD[case]
    assert refusal(tmp_path, changes) == message
