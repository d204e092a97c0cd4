"""The sections of a training recipe: augmentation, optimiser, averaging, schedule, early stopping."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from convlab.schema.section import Count, Float, Fraction, NonNegative, Positive, Section, refused

Border = Literal["zero", "nearest", "reflect"]
DecayFactor = Annotated[Float, Field(gt=0, lt=1)]
Betas = Annotated[list[Fraction], Field(min_length=2, max_length=2)]


class Affine(Section):
    """Rotate, shift, shear and zoom each image by its own random amounts, up to the ones given (R1).

    As in Keras, R1's framework: rotation and shear in degrees, shifts and zoom as fractions, independent in
    the two directions.
    """

    name: Literal["affine"]
    rotation: Annotated[Float, Field(ge=0, le=180)]
    """Degrees, to either side."""
    shift: Fraction
    """A fraction of the height and of the width."""
    shear: Annotated[Float, Field(ge=0, lt=90)]
    """Degrees, to either side."""
    zoom: Fraction
    """A fraction of 1, independent in each direction."""
    border: Border
    """What fills the pixels that come from outside of the image."""


class Flip(Section):
    """Mirror half of the images, left to right."""

    name: Literal["flip"]


class AlternatingFlip(Section):
    """Mirror half of the images in the first epoch, then each image in every other one (Jordan, 2024).

    So any two consecutive epochs show an image both ways, which random flips do for half of the images only.
    """

    name: Literal["alternating_flip"]


class Crop(Section):
    """Pad each image, then crop it to its size at a random position: a shift of up to `padding` pixels."""

    name: Literal["crop"]
    padding: Count
    """Pixels on each side."""
    border: Border
    """What the padding is filled with."""


class Mixup(Section):
    """Blend each image and its label with another one's (Zhang et al., 2018); λ ~ Beta(alpha, alpha)."""

    name: Literal["mixup"]
    alpha: Positive
    """The larger, the nearer to an even blend; 1 draws λ uniformly."""


class CutMix(Section):
    """Paste a rectangle of another image, and its share of the label (Yun et al., 2019)."""

    name: Literal["cutmix"]
    alpha: Positive
    """The rectangle's share of the image is 1 − λ, where λ ~ Beta(alpha, alpha)."""


Augmentation = Annotated[Affine | Flip | AlternatingFlip | Crop | Mixup | CutMix, Field(discriminator="name")]


class Resize(Section):
    """Train on images of `size` × `size` pixels until a fraction `until` of the epochs is done."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"until": 0.5, "size": 24}]})

    until: Annotated[Float, Field(gt=0, le=1)]
    """The fraction of the epochs; larger than in the entry before."""
    size: Annotated[int, Field(ge=4)]
    """Pixels; fewer than the images have."""


class Adam(Section):
    """Adam (Kingma and Ba, 2015), or AdamW, whose weight decay is decoupled (Loshchilov and Hutter, 2019)."""

    name: Literal["adam", "adamw"]
    """`adamw` decouples weight decay from the gradient."""
    betas: Betas
    """The decay of the averages of the gradient and of its square."""
    eps: Positive
    """Added to the denominator."""


def _nesterov_needs_momentum(section: "SGD | Muon | RestBySGD") -> "SGD | Muon | RestBySGD":
    if section.nesterov and not section.momentum:
        raise refused("momentum", "0.0", "more than 0, or nesterov: false")
    return section


class SGD(Section):
    """Stochastic gradient descent with momentum, in Nesterov's form or plain.

    Weight decay is a part of the gradient, or `decoupled` from it as in AdamW.
    """

    name: Literal["sgd"]
    momentum: Fraction
    """The momentum coefficient."""
    nesterov: bool
    """Look ahead along the velocity; needs momentum."""
    decoupled: bool
    """Apply weight decay to the weights instead of the gradient."""

    _check = model_validator(mode="after")(_nesterov_needs_momentum)


class Rest(Section):
    """AdamW with a peak rate of its own."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"lr": 0.001, "betas": [0.9, 0.999], "eps": 1.0e-8}]}
    )

    lr: Positive
    """The learning rate at its peak."""
    betas: Betas
    """As in Adam."""
    eps: Positive
    """As in Adam."""


