"""A clone in which the pipeline ran, made once for all tests."""

import os
import shutil
from collections.abc import Iterator

import pytest
from clones import Clone, clone_to, shrink, without_mlflow
from filelock import FileLock


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the pipeline ran: one process of the tests makes it, each has a copy of its own."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(shared / "reproduced.lock"):
        if not (shared / "reproduced").exists():
            shutil.rmtree(shared / "reproducing", ignore_errors=True)  # of a process that failed here
            (shared / "reproducing").mkdir()
            first = clone_to(shared / "reproducing")
            first.run("git", "init", "-q")
            first.edit(shrink)
            without_mlflow(first)
            first.commit("start")
            first.run("dvc", "repro")
            first.commit("reproduced")
            first.folder.rename(shared / "reproduced")
    folder = tmp_path_factory.mktemp("copies") / "clone"
    shutil.copytree(shared / "reproduced", folder, symlinks=True)
    clone = Clone(folder)
    clone.run("dvc", "commit", "-q", "-f")  # DVC identifies what it has checked out by the folder's path
    clone.made = clone.results()
    return clone


@pytest.fixture
def tracked(clone: Clone) -> Iterator[Clone]:
    """Yield the clone with MLflow in reach."""
    (clone.folder / "src/mlflow.py").unlink()
    yield clone
    clone.run("git", "checkout", "-q", ".")
