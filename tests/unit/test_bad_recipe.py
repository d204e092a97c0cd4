"""What data, augmentation, optimiser and schedule may not be, and the one line that refuses each."""

from pathlib import Path
from typing import Any

import pytest
from params import Changes, names_in, refusal

from convlab.schema.training import Augmentation, Average, Optimizer, Schedule

DIGITS = "experiments/digits"
MISSING = "missing; add it here or among the defaults at the top"
MAPPING = "allowed: a mapping of keys to values"
SCHEDULES = f"allowed: {names_in(Schedule)}"


def affine(**changes: Any) -> Changes:
    amounts = {"rotation": 10, "shift": 0.1, "shear": 5, "zoom": 0.1, "border": "zero"}
    return {"augment": [{"name": "affine", **amounts, **changes}]}


def sgd(**content: Any) -> Changes:
    return {"optimizer": {"name": "sgd", **content}}


def muon(**content: Any) -> Changes:
    adamw = {"lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8}
    return {"optimizer": {"name": "muon", "momentum": 0.95, "nesterov": True, "adamw": adamw, **content}}


def resize(*stages: tuple[float, int]) -> Changes:
    return {"experiments/cifar/resize": [{"until": until, "size": size} for until, size in stages]}


def schedule(name: str, **content: Any) -> Changes:
    return {"schedule": {"name": name, **content}}


DATA = {
    "number for a section": ({"split": 3}, f"split: found 3 (int); {MAPPING}"),
    "nothing for a section": ({"split": None}, f"split: found nothing; {MAPPING}"),
    "unknown data set": (
        {f"{DIGITS}/dataset": "minst"},
        "experiments.digits.dataset: found 'minst' (str); allowed: digits, mnist, fashion_mnist, cifar10; "
        "did you mean `mnist`?",
    ),
    "unknown split": ({"split/method": "first"}, "split.method: found 'first' (str); allowed: last, random"),
    "unknown scaling": (
        {"preprocess/scaling": "zscore"},
        "preprocess.scaling: found 'zscore' (str); allowed: none, unit, zscore_channel, zscore_image; "
        "did you mean `zscore_image`?",
    ),
    "no validation images": (
        {f"{DIGITS}/split/validation": 0},
        "experiments.digits.split.validation: found 0 (int); allowed: greater than or equal to 1",
    ),
    "as many validation images as there are": (
        {f"{DIGITS}/split/validation": 1437},
        "experiments.digits.split.validation: found 1437; "
        "allowed: fewer than the 1,437 training images of digits",
    ),
    "more validation images by default than a data set has": (
        {"split/validation": 50000, "run": ["cifar"]},
        "experiments.cifar: split.validation: found 50000; "
        "allowed: fewer than the 50,000 training images of cifar10",
    ),
    "grey made grey": (
        {f"{DIGITS}/preprocess": {"greyscale": True}},
        "experiments.digits.preprocess.greyscale: found True; allowed: false: digits is grey already",
    ),
    "grey made grey by default": (
        {"preprocess/greyscale": True},
        "experiments.digits: preprocess.greyscale: found True; allowed: false: digits is grey already",
    ),
}
AUGMENT = {
    "augmentation that is nothing": ({"augment": None}, "augment: found nothing; allowed: a list"),
    "augmentation that is no list": (
        {"augment": {"name": "flip"}},
        "augment: found {'name': 'flip'} (dict); allowed: a list",
    ),
    "augmentation by its name alone": (
        {"augment": ["flip"]},
        f"augment.0: found 'flip' (str); {MAPPING}",
    ),
    "augmentation without a name": (
        {"augment": [{}]},
        "augment.0: found {} (dict); allowed: a mapping with a `name`",
    ),
    "unknown augmentation": (
        {"experiments/cifar/augment": [{"name": "flip"}, {"name": "cutmx"}]},
        "experiments.cifar.augment.1.name: found 'cutmx' (str); "
        f"allowed: {names_in(Augmentation)}; did you mean `cutmix`?",
    ),
    "an augmentation's unknown key": (
        {"augment": [{"name": "flip", "padding": 2}]},
        "augment.0: unknown key `padding`; allowed: name",
    ),
    "an augmentation's typo": (
        {"augment": [{"name": "crop", "paddng": 2, "border": "zero"}]},
        "augment.0: unknown key `paddng`; allowed: name, padding, border; did you mean `padding`? "
        "(and 1 more)",
    ),
    "an augmentation's missing key": ({"augment": [{"name": "cutmix"}]}, f"augment.0.alpha: {MISSING}"),
    "an augmentation twice": (
        {
            "experiments/cifar/augment": [
                {"name": "mixup", "alpha": 1},
                {"name": "flip"},
                {"name": "mixup", "alpha": 2},
            ]
        },
        "experiments.cifar.augment: found mixup, flip, mixup; allowed: each kind once",
    ),
    "an augmentation twice by default": (
        {"augment": [{"name": "flip"}, {"name": "flip"}]},
        "experiments.digits: augment: found flip, flip; allowed: each kind once",
    ),
    "more padding than there is to reflect": (
        {f"{DIGITS}/augment": [{"name": "flip"}, {"name": "crop", "padding": 8, "border": "reflect"}]},
        "experiments.digits.augment.1.padding: found 8; "
        "allowed: fewer than the 8 pixels of an image, to reflect them at its border",
    ),
    "no padding to cut from": (
        {"augment": [{"name": "crop", "padding": 0, "border": "zero"}]},
        "augment.0.padding: found 0 (int); allowed: greater than or equal to 1",
    ),
    "unknown border": (
        {"augment": [{"name": "crop", "padding": 2, "border": "white"}]},
        "augment.0.border: found 'white' (str); allowed: zero, nearest, reflect",
    ),
    "mixup of nothing": (
        {"augment": [{"name": "mixup", "alpha": 0}]},
        "augment.0.alpha: found 0 (int); allowed: greater than 0",
    ),
    "rotation": (
        affine(rotation=181),
        "augment.0.rotation: found 181 (int); allowed: less than or equal to 180",
    ),
    "shift": (affine(shift=1.0), "augment.0.shift: found 1.0 (float); allowed: less than 1"),
    "shear": (affine(shear=90), "augment.0.shear: found 90 (int); allowed: less than 90"),
    "zoom": (affine(zoom=-0.1), "augment.0.zoom: found -0.1 (float); allowed: greater than or equal to 0"),
    "affine's border": (
        affine(border="nearst"),
        "augment.0.border: found 'nearst' (str); allowed: zero, nearest, reflect; did you mean `nearest`?",
    ),
}
TRAINING = {
    "unknown initial weights": (
        {"init": "kears"},
        "init: found 'kears' (str); allowed: torch, keras; did you mean `keras`?",
    ),
    "unknown batch normalisation": (
        {"batch_norm": "tf"},
        "batch_norm: found 'tf' (str); allowed: torch, keras",
    ),
    "unknown loss to monitor": (
        {"monitor": "val_loss"},
        "monitor: found 'val_loss' (str); allowed: cross_entropy, penalised_loss; "
        "did you mean `penalised_loss`?",
    ),
    "l2 on what is no weight": (
        {"l2_on": "biases"},
        "l2_on: found 'biases' (str); allowed: kernels, kernels_and_biases",
    ),
    "unknown optimiser": (
        {"optimizer/name": "adm"},
        f"optimizer.name: found 'adm' (str); allowed: {names_in(Optimizer)}; did you mean `adam`?",
    ),
    "one beta": (
        {"optimizer/betas": [0.9]},
        "optimizer.betas: found [0.9] (list); allowed: at least 2 in it",
    ),
    "three betas": (
        {"optimizer/betas": [0.1, 0.2, 0.3]},
        "optimizer.betas: found [0.1, 0.2, 0.3] (list); allowed: at most 2 in it",
    ),
    "beta of 1": (
        {"optimizer/betas": [0.9, 1.0]},
        "optimizer.betas.1: found 1.0 (float); allowed: less than 1",
    ),
    "eps of 0": ({"optimizer/eps": 0}, "optimizer.eps: found 0 (int); allowed: greater than 0"),
    "sgd with adam's settings": (
        sgd(momentum=0.9, nesterov=True, decoupled=False, betas=[0.9, 0.99]),
        "optimizer: unknown key `betas`; allowed: name, momentum, nesterov, decoupled",
    ),
    "sgd without its settings": (sgd(), f"optimizer.momentum: {MISSING} (and 2 more)"),
    "momentum of 1": (
        sgd(momentum=1.0, nesterov=False, decoupled=False),
        "optimizer.momentum: found 1.0 (float); allowed: less than 1",
    ),
    "nesterov without momentum": (
        sgd(momentum=0.0, nesterov=True, decoupled=False),
        "experiments.digits: optimizer.momentum: found 0.0; allowed: more than 0, or nesterov: false",
    ),
    "unknown schedule": (
        {"schedule/name": "platau"},
        f"schedule.name: found 'platau' (str); {SCHEDULES}; did you mean `plateau`?",
    ),
    "unknown schedule in an experiment": (
        {f"{DIGITS}/schedule": {"name": "one-cycle"}},
        f"experiments.digits.schedule.name: found 'one-cycle' (str); {SCHEDULES}; did you mean `one_cycle`?",
    ),
    "name that is a list": ({"schedule/name": [1]}, f"schedule.name: found [1] (list); {SCHEDULES}"),
    "schedule without a name": (
        {"schedule": {}},
        "schedule: found {} (dict); allowed: a mapping with a `name`",
    ),
    "plateau's factor of 1": (
        {"schedule/factor": 1.0},
        "schedule.factor: found 1.0 (float); allowed: less than 1",
    ),
    "no steps": (
        schedule("step", every=0, factor=0.5),
        "schedule.every: found 0 (int); allowed: greater than or equal to 1",
    ),
    "a step's factor of 0": (
        schedule("step", every=1, factor=0.0),
        "schedule.factor: found 0.0 (float); allowed: greater than 0",
    ),
    "milestones backwards": (
        schedule("multistep", milestones=[5, 3], factor=0.5),
        "experiments.digits: schedule.milestones: found [5, 3]; "
        "allowed: epochs in ascending order, each once",
    ),
    "a milestone twice": (
        schedule("multistep", milestones=[5, 5], factor=0.5),
        "experiments.digits: schedule.milestones: found [5, 5]; "
        "allowed: epochs in ascending order, each once",
    ),
    "no milestones": (
        schedule("multistep", milestones=[], factor=0.5),
        "schedule.milestones: found [] (list); allowed: at least 1 in it",
    ),
    "warm-up as long as the training": (
        {f"{DIGITS}/schedule": {"name": "cosine", "warmup": 30}},
        "experiments.digits.schedule.warmup: found 30; allowed: fewer than the 30 epochs",
    ),
    "negative warm-up": (
        schedule("cosine", warmup=-1),
        "schedule.warmup: found -1 (int); allowed: greater than or equal to 0",
    ),
    "warm-up in epochs where a fraction is wanted": (
        schedule("one_cycle", warmup=2),
        "schedule.warmup: found 2 (int); allowed: less than 1",
    ),
    "one cycle without a rise": (
        schedule("one_cycle", warmup=0),
        "schedule.warmup: found 0 (int); allowed: greater than 0",
    ),
    "another schedule's setting": (
        schedule("constant", patience=3),
        "schedule: unknown key `patience`; allowed: name",
    ),
    "no patience": (
        {"early_stopping": {"patience": 0}},
        "early_stopping.patience: found 0 (int); allowed: greater than or equal to 1",
    ),
    "early stopping that is a number": ({"early_stopping": 3}, f"early_stopping: found 3 (int); {MAPPING}"),
}
RECIPES = {
    "both flips": (
        {"experiments/cifar/augment": [{"name": "flip"}, {"name": "alternating_flip"}]},
        "experiments.cifar.augment: found flip, alternating_flip; allowed: one of flip, alternating_flip",
    ),
    "a flip's setting of another library": (
        {"augment": [{"name": "alternating_flip", "p": 0.5}]},
        "augment.0: unknown key `p`; allowed: name",
    ),
    "decoupled decay that is a number": (
        sgd(momentum=0.9, nesterov=True, decoupled=0.1),
        "optimizer.decoupled: found 0.1 (float); allowed: a valid boolean",
    ),
    "muon without momentum in nesterov's form": (
        muon(momentum=0.0),
        "experiments.digits: optimizer.momentum: found 0.0; allowed: more than 0, or nesterov: false",
    ),
    "muon alone": (
        muon(adamw=None),
        "experiments.digits: optimizer: found neither of adamw, sgd; "
        "allowed: exactly one of them, for all but the kernels",
    ),
    "muon without the other rate": (
        muon(adamw={"betas": [0.9, 0.999], "eps": 1e-8}),
        f"optimizer.adamw.lr: {MISSING}",
    ),
    "muon's other rate of 0": (
        muon(adamw={"lr": 0, "betas": [0.9, 0.999], "eps": 1e-8}),
        "optimizer.adamw.lr: found 0 (int); allowed: greater than 0",
    ),
    "muon's typo": (
        muon(nestrov=True),
        "optimizer: unknown key `nestrov`; allowed: name, momentum, nesterov, adamw, sgd, steps, normalise; "
        "did you mean `nesterov`?",
    ),
    "an average by its name alone": ({"average": "ema"}, f"average: found 'ema' (str); {MAPPING}"),
    "unknown average": (
        {f"{DIGITS}/average": {"name": "swa"}},
        f"experiments.digits.average.name: found 'swa' (str); allowed: {names_in(Average)}",
    ),
    "an average of the first weights alone": (
        {"average": {"name": "ema", "decay": 1.0}},
        "average.decay: found 1.0 (float); allowed: less than 1",
    ),
    "an average without its decay": ({"average": {"name": "ema"}}, f"average.decay: {MISSING}"),
    "lookahead that stands still": (
        {"average": {"name": "lookahead", "every": 5, "alpha": 0}},
        "average.alpha: found 0 (int); allowed: greater than 0",
    ),
    "lookahead every 0 steps": (
        {"average": {"name": "lookahead", "every": 0, "alpha": 0.5}},
        "average.every: found 0 (int); allowed: greater than or equal to 1",
    ),
    "other sizes for a network of one size": (
        {f"{DIGITS}/resize": [{"until": 0.5, "size": 8}]},
        "experiments.digits.resize: found 8 until 0.5; allowed: nothing ([]) with a cnn, whose linear layer "
        "is made for one size of image",
    ),
    "images made larger": (
        resize((0.5, 32)),
        "experiments.cifar.resize.0.size: found 32; allowed: fewer than the 32 pixels of an image",
    ),
    "images made tiny": (
        resize((0.5, 3)),
        "experiments.cifar.resize.0.size: found 3 (int); allowed: greater than or equal to 4",
    ),
    "resizing until later than the end": (
        resize((1.5, 24)),
        "experiments.cifar.resize.0.until: found 1.5 (float); allowed: less than or equal to 1",
    ),
    "resizing in the wrong order": (
        resize((0.5, 16), (0.5, 24)),
        "experiments.cifar.resize.1.until: found 0.5; allowed: more than in the entry before it",
    ),
    "resizing without a size": (
        {"experiments/cifar/resize": [{"until": 0.5}]},
        f"experiments.cifar.resize.0.size: {MISSING}",
    ),
    "one resizing that is no list": (
        {"resize": {"until": 0.5, "size": 24}},
        "resize: found {'until': 0.5, 'size': 24} (dict); allowed: a list",
    ),
    "unknown test-time augmentation": (
        {"test_time_augmentation": "flips"},
        "test_time_augmentation: found 'flips' (str); allowed: none, flip, flip_shift; did you mean `flip`?",
    ),
    "test-time augmentation of nothing": (
        {"test_time_augmentation": None},
        "test_time_augmentation: found nothing; allowed: none, flip, flip_shift; did you mean `none`?",
    ),
}
BAD: dict[str, tuple[Changes, str]] = DATA | AUGMENT | TRAINING | RECIPES


def test_no_case_hides_another() -> None:
    assert len(BAD) == len(DATA) + len(AUGMENT) + len(TRAINING) + len(RECIPES)


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_line_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    changes, message = BAD[case]
    assert refusal(tmp_path, changes) == message