class RestBySGD(Section):
    """SGD for what Muon leaves: `lr` for biases, `lr_linear` for linear layers, of a batch's summed loss.

    The experiment's `weight_decay` is the share of a weight that each step removes (before momentum).
    """

    lr: Positive
    """For biases and batch normalisation, at its peak."""
    lr_linear: Positive
    """For linear layers, at its peak."""
    momentum: Fraction
    """The momentum coefficient."""
    nesterov: bool
    """Look ahead along the velocity; needs momentum."""

    _check = model_validator(mode="after")(_nesterov_needs_momentum)


class Muon(Section):
    """Muon (Jordan et al., 2024) for the kernels of convolutions, AdamW or SGD for everything else.

    `steps` of Newton–Schulz make an update orthogonal. With `normalise`, each kernel is scaled to the norm
    √(filters) before each step, in place of weight decay.
    """

    name: Literal["muon"]
    momentum: Fraction
    """The momentum coefficient."""
    nesterov: bool
    """Look ahead along the velocity; needs momentum."""
    adamw: Rest | None = None
    """For all weights but the kernels of convolutions: AdamW."""
    sgd: RestBySGD | None = None
    """The same, by SGD; exactly one of the two."""
    steps: Count = 5
    """Newton–Schulz steps, which make an update orthogonal."""
    normalise: bool = False
    """Scale each kernel to the norm √(filters) before each step, in place of weight decay."""

    _check = model_validator(mode="after")(_nesterov_needs_momentum)

    @model_validator(mode="after")
    def _one_for_the_rest(self) -> "Muon":
        if (self.adamw is None) == (self.sgd is None):
            found = "neither" if self.adamw is None else "both"
            raise refused("", f"{found} of adamw, sgd", "exactly one of them, for all but the kernels")
        return self


Optimizer = Annotated[Adam | SGD | Muon, Field(discriminator="name")]


class EMA(Section):
    """Keep the exponential moving average of the weights: after each step a share of 1 − `decay` is new."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ema", "decay": 0.999}]})

    name: Literal["ema"]
    decay: Fraction
    """The share of the average that a step keeps."""


class Lookahead(Section):
    """Every `every` steps, move the slow weights by `alpha` towards the fast ones, and restart from there
    (Zhang et al., 2019)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "lookahead", "every": 5, "alpha": 0.5}]}
    )

    name: Literal["lookahead"]
    every: Count
    """Interval, in steps."""
    alpha: Annotated[Float, Field(gt=0, le=1)]
    """The step size of the slow weights: a fraction of their distance to the fast ones."""


Average = Annotated[EMA | Lookahead, Field(discriminator="name")]


class Plateau(Section):
    """Multiply the learning rate by `factor` after `patience` epochs without a better validation loss."""

    name: Literal["plateau"]
    factor: DecayFactor
    """What the rate is multiplied by."""
    patience: Count
    """Epochs without a better validation loss."""


class Constant(Section):
    """The learning rate stays as it is."""

    name: Literal["constant"]


class Step(Section):
    """Multiply the learning rate by `factor` after every `every` epochs."""

    name: Literal["step"]
    every: Count
    """Interval, in epochs."""
    factor: DecayFactor
    """What the rate is multiplied by."""


class MultiStep(Section):
    """Multiply the learning rate by `factor` when an epoch of `milestones` begins (counted from 1)."""

    name: Literal["multistep"]
    milestones: Annotated[list[Count], Field(min_length=1)]
    """Epochs, in ascending order."""
    factor: DecayFactor
    """What the rate is multiplied by."""

    @model_validator(mode="after")
    def _in_order(self) -> "MultiStep":
        if sorted(set(self.milestones)) != self.milestones:
            raise refused("milestones", self.milestones, "epochs in ascending order, each once")
        return self


class Cosine(Section):
    """Rise linearly for `warmup` epochs, then fall to zero along half a cosine."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "cosine", "warmup": 1.0}]})

    name: Literal["cosine"]
    warmup: NonNegative
    """Epochs; fewer than the training has."""


class OneCycle(Section):
    """Rise from `lr`/25 to `lr` over the first `warmup` (a fraction) of the training, then fall to zero."""

    name: Literal["one_cycle"]
    warmup: Annotated[Float, Field(gt=0, lt=1)]
    """The fraction of the training in which the rate rises."""


Schedule = Annotated[Plateau | Constant | Step | MultiStep | Cosine | OneCycle, Field(discriminator="name")]


class EarlyStopping(Section):
    """Stop after `patience` epochs without a better validation loss."""

    patience: Count
    """Epochs without a better validation loss."""
