"""Fetch a data set's files: from a mirror folder, else from its public addresses, else a clear error.

A file is used only if its MD5 is the published one; it is written atomically, and never fetched again while
it is there and intact.
"""

import hashlib
import importlib.resources
import os
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from convlab.data.catalogue import DATASETS, Dataset
from convlab.errors import InputError
from convlab.files import IMPORTED, root

BLOCK = 1 << 20  # bytes
TIMEOUT = 30  # seconds without a byte, then the next source is tried
# Bytes of a file from a network: far more than any has; a broken source must not fill the disk
LARGEST = 1 << 30
MIRROR = "CONVLAB_MIRROR"


class SourceError(Exception):
    """One source could not give a file: the reason, in words."""


def fetch(name: str, folder: Path, mirror: Path | None) -> list[str]:
    """Bring all files of data set `name` below `folder`/`name`, verified; return a line on each file.

    Args:
        name: a key of the catalogue.
        folder: usually data/raw.
        mirror: a folder laid out as MIRROR/<dataset>/<file>, tried first; None to go without.

    Raises:
        InputError: no source gives a file; the message lists each source with its reason.
    """
    dataset = DATASETS[name]
    lines, missing = [], []
    for file, digest in dataset.files.items():
        target = folder / name / file
        if target.is_file() and md5(target) == digest:
            lines.append(f"{name}/{file}: already there")
            continue
        missing.append(file)
    reasons: list[str] = []
    for source, bring in _sources(name, dataset, mirror):
        for file in list(missing):
            try:
                bring(file, folder / name / file, dataset.files[file])
            except (SourceError, OSError, HTTPException) as error:
                if _unreachable(error) or (dataset.archive and source in dataset.archive.urls):
                    reasons.append(f"{source}: {_reason(error)}")
                    break  # what failed for this file will fail for the others
                reasons.append(f"{source}: {file}: {_reason(error)}")
            else:
                missing.remove(file)
                lines.append(f"{name}/{file}: from {source}")
        if not missing:
            break
    if missing:
        tried = "; ".join(reasons) or "no source is known"
        if dataset.imported:
            raise InputError(
                f"{name}: {tried}; bring it back with `dvc checkout {IMPORTED / name}.dvc` or `dvc pull`, or "
                f"make it again with `convlab import {name}`"
            )
        raise InputError(
            f"{name}: no source gave {', '.join(missing)}. Tried: {tried}. "
            f"Without a network, put the files below a folder MIRROR as MIRROR/{name}/{missing[0]} "
            f"and run again with {MIRROR}=MIRROR set"
        )
    _tidy(folder / name, dataset)
    return lines


def _tidy(folder: Path, dataset: Dataset) -> None:
    """Remove archives and what an interruption left: data/raw is hashed as a whole."""
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in dataset.files:
            path.unlink()


def mirror_from_environment() -> Path | None:
    """Read the mirror folder from CONVLAB_MIRROR; a relative one is below the real repository.

    Raises:
        InputError: it is set, but is not a folder.
    """
    value = os.environ.get(MIRROR)
    if not value:
        return None
    folder = root() / value  # under `dvc exp run --temp` the working directory is a copy
    if not folder.is_dir():
        raise InputError(
            f"{MIRROR}: found {value!r}, which is not a folder; allowed: one that holds <dataset>/<file>"
        )
    return folder


def md5(path: Path) -> str:
    """Compute the MD5 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


# Each source is a name and a function (file, target, digest) that puts the verified file at `target`.
def _sources(name: str, dataset: Dataset, mirror: Path | None) -> Iterator[tuple]:
    if dataset.embedded:
        yield "scikit-learn", _from_scikit_learn
        return
    if dataset.imported:
        yield (
            f"{IMPORTED}/",
            lambda file, target, digest: _from_file(IMPORTED / name / file, target, digest),
        )
        return
    if mirror:
        yield (
            f"mirror {mirror}",
            lambda file, target, digest: _from_file(mirror / name / file, target, digest),
        )
    for base in dataset.urls:
        yield base, lambda file, target, digest, base=base: _from_url(base + file, target, digest)
    if dataset.archive:
        for url in dataset.archive.urls:
            yield url, lambda file, target, digest, url=url: _from_archive(dataset, url, file, target, digest)


def _from_scikit_learn(file: str, target: Path, digest: str) -> None:
    resource = importlib.resources.files("sklearn.datasets.data").joinpath(file)
    with importlib.resources.as_file(resource) as path:
        _from_file(path, target, digest)


def _from_file(path: Path, target: Path, digest: str) -> None:
    if not path.is_file():
        raise SourceError("not there")
    size = path.stat().st_size
    with path.open("rb") as stream:
        _store(stream, size, target, digest, size)


def _from_url(url: str, target: Path, digest: str) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "convlab"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as stream:
        size = stream.headers.get("Content-Length", "")
        _store(stream, int(size) if size.isdecimal() else 0, target, digest, LARGEST)


def _from_archive(dataset: Dataset, url: str, file: str, target: Path, digest: str) -> None:
    assert dataset.archive
    archive = target.parents[1] / dataset.archive.name  # fetched once, for all members
    if not (archive.is_file() and md5(archive) == dataset.archive.md5):
        _from_url(url, archive, dataset.archive.md5)
    # Only the member asked for is read, into a path of our own: no name inside the archive is ever a path.
    with tarfile.open(archive) as tar:
        stream = tar.extractfile(file)
        if stream is None:
            raise SourceError("not a file in the archive")
        _store(stream, tar.getmember(file).size, target, digest, LARGEST)


def _store(stream: IO[bytes], size: int, target: Path, digest: str, most: int) -> None:
    """Copy a stream of up to `most` bytes to a temporary file, verify it, and only then give it its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.md5()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file, _progress(target.name, size) as advance:
            while block := stream.read(BLOCK):
                found.update(block)
                file.write(block)
                advance(len(block))
                if file.tell() > most:
                    raise SourceError("larger than any file of this data set")
            length = file.tell()
            file.flush()
            os.fsync(file.fileno())
        if found.hexdigest() != digest:
            raise SourceError(
                f"corrupt or short: {length:,} bytes with MD5 {found.hexdigest()}, expected {digest}"
            )
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextmanager
def _progress(name: str, size: int) -> Iterator:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(name, total=size or None)
        yield lambda count: progress.advance(task, count)


def _unreachable(error: Exception) -> bool:
    """Tell a source that does not answer at all from one that lacks a file."""
    return isinstance(error, (URLError, TimeoutError, ConnectionError)) and not isinstance(error, HTTPError)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason) or type(error).__name__
