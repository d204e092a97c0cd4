import ast
from pathlib import Path

import pytest
import yaml
from repository import ROOT

PACKAGE = ROOT / "src/convlab"
STAGES = sorted((ROOT / "stages").glob("*.py"))
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
HEAVY = ("torch", "numpy", "sklearn", "mlflow", "matplotlib", "dvc", "pandas")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def definition(name: str) -> dict:
    stage = PIPELINE[name]
    return stage.get("do", stage)


def script(name: str) -> str:
    """Return the script of a stage."""
    return next(word for word in definition(name)["cmd"].split() if word.endswith(".py"))


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_a_stage_is_one_short_main(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert len(path.read_text().splitlines()) <= 60
    functions = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert [function.name for function in functions] == ["main"]
    assert ast.get_docstring(tree)


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_a_stage_leaves_the_work_to_convlab(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] in HEAVY}


def test_every_stage_script_is_in_the_pipeline_and_the_other_way() -> None:
    named = {script(name) for name in PIPELINE}
    assert named == {f"stages/{path.name}" for path in STAGES}


@pytest.mark.parametrize("name", PIPELINE)
def test_a_stage_runs_the_code_beside_it(name: str) -> None:
    # Not that of the folder which the environment was installed from: a queued experiment runs in a copy.
    assert definition(name)["cmd"].startswith(f"env PYTHONPATH=src python {script(name)}")


PHASES = {
    "preprocess": {"prepare"},
    "preprocess_sweep": {"prepare"},
    "train": {"train"},
    "evaluate": {"evaluate"},
    "sweep": {"train", "evaluate"},
    "visualize": {"draw"},
    "visualize_sweep": {"draw"},
}


@pytest.mark.parametrize("name", PHASES)
def test_a_stage_depends_on_the_code_files_of_its_phases_and_on_no_other_code(name: str) -> None:
    code = {path for path in definition(name)["deps"] if path.startswith(("src/", "stages/", "data/code/"))}
    assert code == {f"data/code/${{item}}/{phase}.yaml" for phase in PHASES[name]}


def test_every_edit_of_code_reaches_the_stage_that_knows_what_it_means() -> None:
    expected = {"src/convlab", "stages", "params.yaml", "studies.yaml", "datasets"}
    assert expected == set(definition("resolve")["deps"])
    assert set(PIPELINE) == {*PHASES, "resolve", "download"}


def modules(*parts: str) -> list[Path]:
    return [
        path
        for part in parts
        for path in ([PACKAGE / part] if part.endswith(".py") else (PACKAGE / part).rglob("*.py"))
    ]


ABOVE_TRAINING = ("pipeline.evaluate", "pipeline.executors", "pipeline.trainings", "tracking", "figures")


@pytest.mark.parametrize(
    ("part", "forbidden"),
    [
        (
            "schema",
            (
                "config",
                "models",
                "train",
                *ABOVE_TRAINING,
            ),
        ),
        (
            "config",
            (
                "models",
                "train",
                *ABOVE_TRAINING,
            ),
        ),
        (
            "data",
            (
                "models",
                "train",
                *ABOVE_TRAINING,
            ),
        ),
        (
            "models",
            (
                "data.preprocess",
                "data.augment",
                "data.sources",
                "train",
                *ABOVE_TRAINING,
            ),
        ),
        ("train", ABOVE_TRAINING),
        ("train/fit.py", ("files", "config", "pipeline", "train.progress")),
        ("pipeline/evaluate.py", ("pipeline.trainings", "tracking", "figures")),
        ("pipeline/trainings.py", ("tracking", "figures")),
        ("pipeline/executors", ("pipeline.trainings", "tracking", "figures")),
    ],
)
def test_nothing_imports_from_a_later_part(part: str, forbidden: tuple[str, ...]) -> None:
    for path in modules(part):
        for name in imports(path):
            assert not name.startswith(tuple(f"convlab.{later}" for later in forbidden)), f"{path}: {name}"


@pytest.mark.parametrize("name", ["dvc", "mlflow"])
@pytest.mark.parametrize(
    "part",
    [
        "data",
        "models",
        "train",
        "schema",
        "config",
        "pipeline/executors",
        "pipeline/trainings.py",
        "pipeline/evaluate.py",
    ],
)
def test_training_needs_neither_dvc_nor_mlflow(part: str, name: str) -> None:
    for path in modules(part):
        assert not {found for found in imports(path) if found.split(".")[0] == name}


def test_params_are_read_without_torch() -> None:
    # every command imports them; torch takes seconds
    for path in modules("schema", "config", "errors.py", "data/catalogue.py"):
        assert not {name for name in imports(path) if name.split(".")[0] == "torch"}
