"""A sweep of params.yaml → its trials: the base, its overrides, and a point of the grid, merged."""

import copy
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from convlab.config.explain import Conflict, Layers, nearest, show, validate
from convlab.config.names import check_name
from convlab.errors import InputError
from convlab.schema import Experiment, SweepEntry, Trial, number

MOST_TRAININGS = 2000  # of one sweep: the product of a grid's lists grows fast


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a base with overrides merged into it, section by section.

    A section with another `name` (a model, an optimiser, a schedule) replaces that of the base as a whole:
    the settings of one kind have no meaning for another.
    """
    merged = copy.deepcopy(dict(base))
    for key, value in overrides.items():
        old = merged.get(key)
        merged[key] = copy.deepcopy(value)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            name = old.get("name")
            if value.get("name", name) == name:
                merged[key] = merge(old, value)
    return merged


def merged(place: str, layers: Layers) -> Experiment:
    """Merge layers, of which the first wins, into the experiment whose key in params.yaml is `place`."""
    content: dict[str, Any] = {}
    for _, layer in reversed(layers):
        content = merge(content, layer)
    try:
        return validate(Experiment, content, layers)
    except Conflict as conflict:
        if str(conflict).startswith(".".join(place.split(".")[:2])):  # its own key, so wrong in any case
            raise InputError(str(conflict)) from None
        if place.startswith("experiments.") and str(conflict).startswith("experiments."):  # a key of its base
            raise InputError(f"{place}: {conflict}") from None
        raise Conflict(f"{place}: {conflict}") from None  # a default conflicts with it


def expand(
    where: str, entry: SweepEntry, experiments: Mapping[str, Layers], defaults: Mapping[str, Any]
) -> list[Trial]:
    """Return the trials of a sweep, whose key is `where`, in order, one per seed.

    `experiments`: the layers of each, without the defaults.
    """
    trials: list[Trial] = []
    for name, place, base, written in _points(where, entry):
        if base not in experiments:
            key = "experiments" if entry.experiments else "experiment"
            raise InputError(f"{where}.{key}: found {show(base)}{nearest(base, experiments)}")
        check_name(name, place)
        if name in [trial.name for trial in trials]:
            raise InputError(f"{place}: two trials are called {name!r}; give each value once")
        overrides = {path: _plain(value) for path, value in written.items()}
        layers = [
            (f"{place}.", nest(overrides, place)),
            (f"{where}.overrides.", nest(entry.overrides, f"{where}.overrides")),
            *experiments[base],
            ("", defaults),
        ]
        if entry.seeds:
            layers.insert(0, (f"{where}.", {"seeds": entry.seeds}))
        trials += [
            Trial(name=name, overrides=overrides, experiment=experiment, base=base)
            for experiment in merged(place, layers).each_seed()
        ]
        if len(trials) > MOST_TRAININGS:
            raise InputError(f"{where}: more than {MOST_TRAININGS:,} trainings; vary fewer values or seeds")
    if len({trial.experiment.portable for trial in trials}) > 1:  # one process may run them all
        raise InputError(f"{where}: portable: found true and false; allowed: one of them for all trials")
    return trials


def _points(where: str, entry: SweepEntry) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield a sweep's points: name, place in params.yaml, experiment, overrides."""
    for name in entry.experiments or []:
        yield name, f"{where}.experiments", name, {}
    base = entry.experiment or ""
    for name, overrides in (entry.variants or {}).items():
        yield name, f"{where}.variants.{name}", base, overrides
    if grid := entry.grid:
        for values in itertools.product(*grid.values()):
            overrides = dict(zip(grid, values, strict=True))
            yield _point_name(overrides), f"{where}.grid", base, overrides


def _plain(value: Any) -> Any:
    """Return an override with `1e-05` read as a number, alone or in a list."""
    return [_plain(part) for part in value] if isinstance(value, list) else number(value)


def nest(dotted: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Turn `{"model.strides": [1, 2]}` into `{"model": {"strides": [1, 2]}}`."""
    nested: dict[str, Any] = {}
    for path, value in dotted.items():
        if any(path.startswith(f"{other}.") for other in dotted):
            raise InputError(f"{where}: `{path}` is set both as a whole and in part; keep one of them")
        *parents, last = path.split(".")
        level = nested
        for parent in parents:
            level = level.setdefault(parent, {})
        level[last] = value
    return nested


def _point_name(overrides: Mapping[str, Any]) -> str:
    """Return a grid point's name, from what it varies: `strides-1-1-2_kernels-5-3-3`, `l2-0.0001`."""

    def text(value: Any) -> str:
        return "-".join(map(text, value)) if isinstance(value, list) else str(number(value))

    return "_".join(f"{path.split('.')[-1]}-{text(value)}" for path, value in overrides.items())
