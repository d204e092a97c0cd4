"""The stages run the code of their own checkout, whatever folder the environment was installed from."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from clones import Clone

pytestmark = pytest.mark.pipeline

CODE = "src/convlab/config/params.py"


@pytest.fixture
def edited(clone: Clone, request: pytest.FixtureRequest) -> Iterator[Clone]:
    """Yield the clone with code that says where it is."""
    with (clone.folder / CODE).open("a") as file:
        # by its name no other test ran this text, so that DVC has nothing cached of it
        file.write(f'\nprint(f"code of {{__file__}}")  # {request.node.name}\n')
    yield clone
    clone.run("git", "checkout", "-q", ".")


def code(output: str) -> set[Path]:
    lines = [line.strip() for line in output.splitlines()]
    return {Path(line.removeprefix("code of ")) for line in lines if line.startswith("code of ")}


def test_a_clone_with_the_environment_of_another_runs_its_own_code(edited: Clone) -> None:
    done = edited.run("dvc", "repro", "--force", "--single-item", "resolve")
    assert code(done.stdout) == {edited.folder / CODE}


@pytest.mark.campaign
def test_an_experiment_in_a_copy_runs_the_code_of_the_copy(edited: Clone) -> None:
    (ran,) = code(edited.run("dvc", "exp", "run", "--temp", "resolve").stdout)
    assert ran.is_relative_to(edited.folder / ".dvc/tmp/exps")


@pytest.mark.campaign
def test_a_queued_experiment_runs_the_code_that_was_queued(edited: Clone) -> None:
    edited.run("dvc", "exp", "run", "--queue", "--name", "queued", "resolve")
    edited.run("git", "checkout", "-q", ".")
    edited.run("dvc", "exp", "run", "--run-all")
    (ran,) = code(edited.run("dvc", "queue", "logs", "queued").stdout)
    assert ran.is_relative_to(edited.folder / ".dvc/tmp/exps")
