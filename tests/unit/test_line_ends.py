"""A checkout has the bytes that were committed, whatever git's line-ending settings."""

from pathlib import Path

from repository import git


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_checkout_with_autocrlf_has_the_committed_bytes(committed: Path, tmp_path: Path) -> None:
    # with \r\n every output that git keeps would count as changed to DVC
    git("-c", "core.autocrlf=true", "checkout-index", "--all", f"--prefix={tmp_path}/")
    ours, theirs = contents(committed), contents(tmp_path)
    assert len(ours) > 400
    assert [path for path in ours if theirs[path] != ours[path]] == []


def test_what_is_text_has_plain_line_ends() -> None:
    kinds = {line.split()[0] for line in git("ls-files", "--eol").splitlines()}
    assert kinds == {"i/lf", "i/-text", "i/none"}
