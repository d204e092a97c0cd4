"""The base of every section of params.yaml: strict, frozen, with numbers as people write them."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

REFUSED = "refused"  # the type of an error of ours: settings that do not go together


def number(value: Any) -> Any:
    """Take `1e-05` for the float it is: `dvc exp run -S` writes it so, and YAML 1.1 reads it as a string."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def refused(key: str, found: Any, allowed: str) -> PydanticCustomError:
    """Return the error of a validator, its parts as fields; `key` is dotted, or "" for the section itself."""
    context = {"key": key, "found": str(found), "allowed": allowed}
    return PydanticCustomError(REFUSED, "found {found}; allowed: {allowed}", context)


Float = Annotated[float, BeforeValidator(number)]
Positive = Annotated[Float, Field(gt=0)]
NonNegative = Annotated[Float, Field(ge=0)]
Fraction = Annotated[Float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, lt=2**31)]  # beyond that, integers of PyTorch overflow
Counts = Annotated[list[Count], Field(min_length=1)]


class Section(BaseModel):
    """A part of params.yaml: unknown keys, loose types, infinities and NaN are errors.

    A validator of ours raises what `refused` makes; config/explain.py words it.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,  # the text below a key is its meaning in docs/configuration.md
    )
