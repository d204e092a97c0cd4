"""A DVC remote: another clone pulls the results and computes nothing."""

import pytest
from clones import Clone

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def second(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Another clone, at the commit of the results, that pulled from a folder which the first pushed to."""
    remote, folder = (tmp_path_factory.mktemp(name) for name in ("remote", "second"))
    clone.run("dvc", "remote", "add", "--local", "--default", "store", str(remote))
    clone.run("dvc", "push", "--run-cache", "--all-commits")
    clone.run("git", "clone", "--quiet", str(clone.folder), str(folder))
    second = Clone(folder)
    second.run("dvc", "remote", "add", "--local", "--default", "store", str(remote))
    second.run("dvc", "pull", "--run-cache")
    return second


def test_another_clone_pulls_and_is_up_to_date_without_computing(clone: Clone, second: Clone) -> None:
    done = second.run("dvc", "repro")
    assert "Running stage" not in done.stdout
    assert "up to date" in done.stdout
    assert second.run("git", "status", "--porcelain").stdout == ""
    assert second.results() == clone.made
