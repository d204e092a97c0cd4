"""params.yaml and studies.yaml: defaults + overrides → one `Experiment`, or a `Sweep` of them.

Every error that can be seen in these files themselves is raised here, before any work, as one `InputError`
line that names the file, the key, what was found and what is allowed. But what nobody selected, and only does
not go with the defaults as they are now (`-S device=cuda`), is left out with a warning.
"""

import copy
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from convlab import files
from convlab.data.catalogue import PUBLISHED, imported
from convlab.doubts import doubts
from convlab.errors import InputError
from convlab.explain import Conflict, Layers, mapping, nearest, short, show, validate
from convlab.own.card import check_declared, unbalanced
from convlab.schema import DatasetEntry, Experiment, Params, Sweep, SweepEntry, Trial, number
from convlab.strict_yaml import read_yaml
from convlab.studies import read_claims, read_thresholds

# Every other key at the top is a default of all experiments.
STUDIES = ("datasets", "experiments", "sweeps", "claims", "thresholds", "run", "run_sweeps")
APART = (
    "sweeps",
    "claims",
    "thresholds",
)  # may stand in studies.yaml, where DVC takes them for no parameters
RESERVED = ("datasets",)  # data/configs/datasets.yaml is the list for the download stage
MOST_TRAININGS = 2000  # of one sweep: the product of a grid's lists grows fast


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml, and the studies.yaml beside it.

    Raises:
        InputError: with one line that says what is wrong and what to do.
    """
    raw, apart = read_params(path), _read_studies(path)
    try:
        return _resolve(raw)
    except InputError as error:
        section = re.match(r"\w*", str(error))
        file = _studies(path) if section and section.group() in apart else path
        raise InputError(f"{file}: {error}") from None


def read_params(path: Path) -> dict[str, Any]:
    """Read params.yaml and the studies.yaml beside it, if there is one, as one mapping, unchecked.

    Raises:
        InputError: one of them is no mapping, or a section stands in the wrong one, or in both.
    """
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: found {show(content)}; allowed: a mapping of keys to values")
    apart = _read_studies(path)
    for key in apart:
        if key in content:
            raise InputError(f"{_studies(path)}: `{key}` stands in {path} too; keep one of them")
    return {**content, **apart}


def _read_studies(path: Path) -> Mapping[str, Any]:
    file = _studies(path)
    content = read_yaml(file) if file.exists() else None
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise InputError(f"{file}: found {show(content)}; allowed: a mapping of keys to values")
    for key in content:
        if key not in APART:
            raise InputError(f"{file}: unknown key `{short(str(key))}`{nearest(key, APART)}")
    return content


def _studies(path: Path) -> Path:
    return path.with_name("studies.yaml")


def load_declared(path: Path = files.PARAMS) -> dict[str, DatasetEntry]:
    """Read which data sets params.yaml declares, whatever its experiments are: they may wait for one.

    Raises:
        InputError: with one line that says what is wrong and what to do.
    """
    try:
        raw = read_yaml(path)
        return _declared(raw if isinstance(raw, Mapping) else {})
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from None


def load_item(path: Path) -> Experiment | Sweep:
    """Read a resolved configuration, as the resolve stage wrote it.

    Raises:
        InputError: missing or altered by hand.
    """
    _check_name(path.stem, str(path.parent))
    if not path.exists():
        known = sorted({other.stem for other in path.parent.glob("*.yaml")} - set(RESERVED))
        raise InputError(f"{path}: not there; `dvc repro resolve` writes it{nearest(path.stem, known)}")
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: not a configuration; run `dvc repro`")
    try:
        return validate(Sweep if "trials" in content else Experiment, content, [("", content)])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def load_experiment(path: Path) -> Experiment:
    """Read the resolved configuration of an experiment."""
    item = load_item(path)
    if not isinstance(item, Experiment):
        raise InputError(f"{path}: is a sweep; expected an experiment")
    return item


def load_sweep(path: Path) -> Sweep:
    """Read the resolved configuration of a sweep."""
    item = load_item(path)
    if not isinstance(item, Sweep):
        raise InputError(f"{path}: is an experiment; expected a sweep")
    return item


def dump_item(item: Experiment | Sweep) -> str:
    """Return a resolved configuration as YAML, for `load_item` and for people to read.

    What is as the schema has it by default is left out: a key that comes new, with a default that means what
    was before, changes no file, and so makes no result stale.
    """
    return yaml.safe_dump(
        item.model_dump(exclude_defaults=True), sort_keys=False, allow_unicode=True, width=110
    )


def trials_of(name: str, item: Experiment | Sweep) -> list[Trial]:
    """Return the trainings that an item stands for: a sweep's trials, or an experiment's seeds."""
    if isinstance(item, Sweep):
        return item.trials
    return [Trial(name=name, overrides={}, experiment=experiment) for experiment in item.each_seed()]


def _resolve(raw: Mapping[str, Any]) -> Params:
    allowed = [*Experiment.model_fields, *STUDIES]
    for key in raw:
        if key not in allowed:
            raise InputError(f"unknown key `{short(str(key))}`{nearest(key, allowed)}")
    defaults = {key: value for key, value in raw.items() if key not in STUDIES}
    left_out: list[str] = []

    own = _declared(raw)
    for name in own.keys() & imported():
        check_declared(name, own[name])
    written = mapping(raw, "experiments", "")
    for name in written:
        _check_name(name, "experiments")
    run = _selection(raw, "run", written)
    experiments = {}
    for name in written:
        where = f"experiments.{name}"
        overrides = mapping(written, name, "experiments.")
        _check_imported(where, overrides.get("dataset"), own)
        try:
            experiments[name] = _merged(where, [(f"{where}.", overrides), ("", defaults)])
        except Conflict as conflict:
            if name in run:
                raise
            left_out.append(f"{conflict}; not selected, so left out")

    entries = mapping(raw, "sweeps", "")
    for name in entries:
        _check_name(name, "sweeps")
        if name in written:
            raise InputError(f"sweeps.{name}: an experiment has this name too; rename one of them")
    run_sweeps = _selection(raw, "run_sweeps", entries, may_be_empty=True)
    sweeps = {}
    for name in entries:
        where = f"sweeps.{name}"
        entry = validate(SweepEntry, entries[name], [(f"{where}.", mapping(entries, name, "sweeps."))])
        try:
            sweeps[name] = Sweep(trials=_trials(where, entry, written, defaults))
        except Conflict as conflict:
            if name in run_sweeps:
                raise
            left_out.append(f"{conflict}; not selected, so left out")

    claims, unjudged = read_claims(raw, written, {name: sweeps.get(name) for name in entries})
    return Params(
        run=run,
        run_sweeps=run_sweeps,
        own=own,
        experiments=experiments,
        sweeps=sweeps,
        claims=claims,
        thresholds=read_thresholds(raw, written),
        warnings=[*doubts(experiments, sweeps), *left_out, *unjudged, *_unbalanced(experiments)],
    )


def _declared(raw: Mapping[str, Any]) -> dict[str, DatasetEntry]:
    declared = {}
    for name in mapping(raw, "datasets", ""):
        _check_name(name, "datasets")
        where = f"datasets.{name}"
        if name in PUBLISHED:
            raise InputError(f"{where}: a published data set has this name; choose another")
        content = mapping(raw["datasets"], name, "datasets.")
        declared[name] = validate(DatasetEntry, content, [(f"{where}.", content)])
    return declared


def _unbalanced(experiments: Mapping[str, Experiment]) -> list[str]:
    """Return a warning for each imported data set in use whose classes are unbalanced."""
    used = sorted({experiment.dataset for experiment in experiments.values()} - {*PUBLISHED})
    return [f"datasets.{name}: {harm}" for name in used if (harm := unbalanced(name))]


def _check_imported(where: str, dataset: Any, own: Mapping[str, DatasetEntry]) -> None:
    if isinstance(dataset, str) and dataset in own and dataset not in imported():
        raise InputError(
            f"{where}.dataset: found {dataset!r}, which is declared, but not imported yet; "
            f"run `convlab import {dataset}`"
        )


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a base with overrides merged into it, section by section.

    A section that comes with another `name` (a model, an optimiser, a schedule) replaces the base's whole:
    the settings of the one mean nothing to the other.
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


def _merged(place: str, layers: Layers) -> Experiment:
    """Make one experiment, which stands at this place, of layers, the first of which wins."""
    content: dict[str, Any] = {}
    for _, layer in reversed(layers):
        content = merge(content, layer)
    try:
        return validate(Experiment, content, layers)
    except Conflict as conflict:
        if str(conflict).startswith(".".join(place.split(".")[:2])):  # its own key, so wrong in any case
            raise InputError(str(conflict)) from None
        raise Conflict(f"{place}: {conflict}") from None  # a default that does not go with it


def _trials(
    where: str, entry: SweepEntry, experiments: Mapping[str, Any], defaults: Mapping[str, Any]
) -> list[Trial]:
    trials: list[Trial] = []
    for name, place, base, written in _points(where, entry):
        if base not in experiments:
            key = "experiments" if entry.experiments else "experiment"
            raise InputError(f"{where}.{key}: found {show(base)}{nearest(base, experiments)}")
        _check_name(name, place)
        if name in [trial.name for trial in trials]:
            raise InputError(f"{place}: two trials are called {name!r}; give each value once")
        overrides = {path: _plain(value) for path, value in written.items()}
        layers = [
            (f"{place}.", nest(overrides, place)),
            (f"{where}.overrides.", nest(entry.overrides, f"{where}.overrides")),
            (f"experiments.{base}.", experiments[base]),
            ("", defaults),
        ]
        if entry.seeds:
            layers.insert(0, (f"{where}.", {"seeds": entry.seeds}))
        trials += [
            Trial(name=name, overrides=overrides, experiment=experiment)
            for experiment in _merged(place, layers).each_seed()
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


def _selection(
    raw: Mapping[str, Any], key: str, known: Iterable[str], may_be_empty: bool = False
) -> list[str]:
    known = list(known)
    names = raw.get(key)
    example = f"a list such as `{key}: [{known[0] if known else 'NAME'}]`"
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"{key}: found {show(names)}; allowed: {example} (on a command line: -S '{key}=[NAME]')"
        )
    if not names and not may_be_empty:
        raise InputError(f"{key}: found an empty list; allowed: {example}, of {', '.join(known)}")
    for name in names:
        if name not in known:
            raise InputError(f"{key}: found {show(name)}{nearest(name, known)}")
        if names.count(name) > 1:
            raise InputError(f"{key}: {name!r} is listed twice; keep one of them")
    return names


def _check_name(name: Any, where: str) -> None:
    plain = isinstance(name, str) and name and all(c.isascii() and (c.isalnum() or c in "_.-") for c in name)
    if not plain or name.startswith((".", "-")) or len(name) > 100:
        raise InputError(
            f"{where}: found the name {show(name)}; allowed: letters, digits, `_`, `-`, `.` (it names files)"
        )
    if name in RESERVED:
        raise InputError(f"{where}: the name {name!r} is taken by data/configs/{name}.yaml; choose another")
