"""Git, asked as a program."""

import subprocess
from pathlib import Path

import pytest

from convlab import git


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    return tmp_path


def test_what_it_prints_comes_with_its_line_ends(repository: Path) -> None:
    (repository / "a b").write_bytes(b"one\r\ntwo\n")
    git.run("add", ".")
    assert git.run("ls-files", "-z") == "a b\0"
    assert git.run("show", ":./a b") == "one\r\ntwo\n"


def test_it_is_given_paths_and_variables(repository: Path) -> None:
    (repository / "ä").write_text("text")
    git.run("update-index", "--add", "-z", "--stdin", given="ä\0", environment={"GIT_INDEX_FILE": "other"})
    assert (repository / "other").exists()
    assert git.run("ls-files") == ""


@pytest.mark.parametrize(
    "arguments", [("show", "HEAD"), ("nothing",), ("show", "a\0b"), ("show", ":./bytes")]
)
def test_a_refusal_is_an_error_or_none(repository: Path, arguments: tuple[str, ...]) -> None:
    (repository / "bytes").write_bytes(b"\xff")
    git.run("add", ".")
    assert git.output_or_none(*arguments) is None
    with pytest.raises(git.GitError, match=r"."):
        git.run(*arguments)


def test_where_it_is_not_installed_nothing_is_said(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert git.output_or_none("status") is None
    assert git.ownership_hint() == ""


@pytest.mark.usefixtures("repository")
def test_a_repository_of_another_user_has_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("LANGUAGE", "de")  # the message is read, and git translates it where it can
    assert "git config --global --add safe.directory" in git.ownership_hint()


@pytest.mark.usefixtures("repository")
def test_why_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    author = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    commits = []
    for number in (1, 2):  # two experiments with one name, of commits that are not the current one
        git.run(*author, "commit", "-q", "--allow-empty", "-m", str(number))
        commits.append(git.run("rev-parse", "HEAD").strip())
        git.run("update-ref", f"refs/exps/{'a' * 2}/{str(number) * 38}/fast-lark", "HEAD")
    assert git.commit_of("fast-lark") is None
    told = git.why_no_commit("fast-lark", "found 'fast-lark'")
    assert told.startswith(
        "found 'fast-lark', the name of several DVC experiments; allowed: the commit of one ("
    )
    assert all(commit[:12] in told for commit in commits)
    assert git.why_no_commit("nowhere", "found 'nowhere'").startswith(
        "found 'nowhere'; allowed: a branch, tag,"
    )
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert git.why_no_commit("HEAD", "found 'HEAD'").startswith("git refuses ")
