"""The table of step_profile.py's results: a step's operators, grouped by what they do. Pure."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from bench.speed.cases import CONTENDERS
from convlab import markdown

FORWARD, BACKWARD = "convolution, forward", "convolution, gradients"
IDLE = "the GPU idle"
REST = "loss, indexing, dropout, Python and the rest"
# What an operator's name begins with, after `aten::` → what it does
KINDS = {
    "mkldnn_convolution": FORWARD,
    "thnn_conv2d": FORWARD,
    "_slow_conv2d_forward": FORWARD,
    "cudnn_convolution": FORWARD,
    "convolution_backward": BACKWARD,
    "native_batch_norm": "batch normalisation",
    "cudnn_batch_norm": "batch normalisation",
    "clamp_min": "ReLU",
    "threshold_backward": "ReLU",
    "max_pool2d": "pooling",
    "addmm": "linear layers",
    "mm": "linear layers",
    "_fused_": "optimiser",
    "_foreach": "optimiser",
    "Optimizer": "optimiser",
    "copy_": "copies: bf16 and memory order",
    IDLE: IDLE,
}
# oneDNN's name of a direction → the row into which its share of the gradients goes
DIRECTIONS = {
    "backward_data": "convolution, gradients of the inputs",
    "backward_weights": "convolution, gradients of the weights",
}


def kind_of(operator: str) -> str:
    """Return what an operator of PyTorch does in a step."""
    name = operator.removeprefix("aten::")
    return next((kind for start, kind in KINDS.items() if name.startswith(start)), REST)


def by_kind(measured: dict[str, Any]) -> dict[str, float]:
    """Gather the seconds of a step's operators by what they do, the most expensive first, the rest last."""
    seconds: dict[str, float] = {}
    for operator, own in measured["operators"].items():
        seconds[kind_of(operator)] = seconds.get(kind_of(operator), 0.0) + own
    directions = {name: measured["convolutions"].get(name, 0.0) for name in DIRECTIONS}
    if whole := sum(directions.values()):
        both = seconds.pop(BACKWARD, 0.0)
        seconds |= {DIRECTIONS[name]: both * part / whole for name, part in directions.items()}
    return dict(sorted(seconds.items(), key=lambda item: (item[0] == REST, -item[1])))


def profile_table(results: dict[str, Any]) -> str:
    """Make the table: milliseconds and share of each kind of work, for each contender."""
    contenders = {contender: by_kind(measured) for contender, measured in results["ways"].items()}
    kinds = list(dict.fromkeys(kind for found in contenders.values() for kind in found))
    kinds = [kind for kind in kinds if kind != REST] + [REST]
    heads = [head for contender in contenders for head in (f"{CONTENDERS[contender].label}: ms", "share")]
    lines = [
        f"{results['device_name']}, PyTorch {results['torch']}; means of {results['steps']} steps.",
        "",
        markdown.row(["of a step", *heads]),
        "| --- |" + " ---: | ---: |" * len(contenders),
    ]
    for kind in kinds:
        lines.append(_row(kind, [(found.get(kind, 0.0), found) for found in contenders.values()]))
    whole = [(sum(found.values()), found) for found in contenders.values()]
    return "\n".join([*lines, _row("the whole step", whole), ""])


def _row(kind: str, measured: Iterable[tuple[float, dict[str, float]]]) -> str:
    """Return the row of a kind of work: for each contender its seconds, in a step of these kinds."""
    shown = [(f"{1000 * seconds:.1f}", f"{seconds / sum(of.values()):.0%}") for seconds, of in measured]
    return markdown.row([kind, *chain.from_iterable(shown)])
