"""Code identity: which modules a result was made by, each known by a hash of what it does.

A phase of an experiment reaches the modules that its root imports, and theirs, but of the entries of a
registry only those that its configuration names. A module's hash is that of its syntax tree without
docstrings: comments, layout and a new network that nobody uses make no result stale.
"""

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from convlab.data.catalogue import DATASETS
from convlab.schema import Experiment, Sweep

Phase = Literal["prepare", "train", "evaluate", "draw"]

PACKAGE = Path(__file__).parents[1]
STAGES = PACKAGE.parents[1] / "stages"
ROOTS: dict[Phase, tuple[str, ...]] = {
    "prepare": ("data.preprocess", "data.readers"),
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
REGISTRIES = ("data.augment.registry", "models.registry", "train.optimizers.registry")
# Modules that have moved, with the names by which results know them: the location changes nothing
FORMERLY = {"figures.draw": "figures", "pipeline.evaluate": "evaluate", "pipeline.run": "train.run"}
# A module's hash → that of an earlier state of it which was shown to compute the same: results stay fresh
CARRIED = {
    # models.build, when the annotation of a section named each family
    "9192af0b54beb4f3": "16076c7e469c32d1",
    # data.readers, before there were imported data sets: of the published ones both read the same bytes
    "c1a025849f603c6f": "02d055db90d9dbcd",
    # stages/train.py, sweep.py, evaluate.py, before kernels could be pinned, before iterations.csv had a
    # header without any steps, before sweeps had that file, before the commits of DVC experiments had
    # timing.json, and before the other seeds of one that diverged were kept: all numbers are the same
    "8292f998a90594a4": "3589732c4eaaedf5",
    "bd7a99b7961933b7": "da0b4014a7c743e5",
    # train.run, before its training loop could be one among several devices: the default is the same `fit`;
    # and when the fingerprint was taken after the training
    "f2c3c01bde742aea": "003ff0440f338ef2",
    # train.device, figures.style and draw, stages/visualize.py and preprocess.py, when imports had effects:
    # the same bits of trainings, prepared data and figures; visualize.py drew no chosen images then
    "6180aaca84cb403b": "079821700dc44ce6",
    "7c7f3bab9c032d65": "0a3f31f06c7fd103",
    "9a9ae60bea24dc92": "299e4be9704bb8fb",
    "bff4fedd43f1affd": "c5dc1166869200e1",
    # figures.draw, also when trials with a penalty on biases had no histograms beside the one without: R3's
    # two sweeps get theirs when they are next trained, all other figures are the same
    "41e2b5646cb653de": "d966c924b4ba7de5",
    # Moved, or with names changed, their own or of what they import: the same but for names
    "b61c3945ab65a934": "5b0d55b6e25f4290",
    "cd1107a92410cdf6": "4838f6a614ca1f9f",
    "8ab73b80e8c9f8f5": "e34c5b31c5db8abf",
    "7f05328a11598fd0": "834b5606504762dd",
    "1a99f0a9f8df0c5b": "263d80373051f99f",
    "c1f37a9273731da6": "b4636d58c78488e6",
    "fbcfc02e7f50f9ac": "3f4addf7a3d75425",
    "376d43a29e22f63f": "ef74377a8de434a3",
    "48155b255e561f66": "94a42823b3921afa",
    "107c13f999c1427d": "7630caf8d57f4669",
    "7cf3cf2a8c9c0918": "bc54307dd3dc9ff9",
    "327a11518f2157b6": "856971270c30f3fe",
    "dd85dcb4ae523ff4": "8e9010f118b13365",
    "6629c3fa91f7c2da": "38ae2126800a148b",
    "aedb0f6329ba1fd9": "88b8ce63cf1e5fdf",
    # figures.confusion and trial_iterations, when more than 15 classes overlapped, and trials of other batch
    # sizes had the iterations of the first: the same bytes otherwise
    "4b60474aa84a62b5": "a2010cd3e94028a9",
    "f67356f8cd937e5c": "f05ea41227caf012",
}


def identity(phase: Phase, experiment: Experiment) -> dict[str, str]:
    """Return the hash of each module that a phase of an experiment reaches, by its name, sorted."""
    roots = ROOTS[phase]
    if phase == "train" and experiment.devices > 1:
        roots = (*roots, "pipeline.devices")
    if phase in PINNED and experiment.portable:
        roots = (*roots, "portable")
    found = dict(_reached(roots, named(experiment), unused(experiment)))
    if phase in ("prepare", "draw"):
        found[facts_key(experiment.dataset)] = facts_of(experiment.dataset)
    return dict(sorted(found.items()))


def named(experiment: Experiment) -> frozenset[str]:
    """Return the entries of registries that an experiment names."""
    optimizer = "adam" if experiment.optimizer.name == "adamw" else experiment.optimizer.name
    kinds = {f"data.augment.{step.name}" for step in experiment.augment}
    return frozenset({f"models.{experiment.model.name}", f"train.optimizers.{optimizer}", *kinds})


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
    script = SCRIPTS[phase][-1 if isinstance(item, Sweep) else 0]
    found = {f"stages/{script}.py": _carried(STAGES / f"{script}.py")}
    experiments = [trial.experiment for trial in item.trials] if isinstance(item, Sweep) else [item]
    for experiment in experiments:
        found |= identity(phase, experiment)
        if phase == "draw" and chosen:
            found |= _reached(("figures.chosen",), named(experiment), unused(experiment))
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
def hash_source(path: Path) -> str:
    """Return a hash of a module's syntax tree without docstrings, the same on every Python from 3.11 on."""
    tree = ast.parse(path.read_bytes())
    return hashlib.sha256("".join(_canonical(tree)).encode()).hexdigest()[:16]


def _carried(path: Path) -> str:
    """Return the hash of a source file, or that of the earlier state of it that computes the same."""
    return CARRIED.get(hash_source(path), hash_source(path))


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
            found[FORMERLY.get(name, name)] = _carried(path)
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


def _canonical(node: Any) -> Iterator[str]:
    """Serialise a syntax tree. Empty fields are left out: which fields exist depends on Python's version."""
    match node:
        case ast.AST():
            yield f"({type(node).__name__}"
            for name, value in ast.iter_fields(node):
                inner = _telling(node, name, value)
                if inner not in (None, []) and name not in ("kind", "type_comment", "type_ignores", "ctx"):
                    yield f" {name}="
                    yield from _canonical(inner)
            yield ")"
        case list():
            yield "["
            for part in node:
                yield from _canonical(part)
            yield "]"
        case _:
            yield f"{node!r},"


def _telling(node: ast.AST, field: str, value: Any) -> Any:
    """Return a field without what means nothing: docstrings, empty strings in f-strings (Python 3.12's)."""
    match node, field:
        case ((ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef()), "body"):
            return value[1:] if ast.get_docstring(node, clean=False) is not None else value
        case ast.JoinedStr(), "values":
            return [part for part in value if not (isinstance(part, ast.Constant) and part.value == "")]
        case _:
            return value
