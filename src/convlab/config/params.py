"""params.yaml and studies.yaml: defaults + overrides → one `Experiment`, or a `Sweep` of them.

Every error that can be seen in these files themselves is raised here, before any work, as one `InputError`
line that names the file, the key, what was found and what is allowed. But what is not selected, and merely
conflicts with the current defaults (`-S device=cuda`), is left out with a warning.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from convlab import files
from convlab.config.bases import lineage
from convlab.config.explain import Conflict, Layers, mapping, nearest, short, show, validate
from convlab.config.lint import lint
from convlab.config.names import check_name
from convlab.config.strict_yaml import read_yaml
from convlab.config.studies import read_claims, read_feature_maps, read_thresholds
from convlab.config.sweeps import expand, merged
from convlab.data.card import check_declared, unbalanced
from convlab.data.catalogue import PUBLISHED, imported
from convlab.errors import InputError
from convlab.schema import DatasetEntry, Experiment, Params, Sweep, SweepEntry

# Every other key at the top is a default of all experiments.
STUDIES = ("datasets", "experiments", "sweeps", "claims", "feature_maps", "thresholds", "run", "run_sweeps")
APART = (
    "sweeps",
    "claims",
    "feature_maps",
    "thresholds",
)  # may be in studies.yaml, where DVC does not treat them as parameters


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml, and the studies.yaml beside it.

    Raises:
        InputError: with one line that says what is wrong and what to do.
    """
    content, apart = _read(path)
    try:
        return _resolve({**content, **apart})
    except InputError as error:
        section = re.match(r"\w*", str(error))
        file = _studies(path) if section and section.group() in apart else path
        raise InputError(f"{file}: {error}") from None


def read_params(path: Path) -> dict[str, Any]:
    """Read params.yaml and the studies.yaml beside it, if there is one, as one mapping, unchecked.

    Raises:
        InputError: one of them is not a mapping, or a section is in the wrong file, or in both.
    """
    content, apart = _read(path)
    return {**content, **apart}


def _read(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Read params.yaml, and the studies.yaml beside it."""
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: found {show(content)}; allowed: a mapping of keys to values")
    apart = _read_studies(path)
    for key in apart:
        if key in content:
            raise InputError(f"{_studies(path)}: `{key}` is in {path}, too; keep one of them")
    return content, apart


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
    return path.with_name(files.STUDIES.name)


def load_declared(path: Path = files.PARAMS) -> dict[str, DatasetEntry]:
    """Read which data sets params.yaml declares, without checking its experiments: they may need one of them.

    Raises:
        InputError: with one line that says what is wrong and what to do.
    """
    try:
        raw = read_yaml(path)
        return _declared(raw if isinstance(raw, Mapping) else {})
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from None


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
        check_name(name, "experiments")
    run = _selection(raw, "run", written)
    layers = {name: lineage(name, written) for name in written}
    experiments = {}
    for name in written:
        _check_imported(layers[name], own)
        try:
            experiments[name] = merged(f"experiments.{name}", [*layers[name], ("", defaults)])
        except Conflict as conflict:
            if name in run:
                raise
            left_out.append(f"{conflict}; not selected, so left out")

    entries = mapping(raw, "sweeps", "")
    for name in entries:
        check_name(name, "sweeps")
        if name in written:
            raise InputError(f"sweeps.{name}: an experiment has this name too; rename one of them")
    run_sweeps = _selection(raw, "run_sweeps", entries, may_be_empty=True)
    sweeps = {}
    for name in entries:
        where = f"sweeps.{name}"
        entry = validate(SweepEntry, entries[name], [(f"{where}.", mapping(entries, name, "sweeps."))])
        try:
            sweeps[name] = Sweep(trials=expand(where, entry, layers, defaults))
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
        feature_maps=read_feature_maps(raw, written, experiments),
        thresholds=read_thresholds(raw, written),
        warnings=[*lint(experiments, sweeps), *left_out, *unjudged, *_unbalanced(experiments)],
    )


def _declared(raw: Mapping[str, Any]) -> dict[str, DatasetEntry]:
    declared = {}
    for name in mapping(raw, "datasets", ""):
        check_name(name, "datasets")
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


def _check_imported(layers: Layers, own: Mapping[str, DatasetEntry]) -> None:
    stated = ((prefix, content["dataset"]) for prefix, content in layers if "dataset" in content)
    prefix, dataset = next(stated, ("", None))
    if isinstance(dataset, str) and dataset in own and dataset not in imported():
        raise InputError(
            f"{prefix}dataset: found {dataset!r}, which is declared, but not imported yet; "
            f"run `convlab import {dataset}`"
        )


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
