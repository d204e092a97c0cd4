"""The `datasets` section: where your own images come from, and how they are converted (`convlab import`)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from convlab.schema.section import Float, Section, refused

Fit = Literal["pad", "crop", "stretch"]
Place = Annotated[str, Field(min_length=1)]  # an empty one would be the current folder
# Named as in torchvision; EMNIST comes in several splits
Published = Literal["CIFAR100", "SVHN", "KMNIST", "EMNIST-balanced", "EMNIST-letters", "EMNIST-digits"]


class DatasetEntry(Section):
    """Your own data set: a `folder` of images, an `npz` of arrays, or one of torchvision's.

    Its images become `size` × `size` pixels, grey or in colour. `fit` says how an image that is not square is
    fitted: padded with the colour of its border, cropped around its middle, or stretched. If the source has
    no test images of its own, a share `test` of each class is taken, chosen by `seed`.
    """

    folder: Place | None = None
    npz: Place | None = None
    torchvision: Published | None = None
    size: Annotated[int, Field(ge=4, le=512)]
    greyscale: bool = False
    fit: Fit = "pad"
    test: Annotated[Float, Field(gt=0, le=0.5)] = 0.2
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    flip_safe: bool = True  # whether a mirrored image is still one of its class

    @model_validator(mode="after")
    def _one_source(self) -> "DatasetEntry":
        given = [key for key in ("folder", "npz", "torchvision") if getattr(self, key) is not None]
        if len(given) != 1:
            raise refused(
                "", f"{' and '.join(given) or 'none'} of folder, npz, torchvision", "exactly one of them"
            )
        return self
