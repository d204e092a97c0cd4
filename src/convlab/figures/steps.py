"""What the drawing of a network shows: its layers grouped into steps. All lengths are in inches."""

from dataclasses import dataclass
from itertools import groupby
from math import ceil, log2

from torch import nn

from convlab.figures.style import PALETTE
from convlab.models.summary import LayerSummary, Summary

TALLEST = 1.15  # the height of the image
SLANT = 0.2  # how far a box goes back, as a share of its height
SUM = 0.085  # the radius of an addition's sign

# Kind of layer → its label in the legend, its colour, its thickness (a convolution's shows its channels)
KINDS: dict[type[nn.Module], tuple[str, str, float]] = {
    nn.Conv2d: ("convolution", PALETTE[0], 0),
    nn.BatchNorm2d: ("batch normalisation", PALETTE[4], 0.07),
    nn.MaxPool2d: ("pooling", PALETTE[1], 0.12),
    nn.AdaptiveAvgPool2d: ("pooling", PALETTE[1], 0.12),
    nn.Dropout: ("dropout", PALETTE[3], 0.07),
    nn.Linear: ("linear", PALETTE[5], 0.14),
}
ACTIVATION = ("activation", PALETTE[2], 0.07)
# The layers that begin a step; any other layer joins the step before it
STARTERS = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True)
class Slab:
    """A layer's output as a box; its height shows the size of the map, its thickness the channels."""

    kind: str
    colour: str
    height: float
    thickness: float

    @property
    def slant(self) -> float:
        """How far the back is to the right of the front, and above it."""
        return SLANT * self.height


@dataclass(frozen=True)
class DrawnStep:
    """What is drawn between two arrows. `after`: the slabs after the addition that a `shortcut` leads to."""

    label: list[str]
    slabs: list[Slab]
    after: list[Slab]
    shortcut: str | None

    @property
    def body(self) -> float:
        """The width of the slabs before the addition."""
        return _width(self.slabs)

    @property
    def over(self) -> float:
        """How far the slabs rise over the middle of their fronts."""
        return max(slab.height / 2 + slab.slant for slab in [*self.slabs, *self.after])

    @property
    def under(self) -> float:
        """How far they reach below it."""
        return max(slab.height / 2 for slab in [*self.slabs, *self.after])

    @property
    def width(self) -> float:
        """The width of everything but the label."""
        if self.shortcut is None:
            return self.body
        return self.body + 4 * SUM + (SUM + _width(self.after) if self.after else 0)


def _width(slabs: list[Slab]) -> float:
    """The width of slabs side by side, with the slant of the one that reaches furthest."""
    right, reached = 0.0, 0.0
    for slab in slabs:
        right += slab.thickness
        reached = max(reached, right + slab.slant)
    return reached


def steps_of(model: nn.Module, summary: Summary) -> list[DrawnStep]:
    """Group a network's layers into steps, the image first."""
    largest = max(summary.input_shape[1:])
    channels = summary.input_shape[0]
    image = Slab("image", "#A0A0A0", TALLEST, _thickness(channels))
    steps = [DrawnStep(["input", _shape(summary.input_shape)], [image], [], None)]
    groups: list[list[LayerSummary]] = []
    for top, found in groupby(summary.layers, key=lambda layer: layer.name.partition(".")[0]):
        module = model.get_submodule(top)
        if isinstance(module, STARTERS) or list(module.children()) or not groups:
            groups.append([])
        groups[-1] += found
    return steps + [_step(model, group, largest) for group in groups]


def _step(model: nn.Module, layers: list[LayerSummary], largest: int) -> DrawnStep:
    name, _, inside = layers[0].name.partition(".")
    if inside:
        return _residual(name, model.get_submodule(name), layers, largest)
    modules = [model.get_submodule(layer.name) for layer in layers]
    first, *others = (_word(module) for module in modules)
    shapes = dict.fromkeys(_shape(layer.output_shape) for layer in layers)
    label = [name, first, " · ".join(others), " → ".join(shapes)]
    return DrawnStep([line for line in label if line], _slabs(modules, layers, largest), [], None)


def _residual(name: str, block: nn.Module, layers: list[LayerSummary], largest: int) -> DrawnStep:
    found = {layer.name.split(".")[1]: layer for layer in layers}
    children = [child for child, _ in block.named_children()]
    place = children.index("shortcut")
    shown = []
    for part in (children[:place], children[place + 1 :]):
        modules = [block.get_submodule(child) for child in part]
        shown.append(_slabs(modules, [found[child] for child in part], largest))
    words = [_word(block.get_submodule(child)) for child in children if child != "shortcut"]
    half = ceil(len(words) / 2)
    label = [name, " · ".join(words[:half]), " · ".join(words[half:]), _shape(layers[-1].output_shape)]
    leaves = [module for module in block.get_submodule("shortcut").modules() if not list(module.children())]
    return DrawnStep(label, shown[0], shown[1], " · ".join(map(_word, leaves)))


def _slabs(modules: list[nn.Module], layers: list[LayerSummary], largest: int) -> list[Slab]:
    slabs = []
    for module, layer in zip(modules, layers, strict=True):
        if isinstance(module, nn.Flatten):
            continue
        own = [KINDS[kind] for kind in KINDS if isinstance(module, kind)]
        kind, colour, thickness = own[0] if own else ACTIVATION
        size = layer.output_shape[0]
        if len(layer.output_shape) == 1:
            height = 0.09 * log2(1 + size)
        else:  # a square root, or the last maps would be lines
            height = TALLEST * (max(layer.output_shape[1:]) / largest) ** 0.5
        slabs.append(Slab(kind, colour, height, thickness or _thickness(size)))
    return slabs


def _thickness(channels: int) -> float:
    return 0.05 + 0.05 * log2(channels)


def _word(module: nn.Module) -> str:
    """Return a layer's label: its kind and settings."""
    if isinstance(module, nn.Conv2d):
        stride = f", stride {module.stride[0]}" if module.stride[0] > 1 else ""
        return f"conv {module.kernel_size[0]}×{module.kernel_size[1]}{stride}"
    if isinstance(module, nn.MaxPool2d):
        return f"max pool {module.kernel_size}×{module.kernel_size}"
    if isinstance(module, nn.Linear):
        return f"linear {module.out_features}"
    if isinstance(module, nn.Dropout):
        return f"dropout {module.p:g}"
    words = {"BatchNorm2d": "BN", "AdaptiveAvgPool2d": "average pool"}
    words |= {"Flatten": "flatten", "Identity": "identity"}
    return words.get(type(module).__name__, type(module).__name__)


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(f"{size:,}" for size in shape)
