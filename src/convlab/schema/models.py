"""The `model` section: one class per family of networks (models/ builds them)."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from convlab.schema.section import Count, Counts, Fraction, Positive, Section, refused

Activation = Literal["relu", "silu", "gelu", "tanh"]
# One number for all convolutions of a block, or a list with one for each (`<…>`: explain.py leaves it out)
BlockEntry = Annotated[
    Annotated[Count, Tag("<number>")] | Annotated[Counts, Tag("<list>")],
    Discriminator(lambda entry: "<list>" if isinstance(entry, list) else "<number>"),
]
PerBlock = Annotated[list[BlockEntry], Field(min_length=1)]


class WhiteningSection(Section):
    """A first layer that whitens patches of `kernel` × `kernel` pixels; `eps` is added to their variances."""

    kernel: Annotated[int, Field(ge=1, le=5)]
    """The side of the patches, in pixels."""
    eps: Positive
    """Added to the variances before they are divided by."""


class Network(Section):
    """What every family has; both keys are optional.

    `input` states the channels, height and width that a network is made for; `whitening` puts a layer
    before it that is computed from the training images (models/whitening.py).
    """

    any_size: ClassVar[bool] = True  # False where a linear layer is made for one size of image

    input: list[Count] | None = None
    """Channels, height and width that the network is made for; checked against the data where it is given."""
    whitening: WhiteningSection | None = None
    """A first layer that is computed from the training images, not trained."""

    @property
    def layers(self) -> int:
        """About the number of convolutions and linear layers, by which too deep a network is refused."""
        raise NotImplementedError


class CNN(Network):
    """Blocks of convolutions and a pooling, then dense layers: the networks of R0 to R3 but ResNet-18.

    Lists have one entry per block. A kernel is for all convolutions of its block, a stride for the first of
    them (as we read R0); a list in their place names each convolution's. A pooling of 1 means none.
    """

    any_size: ClassVar[bool] = False

    name: Literal["cnn"]
    filters: Counts
    """Output channels of the convolutions, for each block; its length is the number of blocks."""
    convolutions: Count
    """Convolutions in each block."""
    kernels: PerBlock
    """The side of the kernels, for each block; a list in place of a number has one for each convolution."""
    strides: PerBlock
    """The stride of the first convolution of each block; a list in place of a number has one for each
    convolution."""
    pools: Counts
    """The side of the max-pooling that ends each block; 1 means none."""
    norm: Literal["none", "convolution", "block"]
    """Batch normalisation after each convolution, once at the end of each block, or none."""
    activation: Activation
    """After each convolution and each dense layer."""
    block_dropout: Annotated[list[Fraction], Field(min_length=1)]
    """The share of values that dropout zeroes at the end of each block."""
    dense: list[Count]
    """The widths of the linear layers before the last; `[]` means none."""
    dropout: Fraction
    """The share of values that dropout zeroes after each of these linear layers."""

    @model_validator(mode="after")
    def _one_per_block(self) -> "CNN":
        for key in ("kernels", "strides", "pools", "block_dropout"):
            found: list[Any] = getattr(self, key)
            if len(found) != len(self.filters):
                raise refused(key, found, f"{len(self.filters)} numbers, one per block as in filters")
            for entry in found:
                if isinstance(entry, list) and len(entry) != self.convolutions:
                    raise refused(
                        key,
                        found,
                        f"in place of {entry} a number, or a list of {self.convolutions}, "
                        "one per convolution of the block",
                    )
        return self

    @property
    def layers(self) -> int:
        """The number of convolutions and linear layers, without the last."""
        return len(self.filters) * self.convolutions + len(self.dense)

    def kernels_of(self, block: int) -> list[int]:
        """Return the kernel of each convolution in a block (counted from 0)."""
        entry = self.kernels[block]
        return entry if isinstance(entry, list) else [entry] * self.convolutions

    def strides_of(self, block: int) -> list[int]:
        """Return the stride of each convolution in a block (counted from 0)."""
        entry = self.strides[block]
        return entry if isinstance(entry, list) else [entry] + [1] * (self.convolutions - 1)


class ResNet(Network):
    """The residual network of He et al. (2016) in its form for 32×32 images (R2's ResNet-18)."""

    name: Literal["resnet"]
    widths: Counts
    """Channels of each stage; every stage but the first halves the map."""
    blocks: Counts
    """Residual blocks in each stage."""
    activation: Activation
    """After the stem, and twice in each block."""

    @model_validator(mode="after")
    def _one_per_stage(self) -> "ResNet":
        if len(self.blocks) != len(self.widths):
            raise refused("blocks", self.blocks, f"{len(self.widths)} numbers, one per stage as in widths")
        return self

    @property
    def layers(self) -> int:
        """The number of convolutions in the blocks, without those of shortcuts."""
        return 2 * sum(self.blocks)


class PreAct(Network):
    """R4's pre-activation residual network: a stem, then for each width a block of stride 2 and one of 1."""

    name: Literal["preact"]
    stem: Count
    """Channels of the first convolution."""
    widths: Counts
    """Channels of each stage of two blocks; every stage halves the map."""
    activation: Activation
    """Before each convolution of a block."""

    @property
    def layers(self) -> int:
        """The number of convolutions in the blocks, without those of shortcuts."""
        return 4 * len(self.widths)


class SpeedRun(Network):
    """The network of the CIFAR-10 speed runs (Jordan, 2024): patches whitened, then pairs of convolutions.

    `patches` is computed from the training images as `whitening` is, without padding; its biases are trained.
    """

    any_size: ClassVar[bool] = False

    name: Literal["speedrun"]
    patches: WhiteningSection
    """The first layer: its patches and what is added to their variances."""
    widths: Counts
    """Channels of each block of two convolutions, which halves the map."""
    activation: Activation
    """After the first layer, and twice in each block."""

    @property
    def layers(self) -> int:
        """The number of convolutions."""
        return 1 + 2 * len(self.widths)


Model = Annotated[CNN | ResNet | PreAct | SpeedRun, Field(discriminator="name")]
