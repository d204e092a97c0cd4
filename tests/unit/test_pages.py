"""What the documentation mentions exists: commands, targets, scripts, files, headings."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from repository import ROOT

from convlab import cli
from convlab.errors import InputError
from convlab.schema import Experiment
from robustness import documented

PAGES = documented.pages()
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
README_LIMIT = 8192


def words(command: str) -> list[str]:
    """Split a command line; a comment ends it."""
    return shlex.split(command, comments=True)


def starting_with(*names: str) -> list[tuple[str, str]]:
    return [
        (str(page.relative_to(ROOT)), command)
        for page in PAGES
        for command in documented.code(page.read_text(encoding="utf-8"))
        if command.split(" ")[0].split("/")[-1] in names and " " in command
    ]


def heading_ids(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_one_page() -> None:
    assert (ROOT / "README.md").stat().st_size <= README_LIMIT


@pytest.mark.parametrize(("page", "command"), starting_with("convlab"))
def test_a_convlab_command_parses(page: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "COMMANDS", {name: _nothing(name) for name in cli.COMMANDS})
    monkeypatch.setattr(sys, "argv", words(command))
    try:
        cli._main()
    except SystemExit as done:  # --help, --version
        status = done.code
        assert not status, page
    except InputError as error:
        pytest.fail(f"{page}: {command}: {error}")


def _nothing(name: str):
    def command(**options: object) -> int:
        return 0

    command.__doc__ = name
    return command


@pytest.mark.parametrize(("page", "command"), starting_with("make"))
def test_a_target_is_in_the_makefile(page: str, command: str) -> None:
    named = [word for word in words(command)[1:] if "=" not in word and not word.startswith("-")]
    assert set(named) <= {*TARGETS}, page


@pytest.mark.parametrize(("page", "command"), starting_with("python", "python3"))
def test_a_script_exists(page: str, command: str) -> None:
    # .gpu/ holds what is fetched for a GPU machine
    scripts = [word for word in words(command) if word.endswith(".py") and not word.startswith(".gpu/")]
    assert [script for script in scripts if not (ROOT / script).is_file()] == [], page


def test_a_command_was_run_or_the_plan_says_why_not() -> None:
    how, done = documented.plan(), documented.record()
    assert set(documented.typed_here()) == set(done.command), "run `python robustness/documented.py`"
    assert done.command[done.status != 0].tolist() == []
    known = {command for commands in how.values() for command in commands}
    assert known - set(documented.documented()) == set()
    assert [path for path in how["tested"].values() if not (ROOT / path).is_file()] == []


def settings() -> list[tuple[str, str]]:
    """Return what `dvc exp run` sets, page by page; docs/extending.md sets what its diffs add."""
    pages = [(page, command) for page, command in starting_with("dvc") if "extending" not in page]
    found = [(page, re.findall(r"-S '?([^ '=]+)=", command)) for page, command in pages]
    return list(dict.fromkeys((page, key) for page, keys in found for key in keys))


@pytest.mark.parametrize(("page", "key"), settings())
def test_what_a_command_sets_is_in_params_yaml(page: str, key: str) -> None:
    # `++` may add a key, which the schema has to know
    file, _, key = key.removeprefix("+").rpartition(":") if ".yaml:" in key else ("params.yaml", "", key)
    *parents, last = key.lstrip("+").split(".")
    section = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    for parent in parents:
        section = section[parent]
    assert last in (Experiment.model_fields if key.startswith("+") else section), page


def test_the_layout_names_every_module() -> None:
    """docs/pipeline.md; of folders that have a file per page, command or figure, the folder."""
    package = ROOT / "src/convlab"
    text = (ROOT / "docs/pipeline.md").read_text(encoding="utf-8")
    (layout,) = [block for block in re.findall(r"^```.*?^```", text, re.M | re.S) if "  train/ " in block]
    modules = [path for path in (*package.glob("*.py"), *package.glob("*/*.py")) if path.stem != "__init__"]
    own = [path for path in modules if path.parent.name not in ("book", "commands", "figures")]
    assert [path.stem for path in own if not re.search(rf"\b{path.stem}\b", layout)] == []


def links() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        targets = re.findall(r"\]\(([^)\s]+)\)", text)
        found += [(str(page.relative_to(ROOT)), target) for target in targets if "://" not in target]
    return found


@pytest.mark.parametrize(("page", "target"), dict.fromkeys(links()))
def test_a_link_has_a_target(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = (ROOT / page).parent / path if path else ROOT / page
    assert file.exists()
    if anchor:
        assert anchor in heading_ids(file)
