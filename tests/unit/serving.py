"""A web server on this machine, and small data sets that it has: where raw files come from."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convlab.data.catalogue import DATASETS, Dataset


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


FILES = {"images.gz": b"images" * 1000, "labels.gz": b"labels" * 10}


class Server:
    """A web server on this machine: `pages` by path, each a body and headers; it counts what is asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                if self.path not in outer.pages:
                    self.send_error(404)
                    return
                body, headers = outer.pages[self.path]
                self.send_response(200)
                for key, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def add(self, path: str, body: bytes, **headers: str) -> None:
        self.pages[f"/{path}"] = body, {key.replace("_", "-"): value for key, value in headers.items()}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.server.shutdown()
    server.server.server_close()
    thread.join()


def digest(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def small_dataset(contents: dict[str, bytes], **where: Any) -> Dataset:
    return Dataset(
        shape=(1, 2, 2),
        max_value=255,
        classes=("0", "1"),
        train_images=10,
        flip_safe=True,
        files={name: digest(content) for name, content in contents.items()},
        format="idx",
        **where,
    )


@pytest.fixture
def tiny(server: Server, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A data set of two files, from two addresses: server/a/ and server/b/, which hold nothing yet."""
    dataset = small_dataset(FILES, urls=(f"{server.url}a/", f"{server.url}b/"))
    monkeypatch.setitem(DATASETS, "tiny", dataset)
    return dataset


def fill(folder: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
