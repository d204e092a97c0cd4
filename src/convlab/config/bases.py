"""The `base` of an experiment: another one, whose keys it inherits unless it states them itself."""

from collections.abc import Mapping
from typing import Any

from convlab.config.explain import Layers, mapping, nearest, show
from convlab.errors import InputError


def lineage(name: str, written: Mapping[str, Any]) -> Layers:
    """Return the keys of an experiment, then those of its base, its base's base …, each with its prefix.

    `written`: the experiments as params.yaml has them, by name.

    Raises:
        InputError: a base is not an experiment, or the bases form a cycle.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = []
    names = [name]
    while True:
        content = mapping(written, names[-1], "experiments.")
        layers.append(
            (f"experiments.{names[-1]}.", {key: value for key, value in content.items() if key != "base"})
        )
        if "base" not in content:
            return layers
        base, place = content["base"], f"experiments.{names[-1]}.base"
        others = [other for other in written if other not in names]
        if not isinstance(base, str) or base not in written:
            raise InputError(f"{place}: found {show(base)}{nearest(base, others)}")
        if base in names:
            cycle = " → ".join([*names[names.index(base) :], base])
            raise InputError(f"{place}: found {base!r}, a cycle: {cycle}; allowed: {', '.join(others)}")
        names.append(base)
