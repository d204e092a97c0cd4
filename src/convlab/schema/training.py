"""The sections of a training recipe: augmentation, optimiser, averaging, schedule, early stopping."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from convlab.schema.section import Count, Float, Fraction, NonNegative, Positive, Section

Border = Literal["zero", "nearest", "reflect"]
Factor = Annotated[Float, Field(gt=0, lt=1)]
Betas = Annotated[list[Fraction], Field(min_length=2, max_length=2)]


class Affine(Section):
    """Rotate, shift, shear and zoom each image by its own random amounts, up to the ones given (R1).

    As in Keras, R1's framework: rotation and shear in degrees, shifts and zoom as fractions, the two
    directions by themselves.
    """

    name: Literal["affine"]
    rotation: Annotated[Float, Field(ge=0, le=180)]
    shift: Fraction
    shear: Annotated[Float, Field(ge=0, lt=90)]
    zoom: Fraction
    border: Border


class Flip(Section):
    """Mirror half of the images, left to right."""

    name: Literal["flip"]


class AlternatingFlip(Section):
    """Mirror half of the images in the first epoch, then each image in every other one (Jordan, 2024).

    So an image is seen both ways in any two epochs, which chance leaves out for half of the images.
    """

    name: Literal["alternating_flip"]


class Crop(Section):
    """Pad each image, then cut it out again at a random place: a shift of up to `padding` pixels."""

    name: Literal["crop"]
    padding: Count
    border: Border


class Mixup(Section):
    """Blend each image and its label with another one's (Zhang et al., 2018); λ ~ Beta(alpha, alpha)."""

    name: Literal["mixup"]
    alpha: Positive


class CutMix(Section):
    """Paste a rectangle of another image, and its share of the label (Yun et al., 2019)."""

    name: Literal["cutmix"]
    alpha: Positive


Augmentation = Annotated[Affine | Flip | AlternatingFlip | Crop | Mixup | CutMix, Field(discriminator="name")]


class Resize(Section):
    """Train on images of `size` × `size` pixels until a fraction `until` of the epochs is done."""

    until: Annotated[Float, Field(gt=0, le=1)]
    size: Annotated[int, Field(ge=4)]


class Adam(Section):
    """Adam (Kingma and Ba, 2015), or AdamW, whose weight decay is decoupled (Loshchilov and Hutter, 2019)."""

    name: Literal["adam", "adamw"]
    betas: Betas
    eps: Positive


def _nesterov_needs_momentum(section: "SGD | Muon | RestBySGD") -> "SGD | Muon | RestBySGD":
    if section.nesterov and not section.momentum:
        raise ValueError("momentum|0.0|more than 0, or nesterov: false")
    return section


class SGD(Section):
    """Stochastic gradient descent with momentum, in Nesterov's form or plain.

    Weight decay is a part of the gradient, or `decoupled` from it as in AdamW.
    """

    name: Literal["sgd"]
    momentum: Fraction
    nesterov: bool
    decoupled: bool

    _check = model_validator(mode="after")(_nesterov_needs_momentum)


class Rest(Section):
    """AdamW with a peak rate of its own."""

    lr: Positive
    betas: Betas
    eps: Positive


class RestBySGD(Section):
    """SGD for what Muon leaves: `lr` for biases, `lr_linear` for linear layers, of a batch's summed loss.

    Of weight decay, `weight_decay` is the share that each step takes off at these rates (before momentum).
    """

    lr: Positive
    lr_linear: Positive
    momentum: Fraction
    nesterov: bool

    _check = model_validator(mode="after")(_nesterov_needs_momentum)


class Muon(Section):
    """Muon (Jordan et al., 2024) for the kernels of convolutions, AdamW or SGD for everything else.

    `steps` of Newton–Schulz make an update orthogonal. With `normalise`, each kernel is scaled to the norm
    √(filters) before each step, in place of weight decay.
    """

    name: Literal["muon"]
    momentum: Fraction
    nesterov: bool
    adamw: Rest | None = None
    sgd: RestBySGD | None = None
    steps: Count = 5
    normalise: bool = False

    _check = model_validator(mode="after")(_nesterov_needs_momentum)

    @model_validator(mode="after")
    def _one_for_the_rest(self) -> "Muon":
        if (self.adamw is None) == (self.sgd is None):
            found = "neither" if self.adamw is None else "both"
            raise ValueError(f"|{found} of adamw, sgd|exactly one of them, for all but the kernels")
        return self


Optimizer = Annotated[Adam | SGD | Muon, Field(discriminator="name")]


class EMA(Section):
    """Keep the exponential moving average of the weights: after each step a share of 1 − `decay` is new."""

    name: Literal["ema"]
    decay: Fraction


class Lookahead(Section):
    """Every `every` steps go back to a share `alpha` of the way they led (Zhang et al., 2019)."""

    name: Literal["lookahead"]
    every: Count
    alpha: Annotated[Float, Field(gt=0, le=1)]


Average = Annotated[EMA | Lookahead, Field(discriminator="name")]


class Plateau(Section):
    """Multiply the learning rate by `factor` after `patience` epochs without a better validation loss."""

    name: Literal["plateau"]
    factor: Factor
    patience: Count


class Constant(Section):
    """The learning rate stays as it is."""

    name: Literal["constant"]


class Step(Section):
    """Multiply the learning rate by `factor` after every `every` epochs."""

    name: Literal["step"]
    every: Count
    factor: Factor


class MultiStep(Section):
    """Multiply the learning rate by `factor` when an epoch of `milestones` begins (counted from 1)."""

    name: Literal["multistep"]
    milestones: Annotated[list[Count], Field(min_length=1)]
    factor: Factor

    @model_validator(mode="after")
    def _in_order(self) -> "MultiStep":
        if sorted(set(self.milestones)) != self.milestones:
            raise ValueError(f"milestones|{self.milestones}|epochs in ascending order, each once")
        return self


class Cosine(Section):
    """Rise linearly for `warmup` epochs, then fall to zero along half a cosine."""

    name: Literal["cosine"]
    warmup: NonNegative


class OneCycle(Section):
    """Rise from a 25th to `lr` over the first `warmup` (a fraction) of the training, then fall to zero."""

    name: Literal["one_cycle"]
    warmup: Annotated[Float, Field(gt=0, lt=1)]


Schedule = Annotated[Plateau | Constant | Step | MultiStep | Cosine | OneCycle, Field(discriminator="name")]


class EarlyStopping(Section):
    """Stop after `patience` epochs without a better validation loss."""

    patience: Count
