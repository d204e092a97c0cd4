"""Code identity: which modules a result was made by, each known by a hash of what it does.

A phase of an experiment reaches the modules that its root imports, and theirs, but of the entries of a
registry only those that its configuration names. A module's hash is that of its syntax tree without
docstrings: comments, layout and a new network that nobody uses make no result stale.
"""

import ast
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from convlab.data.catalogue import DATASETS
from convlab.pipeline.carried import as_known, known_hash
from convlab.pipeline.syntax import hash_source
from convlab.schema import Experiment, Sweep

Phase = Literal["prepare", "train", "evaluate", "draw"]

PACKAGE = Path(__file__).parents[1]
STAGES = PACKAGE.parents[1] / "stages"
ROOTS: dict[Phase, tuple[str, ...]] = {
    "prepare": ("data.preprocess", "data.readers.registry"),
    "train": ("pipeline.run",),
    "evaluate": ("pipeline.evaluate", "models.build"),
    "draw": ("figures.draw",),
}
SCRIPTS: dict[Phase, tuple[str, ...]] = {
    "prepare": ("preprocess",),
    "train": ("train", "sweep"),
    "evaluate": ("evaluate", "sweep"),
    "draw": ("visualize",),
}
PINNED = ("train", "evaluate")  # the phases that compute with the kernels of `portable: true`
# No result depends on them: the configuration arrives resolved, data by its hash, and what is printed, timed
# or resumed after an interruption leaves no trace in a weight or a score
NEUTRAL = (
    "config",
    "data.catalogue",
    "data.sources",
    "errors",
    "files",
    "interrupt",
    "pipeline.identity",
    "pipeline.ledger",
    "pipeline.made_from",
    "pipeline.provenance",
    "pipeline.summaries",
    "pipeline.trainings",
    "results",
    "schema",
    "tracking",
    "train.checkpoint",
    "train.progress",
)
# They only map names to entries: of what they import, only the entries that an experiment names count
REGISTRIES = (
    "data.augment.registry",
    "data.readers.registry",
    "models.registry",
    "train.averages.registry",
    "train.optimizers.registry",
    "train.schedules.registry",
)


def identity(phase: Phase, experiment: Experiment) -> dict[str, str]:
    """Return the hash of each module that a phase of an experiment reaches, by its name, sorted."""
    roots = ROOTS[phase]
    if phase == "train" and experiment.devices > 1:
        roots = (*roots, "pipeline.devices")
    if phase in PINNED and experiment.portable:
        roots = (*roots, "portable")
    found = as_known(_reached(roots, named(experiment), unused(experiment)))
    if phase in ("prepare", "draw"):
        found[facts_key(experiment.dataset)] = facts_of(experiment.dataset)
    return dict(sorted(found.items()))


def named(experiment: Experiment) -> frozenset[str]:
    """Return the entries of registries that an experiment names."""
    optimizer = "adam" if experiment.optimizer.name == "adamw" else experiment.optimizer.name
    average = experiment.average.name if experiment.average else "plain"
    recipe = {
        f"data.readers.{DATASETS[experiment.dataset].format}",
        f"models.{experiment.model.name}",
        f"train.optimizers.{optimizer}",
        f"train.schedules.{experiment.schedule.name}",
        f"train.averages.{average}",
    }
    return frozenset(recipe | {f"data.augment.{step.name}" for step in experiment.augment})


def unused(experiment: Experiment) -> frozenset[str]:
    """Return the parts outside of registries that an experiment does not use."""
    whitens = experiment.model.whitening or experiment.model.name == "speedrun"
    whitening = set() if whitens else {"models.whitening"}
    return frozenset(whitening if experiment.engine == "numpy" else {*whitening, "numpy_engine"})


def facts_key(dataset: str) -> str:
    """Return the name of a data set's facts among the modules that a phase reaches."""
    return f"data.catalogue/{dataset}"


def facts_of(dataset: str) -> str:
    """Return a hash of what prepared data and figures take from the catalogue about their own data set."""
    facts = DATASETS[dataset]
    told = json.dumps([facts.shape, facts.max_value, facts.classes])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def code_of(phase: Phase, item: Experiment | Sweep, chosen: Sequence[str] = ()) -> dict[str, str]:
    """Return what a stage's outputs depend on: its script, and the modules of all of an item's trainings.

    `chosen`: test images whose feature maps are drawn, too; without any, figures do not depend on them.
    """
    script = f"{SCRIPTS[phase][-1 if isinstance(item, Sweep) else 0]}.py"
    found = {f"stages/{script}": known_hash(f"stages/{script}", hash_source(STAGES / script))}
    experiments = [trial.experiment for trial in item.trials] if isinstance(item, Sweep) else [item]
    for experiment in experiments:
        found |= identity(phase, experiment)
        if phase == "draw" and chosen:
            found |= as_known(_reached(("figures.chosen",), named(experiment), unused(experiment)))
    if phase == "draw" and chosen:
        found["feature_maps"] = json.dumps(chosen, ensure_ascii=False)
    return found


def code_by_phase(item: Experiment | Sweep, chosen: Sequence[str] = ()) -> dict[Phase, dict[str, str]]:
    """Return what each phase of an item is computed by."""
    return {phase: code_of(phase, item, chosen) for phase in ROOTS}


def dump_code(item: Experiment | Sweep, chosen: Sequence[str] = ()) -> dict[Phase, str]:
    """Return each phase's code file as text: one line per module, so that a diff shows the changed ones."""
    found = code_by_phase(item, chosen).items()
    return {phase: "".join(f"{name}: {text}\n" for name, text in modules.items()) for phase, modules in found}


@cache
def _reached(roots: tuple[str, ...], named: frozenset[str], unused: frozenset[str]) -> Mapping[str, str]:
    """Return the modules that `roots` reach, with their hashes."""
    found: dict[str, str] = {}
    waiting, seen = list(roots), set[str]()
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is None or name in seen or _below(name, NEUTRAL) or _below(name, unused):
            continue
        seen.add(name)
        if name in REGISTRIES:
            waiting += named.intersection(_imports(path))
        else:
            found[name] = hash_source(path)
            waiting += _imports(path)
    return found


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Return what of the package a module imports, anywhere in it: modules, and names in them."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute here"
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        ours = [name.removeprefix("convlab.") for name in names if name.startswith("convlab.")]
        found |= {*ours}
    return tuple(sorted(found))


def _file(name: str) -> Path | None:
    """Return the file of a module, or None if there is no module of this name."""
    path = PACKAGE.joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def _below(name: str, others: tuple[str, ...] | frozenset[str]) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in others)
