"""What a model may not be, and the one line of the resolve stage that refuses it."""

from pathlib import Path

import pytest
from params import GONE, Changes, names_in, refusal

from convlab.schema import CNN
from convlab.schema.models import Model

DIGITS, CIFAR, FASHION = (f"experiments/{name}/model" for name in ("digits", "cifar", "fashion"))
MISSING = "missing; add it here or among the defaults at the top"
BLOCKS = "allowed: 2 numbers, one per block as in filters"


def in_place_of(entry: str) -> str:
    return f"allowed: in place of {entry} a number, or a list of 2, one per convolution of the block"


def shape(channels: int, size: int, dataset: str) -> str:
    return (
        f"allowed: [{channels}, {size}, {size}], "
        f"the channels, height and width of {dataset}'s images as preprocess leaves them"
    )


BAD: dict[str, tuple[Changes, str]] = {
    "unknown family": (
        {f"{DIGITS}/name": "resnt"},
        f"experiments.digits.model.name: found 'resnt' (str); allowed: {names_in(Model)}; "
        "did you mean `resnet`?",
    ),
    "the family of old": (
        {f"{DIGITS}/name": "vgg"},
        f"experiments.digits.model.name: found 'vgg' (str); allowed: {names_in(Model)}",
    ),
    # what no machine could train, refused without its memory
    **{
        f"too large: {key}": (
            {f"{DIGITS}/{key.split()[0]}": value},
            "experiments.digits.model: more than 1,073,741,824 parameters; "
            "use fewer filters or smaller kernels",
        )
        for key, value in {
            "filters": [10**5, 10**5],
            "filters beyond bytes": [2 * 10**9, 2 * 10**9],
            "kernels": [10**9, 3],
            "dense": [10**9],
        }.items()
    },
    "filters beyond PyTorch's integers": (
        {f"{DIGITS}/filters": [2**31, 1]},
        "experiments.digits.model.filters.0: found 2147483648 (int); allowed: less than 2147483648",
    ),
    "filters beyond all measure": (
        {f"{DIGITS}/filters": [10**400, 1]},
        f"experiments.digits.model.filters.0: found 1{'0' * 56}… (int); allowed: less than 2147483648",
    ),
    "too deep": (
        {f"{DIGITS}/convolutions": 10**9},
        "experiments.digits.model: more than 1,000 layers; use fewer",
    ),
    "a trial that is too large": (
        {"sweeps/strides/grid": {"model.filters": [[16, 32], [10**9, 32]]}, "claims": {}},
        "sweeps.strides: filters-1000000000-32.model: more than 1,073,741,824 parameters; "
        "use fewer filters or smaller kernels",
    ),
    "one family's settings under another's name": (
        {f"{DIGITS}/name": "resnet"},
        "experiments.digits.model: unknown key `filters`; "
        "allowed: input, whitening, name, widths, blocks, activation (and 10 more)",
    ),
    "unknown key of a cnn": (
        {f"{DIGITS}/kernel": [3, 3]},
        f"experiments.digits.model: unknown key `kernel`; allowed: {', '.join(CNN.model_fields)}; "
        "did you mean `kernels`?",
    ),
    "unknown key of a resnet": (
        {f"{CIFAR}/filters": [1]},
        "experiments.cifar.model: unknown key `filters`; "
        "allowed: input, whitening, name, widths, blocks, activation",
    ),
    "unknown key of a preact": (
        {f"{FASHION}/blocks": [1]},
        "experiments.fashion.model: unknown key `blocks`; "
        "allowed: input, whitening, name, stem, widths, activation",
    ),
    "missing filters": ({f"{DIGITS}/filters": GONE}, f"experiments.digits.model.filters: {MISSING}"),
    "no filters": (
        {f"{DIGITS}/filters": []},
        "experiments.digits.model.filters: found [] (list); allowed: at least 1 in it",
    ),
    "a kernel too few": (
        {f"{DIGITS}/kernels": [3]},
        f"experiments.digits.model.kernels: found [3]; {BLOCKS}",
    ),
    "a stride too many": (
        {f"{DIGITS}/strides": [1, 1, 2]},
        f"experiments.digits.model.strides: found [1, 1, 2]; {BLOCKS}",
    ),
    "a pooling too few": ({f"{DIGITS}/pools": [2]}, f"experiments.digits.model.pools: found [2]; {BLOCKS}"),
    "a dropout too few": (
        {f"{DIGITS}/block_dropout": [0.1]},
        f"experiments.digits.model.block_dropout: found [0.1]; {BLOCKS}",
    ),
    "a convolution's kernel too few": (
        {f"{DIGITS}/kernels": [[3, 3], [3]]},
        f"experiments.digits.model.kernels: found [[3, 3], [3]]; {in_place_of('[3]')}",
    ),
    "a convolution's stride too many": (
        {f"{DIGITS}/strides": [[2, 2, 1], 1]},
        f"experiments.digits.model.strides: found [[2, 2, 1], 1]; {in_place_of('[2, 2, 1]')}",
    ),
    "a stride of 0": (
        {f"{DIGITS}/strides": [1, 0]},
        "experiments.digits.model.strides.1: found 0 (int); allowed: greater than or equal to 1",
    ),
    "a convolution's stride of 0": (
        {f"{DIGITS}/strides": [[2, 0], 1]},
        "experiments.digits.model.strides.0.1: found 0 (int); allowed: greater than or equal to 1",
    ),
    "a block's empty list": (
        {f"{DIGITS}/strides": [[], 1]},
        "experiments.digits.model.strides.0: found [] (list); allowed: at least 1 in it",
    ),
    "one kernel for all": (
        {f"{DIGITS}/kernels": 3},
        "experiments.digits.model.kernels: found 3 (int); allowed: a list",
    ),
    "a kernel in quotes": (
        {f"{DIGITS}/kernels": ["3", 3]},
        "experiments.digits.model.kernels.0: found '3' (str); allowed: a valid integer",
    ),
    "no convolutions": (
        {f"{DIGITS}/convolutions": 0},
        "experiments.digits.model.convolutions: found 0 (int); allowed: greater than or equal to 1",
    ),
    "a pooling of 0": (
        {f"{DIGITS}/pools": [0, 2]},
        "experiments.digits.model.pools.0: found 0 (int); allowed: greater than or equal to 1",
    ),
    "a dense layer of nothing": (
        {f"{DIGITS}/dense": [0]},
        "experiments.digits.model.dense.0: found 0 (int); allowed: greater than or equal to 1",
    ),
    "dropout of all": (
        {f"{DIGITS}/dropout": 1.0},
        "experiments.digits.model.dropout: found 1.0 (float); allowed: less than 1",
    ),
    "a block's dropout of all": (
        {f"{DIGITS}/block_dropout": [0, 1]},
        "experiments.digits.model.block_dropout.1: found 1 (int); allowed: less than 1",
    ),
    "unknown normalisation": (
        {f"{DIGITS}/norm": "batch"},
        "experiments.digits.model.norm: found 'batch' (str); allowed: none, convolution, block",
    ),
    "unknown activation": (
        {f"{CIFAR}/activation": "rely"},
        "experiments.cifar.model.activation: found 'rely' (str); allowed: relu, silu, gelu, tanh; "
        "did you mean `relu`?",
    ),
    "a stage's number of blocks too few": (
        {f"{CIFAR}/blocks": [1]},
        "experiments.cifar.model.blocks: found [1]; allowed: 2 numbers, one per stage as in widths",
    ),
    "a stem of nothing": (
        {f"{FASHION}/stem": 0},
        "experiments.fashion.model.stem: found 0 (int); allowed: greater than or equal to 1",
    ),
    "a grey network on colour images": (
        {f"{CIFAR}/input": [1, 32, 32]},
        f"experiments.cifar.model.input: found [1, 32, 32]; {shape(3, 32, 'cifar10')}",
    ),
    "a colour network on images made grey": (
        {"experiments/cifar/preprocess": {"greyscale": True}},
        f"experiments.cifar.model.input: found [3, 32, 32]; {shape(1, 32, 'cifar10')}",
    ),
    "a network on flattened images": (
        {f"{FASHION}/input": [784]},
        f"experiments.fashion.model.input: found [784]; {shape(1, 28, 'fashion_mnist')}",
    ),
    "whitening of patches larger than it is made for": (
        {f"{CIFAR}/whitening": {"kernel": 6, "eps": 1e-4}},
        "experiments.cifar.model.whitening.kernel: found 6 (int); allowed: less than or equal to 5",
    ),
    "whitening that may divide by 0": (
        {f"{DIGITS}/whitening": {"kernel": 2, "eps": 0}},
        "experiments.digits.model.whitening.eps: found 0 (int); allowed: greater than 0",
    ),
    "whitening without its settings": (
        {f"{DIGITS}/whitening": {"kernel": 2}},
        f"experiments.digits.model.whitening.eps: {MISSING}",
    ),
    "whitening switched on": (
        {f"{FASHION}/whitening": True},
        "experiments.fashion.model.whitening: found True (bool); allowed: a mapping of keys to values",
    ),
    "whitening's typo": (
        {f"{FASHION}/whitening": {"kernels": 2, "eps": 1e-4}},
        "experiments.fashion.model.whitening: unknown key `kernels`; allowed: kernel, eps; "
        "did you mean `kernel`? (and 1 more)",
    ),
    "an input that is a number": (
        {f"{DIGITS}/input": 64},
        "experiments.digits.model.input: found 64 (int); allowed: a list",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_line_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    changes, message = BAD[case]
    assert refusal(tmp_path, changes) == message
