"""Another selection deletes no result: not from the work tree, and not from DVC's cache."""

from collections.abc import Iterator

import pytest
from clones import Clone

pytestmark = pytest.mark.pipeline

KEPT = ("python", "-m", "convlab.pipeline.kept")


def gone(clone: Clone) -> list[str]:
    return clone.run("git", "ls-files", "--deleted").stdout.split()


def weights(clone: Clone) -> set[str]:
    return {path.name for path in (clone.folder / "data/models/digits").glob("*")}


@pytest.fixture(scope="module", autouse=True)
def known(clone: Clone) -> None:
    """Let DVC record each file as written by itself; `resolve` has it forget the results."""
    clone.run("dvc", "commit", "-q", "-f")
    clone.run("python", "stages/resolve.py", PYTHONPATH="src")


@pytest.fixture
def other(clone: Clone) -> Iterator[Clone]:
    """Select an experiment that is the digits' by another name, and let DVC follow."""

    def select(params: dict) -> None:
        params["experiments"]["second"] = params["experiments"]["digits"]
        params |= {"run": ["second"], "run_sweeps": []}

    clone.edit(select)
    clone.run("dvc", "checkout", "-q", "--allow-missing")
    yield clone
    clone.run("git", "checkout", "-q", ".")
    clone.run("git", "clean", "-fdq", "data")  # the second's configuration
    clone.run("dvc", "checkout", "-q", status=None)  # gc has taken the digits' own: the next run writes them


def test_results_in_git_stay_and_weights_are_back_with_their_selection(other: Clone) -> None:
    assert gone(other) == []
    assert not weights(other)  # DVC has followed: they are in its cache alone
    other.run(*KEPT, "dvc", "gc", "--workspace", "--force", PYTHONPATH="src")
    other.run("git", "checkout", "-q", ".")
    other.run("dvc", "checkout", "-q", status=None)  # fails for what the other selection did not have
    assert weights(other) == {"seed-20250318.safetensors"}
    done = other.run("dvc", "repro")
    assert "Running stage 'train" not in done.stdout
    assert "Running stage 'sweep" not in done.stdout


@pytest.mark.campaign
def test_results_that_dvc_wrote_in_this_clone_stay_without_another_run(other: Clone) -> None:
    other.run("git", "checkout", "-q", ".")
    other.run("dvc", "repro", "-q")
    other.run("dvc", "repro", "-f", "-s", "evaluate@digits")
    other.run("sed", "-i", "s/^- digits$/- mnist_vgg/", "params.yaml")
    other.run("dvc", "checkout", "-q", "--allow-missing")
    assert gone(other) == []


def test_what_is_missing_all_the_same_is_back_with_the_next_run(other: Clone) -> None:
    """As in a clone where DVC ran before it was kept from recording results."""
    (other.folder / "metrics/digits/train.json").unlink()
    done = other.run("dvc", "repro", "resolve")
    assert "restored from git, though not selected now: digits" in done.stdout
    assert gone(other) == []


@pytest.mark.campaign
def test_a_selection_and_back_leaves_no_configuration_and_brings_results_back(other: Clone) -> None:
    configs, params = other.folder / "data/configs", (other.folder / "params.yaml").read_bytes()
    other.run("dvc", "repro", "resolve")
    assert (configs / "second.yaml").exists()
    other.run("git", "checkout", "-q", "params.yaml")
    other.run("dvc", "repro", "resolve")
    assert (configs / "digits.yaml").exists()
    assert not (configs / "second.yaml").exists()
    (other.folder / "metrics/digits/train.json").unlink()  # as DVC does with what is not selected
    (other.folder / "params.yaml").write_bytes(params)
    other.run("dvc", "repro", "resolve")
    assert gone(other) == []


def test_what_is_pushed_is_everything_that_was_computed(other: Clone) -> None:
    before = (other.folder / "params.yaml").read_bytes()
    remote = other.folder.parent / "remote"
    other.run("dvc", "remote", "add", "-q", "-f", "-d", "kept", str(remote))
    pushed = other.run(*KEPT, "dvc", "push", PYTHONPATH="src").stdout
    assert "files pushed" in pushed
    assert (other.folder / "params.yaml").read_bytes() == before
    other.run("dvc", "push", status=None)
    done = other.run(*KEPT, "dvc", "status", "--cloud", PYTHONPATH="src").stdout
    assert "in sync" in done


def test_a_result_that_the_user_deleted_stays_deleted(other: Clone) -> None:
    other.run("git", "rm", "-rq", "metrics/digits_l2", "plots/digits_l2")
    other.run("dvc", "repro", "resolve")
    assert not (other.folder / "metrics/digits_l2").exists()
    other.run("git", "reset", "-q")
