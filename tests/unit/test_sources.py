"""Where raw files come from: a mirror, addresses in their order, and what is refused on the way."""

import dataclasses
import os
import socket
from pathlib import Path

import pytest
from serving import FILES, Server, contents, digest, fill

from convlab.data import sources
from convlab.data.catalogue import DATASETS, Dataset
from convlab.data.sources import fetch, md5, mirror_from_environment
from convlab.errors import InputError

pytest_plugins = ["serving"]


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    (tmp_path / "mirror").mkdir()
    return tmp_path / "mirror"


@pytest.mark.usefixtures("tiny")
def test_files_come_from_the_mirror_and_no_address_is_asked(raw: Path, mirror: Path, server: Server) -> None:
    fill(mirror / "tiny", FILES)
    lines = fetch("tiny", raw, mirror)
    assert contents(raw / "tiny") == FILES
    assert lines == [f"tiny/{name}: from mirror {mirror}" for name in FILES]
    assert server.asked == []


@pytest.mark.usefixtures("tiny")
def test_a_local_file_may_be_larger_than_what_a_network_may_send(
    raw: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LARGEST", 10)
    fill(mirror / "tiny", FILES)
    fetch("tiny", raw, mirror)
    assert contents(raw / "tiny") == FILES


@pytest.mark.usefixtures("tiny")
def test_without_a_mirror_files_come_from_the_first_address(raw: Path, server: Server) -> None:
    for name, content in FILES.items():
        server.add(f"a/{name}", content)
        server.add(f"b/{name}", content)
    assert fetch("tiny", raw, None) == [f"tiny/{name}: from {server.url}a/" for name in FILES]
    assert contents(raw / "tiny") == FILES
    assert sorted(server.asked) == ["/a/images.gz", "/a/labels.gz"]


@pytest.mark.parametrize(
    "bad", [b"", b"imag", b"x" * 6000, FILES["images.gz"][:-1], FILES["images.gz"] + b"x"]
)
@pytest.mark.usefixtures("tiny")
def test_a_wrong_file_in_the_mirror_is_rejected_and_the_next_source_used(
    raw: Path, mirror: Path, server: Server, bad: bytes
) -> None:
    fill(mirror / "tiny", {**FILES, "images.gz": bad})
    server.add("a/images.gz", FILES["images.gz"])
    lines = fetch("tiny", raw, mirror)
    assert contents(raw / "tiny") == FILES
    assert sorted(lines) == [f"tiny/images.gz: from {server.url}a/", f"tiny/labels.gz: from mirror {mirror}"]
    assert server.asked == ["/a/images.gz"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (FILES["images.gz"][:100], {"Content_Length": "6000"}),  # the connection breaks
        (FILES["images.gz"][:100], {}),
        (b"<html>Please log in</html>", {"Content_Type": "text/html"}),
        (b"", {}),
        (FILES["images.gz"], {"Content_Length": "many"}),
    ],
    ids=["broken connection", "short", "login page", "empty", "senseless length"],
)
@pytest.mark.usefixtures("tiny")
def test_an_address_that_gives_something_else_is_passed_over(
    raw: Path, server: Server, body: bytes, headers: dict[str, str]
) -> None:
    server.add("a/images.gz", body, **headers)
    for name, content in FILES.items():
        server.add(f"b/{name}", content)
    fetch("tiny", raw, None)
    assert contents(raw / "tiny") == FILES


