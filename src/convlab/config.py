"""params.yaml: defaults + overrides → one `Experiment`, or a `Sweep` of them.

Every error that can be seen in params.yaml itself is raised here, before any work, as one `InputError`
line that names the key, what was found and what is allowed.
"""

import copy
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from convlab import files
from convlab.data.catalogue import DATASETS, PUBLISHED, imported
from convlab.errors import InputError
from convlab.explain import Layers, nearest, short, show, validate
from convlab.own.card import check_declared, unbalanced
from convlab.schema import (
    SPLITS,
    Claim,
    DatasetEntry,
    Experiment,
    Params,
    Sweep,
    SweepEntry,
    Trial,
    number,
)
from convlab.schema.training import EMA, Cosine, Lookahead, OneCycle
from convlab.strict_yaml import read_yaml

# Every other key at the top is a default of all experiments.
STUDIES = ("datasets", "experiments", "sweeps", "claims", "thresholds", "run", "run_sweeps")
FLOORS = tuple(f"{split}_accuracy" for split in SPLITS)
RESERVED = ("datasets",)  # data/configs/datasets.yaml is the list for the download stage
MOST_WARMUP = 0.9  # of a training, without a warning
MOST_TRAININGS = 2000  # of one sweep: the product of a grid's lists grows faster than one thinks


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml.

    Raises:
        InputError: with one line that says what is wrong and what to do.
    """
    try:
        return _resolve(read_yaml(path))
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from None


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
        raise InputError(f"{path}: a sweep, where an experiment is wanted")
    return item


def load_sweep(path: Path) -> Sweep:
    """Read the resolved configuration of a sweep."""
    item = load_item(path)
    if not isinstance(item, Sweep):
        raise InputError(f"{path}: an experiment, where a sweep is wanted")
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
    """Give the trainings that an item stands for: a sweep's trials, or an experiment's seeds."""
    if isinstance(item, Sweep):
        return item.trials
    return [Trial(name=name, overrides={}, experiment=experiment) for experiment in item.each_seed()]


def _resolve(raw: Any) -> Params:
    if not isinstance(raw, Mapping):
        raise InputError(f"found {show(raw)}; allowed: a mapping of keys to values")
    allowed = [*Experiment.model_fields, *STUDIES]
    for key in raw:
        if key not in allowed:
            raise InputError(f"unknown key `{short(str(key))}`{nearest(key, allowed)}")
    defaults = {key: value for key, value in raw.items() if key not in STUDIES}

    own = _declared(raw)
    for name in own.keys() & imported():
        check_declared(name, own[name])
    written = _mapping(raw, "experiments", "")
    experiments = {}
    for name in written:
        _check_name(name, "experiments")
        overrides = _mapping(written, name, "experiments.")
        _check_imported(f"experiments.{name}", overrides.get("dataset"), own)
        experiments[name] = _merged([(f"experiments.{name}.", overrides), ("", defaults)])

    sweeps = {}
    for name, content in _mapping(raw, "sweeps", "").items():
        _check_name(name, "sweeps")
        if name in experiments:
            raise InputError(f"sweeps.{name}: an experiment has this name too; rename one of them")
        where = f"sweeps.{name}"
        entry = validate(SweepEntry, content, [(f"{where}.", _mapping(raw["sweeps"], name, "sweeps."))])
        sweeps[name] = Sweep(trials=_trials(where, entry, written, defaults))

    return Params(
        run=_selection(raw, "run", experiments),
        run_sweeps=_selection(raw, "run_sweeps", sweeps, may_be_empty=True),
        own=own,
        experiments=experiments,
        sweeps=sweeps,
        claims=_claims(raw, experiments, sweeps),
        thresholds=_thresholds(raw, experiments),
        warnings=_warnings(experiments, sweeps),
    )


def _declared(raw: Mapping[str, Any]) -> dict[str, DatasetEntry]:
    declared = {}
    for name in _mapping(raw, "datasets", ""):
        _check_name(name, "datasets")
        where = f"datasets.{name}"
        if name in PUBLISHED:
            raise InputError(f"{where}: a published data set has this name; choose another")
        content = _mapping(raw["datasets"], name, "datasets.")
        declared[name] = validate(DatasetEntry, content, [(f"{where}.", content)])
    return declared


def _check_imported(where: str, dataset: Any, own: Mapping[str, DatasetEntry]) -> None:
    if isinstance(dataset, str) and dataset in own and dataset not in imported():
        raise InputError(
            f"{where}.dataset: found {dataset!r}, which is declared, but not imported yet; "
            f"run `convlab import {dataset}`"
        )


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Lay overrides over a base, section by section.

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


def _merged(layers: Layers) -> Experiment:
    """Make one experiment of layers, the first of which wins."""
    content: dict[str, Any] = {}
    for _, layer in reversed(layers):
        content = merge(content, layer)
    return validate(Experiment, content, layers)


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
            for experiment in _merged(layers).each_seed()
        ]
        if len(trials) > MOST_TRAININGS:
            raise InputError(f"{where}: more than {MOST_TRAININGS:,} trainings; vary fewer values or seeds")
    return trials


def _points(where: str, entry: SweepEntry) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Give a sweep's points, one by one: name, where it stands in params.yaml, experiment, overrides."""
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
    """Take `1e-05` for a number in an override too, alone or in a list."""
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
    """Name a grid point by what it varies: `strides-1-1-2_kernels-5-3-3`, `l2-0.0001`."""

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


