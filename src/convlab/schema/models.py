"""The `model` section: one class per family of networks (models/ builds them)."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from convlab.schema.section import Count, Counts, Fraction, Positive, Section

Activation = Literal["relu", "silu", "gelu", "tanh"]
# One number for all convolutions of a block, or a list with one for each (`<…>`: explain.py leaves it out)
BlockEntry = Annotated[
    Annotated[Count, Tag("<number>")] | Annotated[Counts, Tag("<list>")],
    Discriminator(lambda entry: "<list>" if isinstance(entry, list) else "<number>"),
]
PerBlock = Annotated[list[BlockEntry], Field(min_length=1)]


class Whitening(Section):
    """A first layer that whitens patches of `kernel` × `kernel` pixels; `eps` is added to their variances."""

    kernel: Annotated[int, Field(ge=1, le=5)]
    eps: Positive


class Network(Section):
    """What every family has; both may be left out.

    `input` states the channels, height and width that a network is made for; `whitening` puts a layer
    before it that is computed from the training images (models/whitening.py).
    """

    input: list[Count] | None = None
    whitening: Whitening | None = None


class CNN(Network):
    """Blocks of convolutions and a pooling, then dense layers: the networks of R0 to R3 but ResNet-18.

    Lists have one entry per block. A kernel is for all convolutions of its block, a stride for the first of
    them (readings of R0); a list in their place names each convolution's. A pooling of 1 is none.
    """

    name: Literal["cnn"]
    filters: Counts
    convolutions: Count
    kernels: PerBlock
    strides: PerBlock
    pools: Counts
    norm: Literal["none", "convolution", "block"]
    activation: Activation
    block_dropout: Annotated[list[Fraction], Field(min_length=1)]
    dense: list[Count]
    dropout: Fraction

    @model_validator(mode="after")
    def _one_per_block(self) -> "CNN":
        for key in ("kernels", "strides", "pools", "block_dropout"):
            found: list[Any] = getattr(self, key)
            if len(found) != len(self.filters):
                raise ValueError(f"{key}|{found}|{len(self.filters)} numbers, one per block as in filters")
            for entry in found:
                if isinstance(entry, list) and len(entry) != self.convolutions:
                    raise ValueError(
                        f"{key}|{found}|in place of {entry} a number, or a list of {self.convolutions}, "
                        "one per convolution of the block"
                    )
        return self

    def kernels_of(self, block: int) -> list[int]:
        """Give the kernel of each convolution in a block (counted from 0)."""
        entry = self.kernels[block]
        return entry if isinstance(entry, list) else [entry] * self.convolutions

    def strides_of(self, block: int) -> list[int]:
        """Give the stride of each convolution in a block (counted from 0)."""
        entry = self.strides[block]
        return entry if isinstance(entry, list) else [entry] + [1] * (self.convolutions - 1)


class ResNet(Network):
    """The residual network of He et al. (2016) in its form for 32×32 images (R2's ResNet-18)."""

    name: Literal["resnet"]
    widths: Counts
    blocks: Counts
    activation: Activation

    @model_validator(mode="after")
    def _one_per_stage(self) -> "ResNet":
        if len(self.blocks) != len(self.widths):
            raise ValueError(f"blocks|{self.blocks}|{len(self.widths)} numbers, one per stage as in widths")
        return self


class PreAct(Network):
    """R4's pre-activation residual network: a stem, then for each width a block of stride 2 and one of 1."""

    name: Literal["preact"]
    stem: Count
    widths: Counts
    activation: Activation


class SpeedRun(Network):
    """The network of the CIFAR-10 speed runs (Jordan, 2024): patches whitened, then pairs of convolutions.

    `patches` is computed from the training images as `whitening` is, without padding, and its biases learn.
    """

    name: Literal["speedrun"]
    patches: Whitening
    widths: Counts
    activation: Activation


Model = Annotated[CNN | ResNet | PreAct | SpeedRun, Field(discriminator="name")]
