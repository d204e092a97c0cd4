"""Data sets that come in an archive: fetched once, verified, unpacked, removed."""

import io
import tarfile
from pathlib import Path

import pytest
from serving import Server, contents, digest, fill, small_dataset

from convlab.data.catalogue import DATASETS, Archive, Dataset
from convlab.data.sources import fetch
from convlab.errors import InputError

pytest_plugins = ["serving"]

MEMBERS = {"batches/one": b"one" * 100, "batches/two": b"two" * 100}


def pack(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = pack({**MEMBERS, "../../escaped": b"evil", "batches/readme": b"text"})


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    (tmp_path / "mirror").mkdir()
    return tmp_path / "mirror"


@pytest.fixture
def packed(server: Server, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A data set in an archive, which server/a/ and server/b/ do not hold yet."""
    urls = (f"{server.url}a/packed.tar.gz", f"{server.url}b/packed.tar.gz")
    archive = Archive(name="packed.tar.gz", md5=digest(ARCHIVE), urls=urls)
    dataset = small_dataset(MEMBERS, archive=archive)
    monkeypatch.setitem(DATASETS, "packed", dataset)
    return dataset


@pytest.mark.usefixtures("packed")
def test_an_archive_is_fetched_once_unpacked_and_removed(raw: Path, server: Server) -> None:
    server.add("a/packed.tar.gz", ARCHIVE)
    fetch("packed", raw, None)
    assert contents(raw.parent) == {f"raw/packed/{name}": content for name, content in MEMBERS.items()}
    assert server.asked == ["/a/packed.tar.gz"]


@pytest.mark.usefixtures("packed")
def test_a_corrupt_archive_is_rejected_and_the_next_address_used(raw: Path, server: Server) -> None:
    server.add("a/packed.tar.gz", ARCHIVE[:-10])
    server.add("b/packed.tar.gz", ARCHIVE)
    fetch("packed", raw, None)
    assert contents(raw / "packed") == MEMBERS
    assert server.asked == ["/a/packed.tar.gz", "/b/packed.tar.gz"]


@pytest.mark.usefixtures("packed")
def test_a_corrupt_archive_everywhere_is_one_line_and_leaves_nothing(raw: Path, server: Server) -> None:
    server.add("a/packed.tar.gz", ARCHIVE[:-10])
    with pytest.raises(InputError) as error:
        fetch("packed", raw, None)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert "no source gave batches/one, batches/two" in message
    assert f"{server.url}a/packed.tar.gz: corrupt or short: {len(ARCHIVE) - 10:,} bytes" in message
    assert f"{server.url}b/packed.tar.gz: Not Found" in message
    assert contents(raw) == {}
    assert len(server.asked) == 2  # once each, not once a member


@pytest.mark.usefixtures("packed")
def test_members_in_the_mirror_need_no_archive(raw: Path, mirror: Path, server: Server) -> None:
    fill(mirror / "packed", MEMBERS)
    fetch("packed", raw, mirror)
    assert contents(raw / "packed") == MEMBERS
    assert server.asked == []


@pytest.mark.parametrize(
    "there",
    [
        {"batches/one": MEMBERS["batches/one"]},
        {"batches/one": MEMBERS["batches/one"], "batches/two": b"damaged"},
        {"batches/one": b"damaged", "batches/two": b"damaged"},
        {"packed.tar.gz": b"half an archive"},
    ],
)
@pytest.mark.usefixtures("packed")
def test_whatever_is_damaged_the_archive_is_fetched_once(
    raw: Path, server: Server, there: dict[str, bytes]
) -> None:
    fill(raw / "packed", there)
    server.add("a/packed.tar.gz", ARCHIVE)
    fetch("packed", raw, None)
    assert contents(raw / "packed") == MEMBERS
    assert server.asked == ["/a/packed.tar.gz"]


@pytest.mark.usefixtures("packed")
def test_an_archive_left_by_an_interruption_is_used_and_removed(raw: Path, server: Server) -> None:
    fill(raw / "packed", {"packed.tar.gz": ARCHIVE, "batches/one": MEMBERS["batches/one"]})
    fetch("packed", raw, None)
    assert contents(raw / "packed") == MEMBERS
    assert server.asked == []


@pytest.mark.usefixtures("packed")
def test_an_archive_left_beside_all_its_members_is_removed(raw: Path) -> None:
    fill(raw / "packed", {"packed.tar.gz": ARCHIVE, **MEMBERS})  # data/raw is hashed as a whole
    fetch("packed", raw, None)
    assert contents(raw / "packed") == MEMBERS