def _thresholds(raw: Mapping[str, Any], experiments: Mapping[str, Experiment]) -> dict[str, dict[str, float]]:
    thresholds: dict[str, dict[str, float]] = {}
    for name in _mapping(raw, "thresholds", ""):
        if name not in experiments:
            raise InputError(f"thresholds: found {show(name)}{nearest(name, experiments)}")
        floors = _mapping(raw["thresholds"], name, "thresholds.")
        thresholds[name] = {}
        for metric, floor in floors.items():
            if metric not in FLOORS:
                raise InputError(
                    f"thresholds.{name}: unknown metric `{short(str(metric))}`{nearest(metric, FLOORS)}"
                )
            value = number(floor)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise InputError(
                    f"thresholds.{name}.{metric}: found {show(floor)}; allowed: a number from 0 to 1"
                )
            thresholds[name][metric] = float(value)
    return thresholds


def _claims(
    raw: Mapping[str, Any], experiments: Mapping[str, Experiment], sweeps: Mapping[str, Sweep]
) -> dict[str, Claim]:
    known = [*experiments]
    known += [f"{name}/{trial.name}" for name, sweep in sweeps.items() for trial in sweep.trials]
    claims = {}
    for name in _mapping(raw, "claims", ""):
        where = f"claims.{name}"
        claim = validate(
            Claim, raw["claims"][name], [(f"{where}.", _mapping(raw["claims"], name, "claims."))]
        )
        for side in ("a", "b"):
            result = getattr(claim, side)
            if result not in known:
                own = [row for row in known if row.startswith(f"{result.partition('/')[0]}/")]
                allowed = own or [*experiments, *(f"{sweep}/TRIAL" for sweep in sweeps)]
                raise InputError(
                    f"{where}.{side}: found {show(result)}{nearest(result, dict.fromkeys(allowed))}"
                )
        if claim.a == claim.b:
            raise InputError(f"{where}: a and b are the same result; compare two")
        claims[name] = claim
    return claims


def _warnings(experiments: Mapping[str, Experiment], sweeps: Mapping[str, Sweep]) -> list[str]:
    """Find what is allowed, but hardly meant."""
    said = [
        (f"experiments.{name}.{key}", harm)
        for name, experiment in experiments.items()
        for key, harm in _doubtful(experiment).items()
    ]
    heard = {harm for _, harm in said}
    said += dict.fromkeys(
        (f"sweeps.{name}", harm)
        for name, sweep in sweeps.items()
        for trial in sweep.trials
        for harm in _doubtful(trial.experiment).values()
        if harm not in heard
    )
    used = {experiment.dataset for experiment in experiments.values()}
    said += [(f"datasets.{name}", harm) for name in sorted(used - {*PUBLISHED}) if (harm := unbalanced(name))]
    return [f"{place}: {harm}" for place, harm in said]


def _doubtful(experiment: Experiment) -> dict[str, str]:
    """Say what of an experiment is hardly meant, by key."""
    return {**_mirrored(experiment), **_stuck(experiment), **_rising(experiment)}


def _stuck(experiment: Experiment) -> dict[str, str]:
    """Say where the average of the weights, which is what is kept, hardly leaves the initial ones."""
    images = DATASETS[experiment.dataset].train_images - experiment.split.validation
    steps = experiment.epochs * math.ceil(images / experiment.batch_size)
    training = f"the training has {steps:,} ({experiment.epochs} × {steps // experiment.epochs:,})"
    match experiment.average:
        case EMA(decay=decay) if steps * (1 - decay) < 1:
            span, share = f"{1 / (1 - decay):,.0f} steps", f"{decay**steps:.0%}"
            harm = (
                f"ema with decay {decay:g} spans {span}, but {training}: the kept weights are {share} initial"
            )
        case Lookahead(every=every) if steps < every:
            harm = (
                f"lookahead goes back every {every:,} steps, but {training}: the kept weights are the initial"
            )
        case _:
            return {}
    return {"average": harm}


def _rising(experiment: Experiment) -> dict[str, str]:
    """Say where the learning rate has hardly begun to fall when the training ends."""
    match experiment.schedule:
        case Cosine(warmup=warmup):
            share = warmup / experiment.epochs
        case OneCycle(warmup=share):
            pass
        case _:
            return {}
    if share <= MOST_WARMUP:
        return {}
    start = f"{experiment.schedule.name} warms up for {share:.0%} of the {experiment.epochs} epochs"
    return {"schedule": f"{start}: the rate has hardly time to fall"}


def _mirrored(experiment: Experiment) -> dict[str, str]:
    """Say where an experiment mirrors images that have no mirror image, by key."""
    if DATASETS[experiment.dataset].mirrors:
        return {}
    start = (
        f"flip mirrors {experiment.dataset}, where a mirrored image is none of the classes (a 2 becomes no "
        "digit)"
    )
    found = {}
    if any(step.name in ("flip", "alternating_flip") for step in experiment.augment):
        found["augment"] = f"{start}: the network learns what the test images never show"
    if experiment.test_time_augmentation != "none":
        found["test_time_augmentation"] = f"{start}: the network is asked about what it never saw"
    return found


def _mapping(raw: Mapping[str, Any], key: str, parent: str) -> Mapping[str, Any]:
    value = raw.get(key, {})
    if not isinstance(value, Mapping):
        raise InputError(f"{parent}{key}: found {show(value)}; allowed: a mapping of keys to values")
    return value


def _check_name(name: Any, where: str) -> None:
    plain = isinstance(name, str) and name and all(c.isascii() and (c.isalnum() or c in "_.-") for c in name)
    if not plain or name.startswith((".", "-")) or len(name) > 100:
        raise InputError(
            f"{where}: found the name {show(name)}; allowed: letters, digits, `_`, `-`, `.` (it names files)"
        )
    if name in RESERVED:
        raise InputError(f"{where}: the name {name!r} is taken by data/configs/{name}.yaml; choose another")