@pytest.mark.usefixtures("tiny")
def test_an_endless_file_is_given_up(raw: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LARGEST", 6500)
    server.add("a/images.gz", b"x" * 7000)
    server.add("b/images.gz", FILES["images.gz"])
    server.add("b/labels.gz", FILES["labels.gz"])
    fetch("tiny", raw, None)
    assert contents(raw / "tiny") == FILES


def test_when_no_source_gives_a_file_one_line_lists_each_with_its_reason(
    tiny: Dataset, raw: Path, mirror: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/"
    urls = (*tiny.urls, closed)
    monkeypatch.setitem(DATASETS, "tiny", dataclasses.replace(tiny, urls=urls))
    fill(mirror / "tiny", {"images.gz": b"corrupt"})
    server.add("a/labels.gz", FILES["labels.gz"])
    server.add("b/images.gz", FILES["images.gz"][:50])
    with pytest.raises(InputError) as error:
        fetch("tiny", raw, mirror)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert message.startswith("tiny: no source gave images.gz. ")
    assert f"mirror {mirror}: images.gz: corrupt or short: 7 bytes with MD5 {digest(b'corrupt')}" in message
    assert f"mirror {mirror}: labels.gz: not there" in message
    assert f"{server.url}a/: images.gz: Not Found" in message
    assert f"{server.url}b/: images.gz: corrupt or short: 50 bytes" in message
    assert f"{closed}: [Errno" in message, "a source that does not answer is named once, not once a file"
    assert "refused" in message
    assert "MIRROR/tiny/images.gz" in message
    assert "CONVLAB_MIRROR=MIRROR" in message


@pytest.mark.usefixtures("tiny")
def test_a_failure_leaves_no_temporary_and_keeps_what_did_arrive(raw: Path, server: Server) -> None:
    server.add("a/labels.gz", FILES["labels.gz"])
    server.add("a/images.gz", FILES["images.gz"][:50])
    with pytest.raises(InputError):
        fetch("tiny", raw, None)
    assert contents(raw) == {"tiny/labels.gz": FILES["labels.gz"]}


@pytest.mark.usefixtures("tiny")
def test_what_is_there_and_right_is_neither_touched_nor_fetched_again(raw: Path, server: Server) -> None:
    fill(raw / "tiny", FILES)
    for name in FILES:
        os.utime(raw / "tiny" / name, (1_000_000, 1_000_000))
    assert fetch("tiny", raw, None) == [f"tiny/{name}: already there" for name in FILES]
    assert all((raw / "tiny" / name).stat().st_mtime == 1_000_000 for name in FILES)
    assert server.asked == []


@pytest.mark.usefixtures("tiny")
def test_what_is_there_and_wrong_is_replaced_and_the_rest_is_not_touched(raw: Path, server: Server) -> None:
    fill(raw / "tiny", {**FILES, "images.gz": b"damaged"})
    os.utime(raw / "tiny/labels.gz", (1_000_000, 1_000_000))
    server.add("a/images.gz", FILES["images.gz"])
    fetch("tiny", raw, None)
    assert contents(raw / "tiny") == FILES
    assert (raw / "tiny/labels.gz").stat().st_mtime == 1_000_000
    assert server.asked == ["/a/images.gz"]


@pytest.mark.usefixtures("tiny")
def test_a_wrong_file_stays_until_a_right_one_is_there(raw: Path) -> None:
    fill(raw / "tiny", {**FILES, "images.gz": b"damaged"})
    with pytest.raises(InputError):
        fetch("tiny", raw, None)
    assert contents(raw / "tiny") == {**FILES, "images.gz": b"damaged"}


@pytest.mark.usefixtures("tiny")
def test_leftovers_of_an_interruption_are_removed(raw: Path) -> None:
    fill(raw / "tiny", {**FILES, ".images.gz.q1w2e3": b"half"})  # data/raw is hashed as a whole
    fetch("tiny", raw, None)
    assert contents(raw / "tiny") == FILES


def test_the_digits_need_no_network(raw: Path) -> None:
    assert fetch("digits", raw, None) == ["digits/digits.csv.gz: from scikit-learn"]
    assert md5(raw / "digits/digits.csv.gz") == DATASETS["digits"].files["digits.csv.gz"]


# ----------------------------------------------------------------------------------- the mirror's environment


def test_the_mirror_is_named_by_the_environment(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mirror_from_environment() is None
    monkeypatch.setenv("CONVLAB_MIRROR", "")
    assert mirror_from_environment() is None
    monkeypatch.setenv("CONVLAB_MIRROR", str(mirror))
    assert mirror_from_environment() == mirror


def test_a_relative_mirror_is_below_the_real_repository(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc exp run --temp` works in a copy of it."""
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(mirror.parent))
    monkeypatch.setenv("CONVLAB_MIRROR", mirror.name)
    found = mirror_from_environment()
    assert found
    assert found.samefile(mirror)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_mirror_that_is_no_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "mirror"
    if kind == "file":
        path.write_text("")
    monkeypatch.setenv("CONVLAB_MIRROR", str(path))
    with pytest.raises(InputError, match=r"CONVLAB_MIRROR: found .* which is not a folder; allowed: "):
        mirror_from_environment()


@pytest.mark.parametrize("name", DATASETS)
def test_the_catalogue_holds_only_plain_paths_and_md5s(name: str) -> None:
    dataset = DATASETS[name]
    for path, value in dataset.files.items():
        assert not Path(path).is_absolute()
        assert ".." not in Path(path).parts
        assert len(bytes.fromhex(value)) == 16
    assert len(set(dataset.classes)) == len(dataset.classes) == 10
    assert dataset.embedded or dataset.urls or dataset.archive


def test_an_address_that_answers_nothing_gives_way_to_the_next(
    tiny: Dataset, raw: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "TIMEOUT", 0.5)
    for name, content in FILES.items():
        server.add(f"b/{name}", content)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never says a word
        urls = (f"http://127.0.0.1:{silent.getsockname()[1]}/", tiny.urls[1])
        monkeypatch.setitem(DATASETS, "tiny", dataclasses.replace(tiny, urls=urls))
        assert fetch("tiny", raw, None) == [f"tiny/{name}: from {server.url}b/" for name in FILES]
