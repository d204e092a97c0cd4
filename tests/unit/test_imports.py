"""Imports go one way: down through the rooms, in no circle, and to a training loop that knows no paths.

A room is a top-level part of the package: a folder (`data`, `train`) or a module (`files`).
"""

import ast
import functools
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from repository import ROOT

PACKAGE = ROOT / "src/convlab"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
Graph = dict[str, set[str]]

# From the bottom up. A room imports from those below it, and from none beside it.
FLOORS = (
    {"__init__", "git", "interrupt", "locks", "seeds"},
    {"errors"},
    {"files"},
    {"markdown", "schema"},
    {"data", "portable"},
    {"config", "models"},
    {"numpy_engine"},
    {"train"},
    {"pipeline"},
    {"results"},
    {"figures", "own"},
    {"networks"},
    {"campaign"},
    {"headlines"},
    {"book", "tracking"},
    {"commands"},
    {"cli"},
)
# Imports that go up. Moving the imported module would remove each, but would change the code identity of
# results.
UPWARDS = {
    (
        "schema.experiment",
        "data.catalogue",
    ): "the schema takes the names and shapes of data sets from the catalogue",
    (
        "numpy_engine.engine",
        "train.history",
    ): "`Diverged`, which both engines raise, stands beside the history",
}
# What the training loop reaches and does not need: a module that it uses imports them.
FIT_REACHES = {
    "files": "train.checkpoint writes into the folder that it is given; data.dataset loads prepared data",
    "data.catalogue": "through the schema, which takes the names of data sets from it",
}


@functools.cache
def imported(path: Path) -> set[str]:
    """Return the modules that a module imports, anywhere in it; of ours the submodule, where it is one."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            ours = {name for name in inside if name.removeprefix("convlab.") in MODULES}
            found |= ours if ours == inside else {str(node.module), *ours}
    return found


@functools.cache
def graph() -> Graph:
    """Return the modules of the package that each of its modules imports, without the package itself."""
    names = {name: {one.removeprefix("convlab.") for one in imported(path)} for name, path in MODULES.items()}
    return {name: found & MODULES.keys() - {name} for name, found in names.items()}


def circle(edges: Graph) -> list[str]:
    """Return the names on a cycle, or none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def reached(start: str, edges: Graph) -> set[str]:
    found, waiting = set[str](), [start]
    while waiting:
        for name in edges[waiting.pop()] - found:
            found.add(name)
            waiting.append(name)
    return found


def room(name: str) -> str:
    return name.split(".")[0]


def floor(name: str) -> int:
    """Return on which floor a module stands."""
    return next(number for number, rooms in enumerate(FLOORS) if room(name) in rooms)


def climbing() -> set[tuple[str, str]]:
    """Return the imports (from, of) that do not go down to another room."""
    pairs = [(name, other) for name, found in graph().items() for other in found]
    return {
        (name, other) for name, other in pairs if room(name) != room(other) and floor(other) >= floor(name)
    }


def test_no_cycle_among_the_modules() -> None:
    assert circle(graph()) == []


def test_every_room_has_one_floor() -> None:
    assert sorted(name for rooms in FLOORS for name in rooms) == sorted({room(name) for name in MODULES})


def test_imports_go_down() -> None:
    assert climbing() == set(UPWARDS)


def test_nobody_imports_a_stage_or_a_benchmark() -> None:
    outside = {"stages", "bench", "robustness", "tests"}
    found = {name: {one.split(".")[0] for one in imported(path)} & outside for name, path in MODULES.items()}
    assert not {name for name, roots in found.items() if roots}


def test_the_training_loop_reaches_no_dvc_no_mlflow_and_no_place() -> None:
    found = reached("train.fit", graph())
    tools = {name for module in found | {"train.fit"} for name in imported(MODULES[module])}
    assert not {name for name in tools if name.split(".")[0] in ("dvc", "mlflow")}
    places = (
        "files",
        "config",
        "pipeline",
        "results",
        "networks",
        "tracking",
        "figures",
        "book",
        "cli",
        "commands",
    )
    others = {
        "data.sources",
        "data.readers.registry",
        "data.preprocess",
        "data.catalogue",
        "models.build",
    }
    assert {name for name in found if room(name) in places or name in others} == set(FIT_REACHES)


def test_the_command_line_is_imported_by_nobody() -> None:
    assert [name for name, found in graph().items() if "cli" in found] == []
    commands = [name for name, found in graph().items() if any(room(one) == "commands" for one in found)]
    assert {room(name) for name in commands} == {"cli", "commands"}


def test_heavy_libraries_come_with_what_needs_them() -> None:
    # `convlab --help` and a stage that ends in bad input must not wait for torch, MLflow or matplotlib
    heavy = {"torch", "mlflow", "matplotlib", "scipy", "sklearn", "dvc"}
    light = reached("config", graph()) | {"config", "files", "cli"}
    light |= {name for name in MODULES if room(name) == "commands"}
    for name in light:
        top = ast.parse(
            MODULES[name].read_bytes()
        ).body  # what stands at the top alone: it is imported at once
        names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in top if isinstance(node, ast.ImportFrom)}
        assert not {found.split(".")[0] for found in names} & heavy, name


def test_what_tracks_brings_no_library_that_nothing_new_needs() -> None:
    # `convlab track` with everything there: MLflow takes its seconds, and no other library any beside it
    heavy = ("matplotlib", "sklearn", "scipy.stats", "torch")
    program = (
        "import sys, convlab.tracking.experiments, convlab.tracking.records, convlab.tracking.store, "
        f"convlab.tracking.writer; sys.exit(str([name for name in {heavy} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


def test_tests_import_nothing_from_a_conftest() -> None:
    """There are several: which one the name means depends on the order of pytest's arguments."""
    tests = [*(ROOT / "tests").rglob("*.py")]
    importing = [
        path.name
        for path in tests
        for node in ast.walk(ast.parse(path.read_bytes()))
        if (isinstance(node, ast.ImportFrom) and node.module == "conftest")
        or (isinstance(node, ast.Import) and "conftest" in {alias.name for alias in node.names})
    ]
    assert len(tests) > 100
    assert importing == []
