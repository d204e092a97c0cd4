"""Resolved configurations: what the resolve stage writes and every later stage reads."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from convlab.config.explain import nearest, validate
from convlab.config.names import RESERVED, check_name
from convlab.config.strict_yaml import read_yaml
from convlab.errors import InputError
from convlab.schema import Experiment, Sweep, Trial


def load_item(path: Path) -> Experiment | Sweep:
    """Read a resolved configuration, as the resolve stage wrote it.

    Raises:
        InputError: missing or altered by hand.
    """
    check_name(path.stem, str(path.parent))
    if not path.exists():
        known = sorted({other.stem for other in path.parent.glob("*.yaml")} - set(RESERVED))
        hint = nearest(path.stem, known) if known else ""
        raise InputError(f"{path}: not there; `dvc repro resolve` writes it{hint}")
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: not a configuration; run `dvc repro`")
    try:
        return validate(Sweep if "trials" in content else Experiment, content, [("", content)])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def load_feature_maps(path: Path) -> list[str]:
    """Read for which test images an experiment's feature maps are drawn, from the code file of its figures.

    Raises:
        InputError: the file is missing.
    """
    if not path.exists():
        raise InputError(f"{path}: not there; `dvc repro resolve` writes it")
    content = read_yaml(path)
    return list(content.get("feature_maps", [])) if isinstance(content, Mapping) else []


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

    Values that are the schema's defaults are left out: a new key whose default keeps the earlier behaviour
    changes no file, and so makes no result stale.
    """
    return yaml.safe_dump(
        item.model_dump(exclude_defaults=True), sort_keys=False, allow_unicode=True, width=110
    )


def inline(value: Any) -> str:
    """Return a value as YAML has it on one line: `true`, `null`, `[{name: flip}]`."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    return text.removesuffix("...\n").strip()  # a lone scalar is ended as a document


def trials_of(name: str, item: Experiment | Sweep) -> list[Trial]:
    """Return the trainings that an item stands for: a sweep's trials, or an experiment's seeds."""
    if isinstance(item, Sweep):
        return item.trials
    return [Trial(name=name, overrides={}, experiment=experiment) for experiment in item.each_seed()]
