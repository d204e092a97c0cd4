"""What is said of an MLflow server that fails: where it is and what happened, on one short line."""

import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
import requests
import urllib3
from mirrored import put
from mlflow.exceptions import MlflowException

from convlab.tracking import failures, mirror, store

Answer = Callable[[socket.socket], None]
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
UNAVAILABLE = b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LATE = "no answer within 1 s"
CLOSED = "closed the connection before it had answered"


class Server(socketserver.ThreadingTCPServer):
    """A server on this machine that reads each request, and answers it with `answer`."""

    daemon_threads = True
    answer: Answer

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ended = threading.Event()
        self.port = self.socket.getsockname()[1]


class Handler(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        self.request.recv(1 << 16)
        self.server.answer(self.request)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.ended.set()
        server.shutdown()


@pytest.fixture(params=[0, 1], ids=["asked once", "asked again"])
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One second in place of ten. What MLflow raises depends on the number of retries."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(request.param))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def sent(content: bytes) -> Answer:
    return lambda connection: connection.sendall(content)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, LATE),
        (lambda connection: None, CLOSED),
        (reset, CLOSED),
        (sent(HALF), CLOSED),
        (sent(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not speak HTTP"),
    ],
    ids=["silent", "closed", "reset", "half an answer", "no HTTP"],
)
def test_a_connection_that_fails_is_the_server_and_a_few_words(
    tmp_path, monkeypatch, recipe, capsys, server: Server, quick: None, answer: Answer | None, said: str
) -> None:
    server.answer = answer or (lambda connection: server.ended.wait() and None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:secret@127.0.0.1:{server.port}")
    put(recipe)
    assert not mirror("one")
    expected = f"mlflow: one is not mirrored (127.0.0.1:{server.port}: {said}); `make track` catches up\n"
    assert capsys.readouterr().err == expected


def error_of(monkeypatch: pytest.MonkeyPatch, uri: str) -> Exception:
    """Return what MLflow raises when it asks a server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    store.load_mlflow()
    from mlflow import MlflowClient

    with pytest.raises(MlflowException) as raised:
        MlflowClient(uri).search_experiments(max_results=1)
    return raised.value


def test_half_an_answer_and_then_nothing_is_late(monkeypatch, server: Server, quick: None) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(HALF)
        server.ended.wait()

    server.answer = answer
    error = error_of(monkeypatch, f"http://127.0.0.1:{server.port}")
    assert failures.reason(error) == f"127.0.0.1:{server.port}: {LATE}"


def test_a_server_without_tls_is_named(monkeypatch, server: Server, quick: None) -> None:
    server.answer = sent(UNAVAILABLE)
    error = error_of(monkeypatch, f"https://127.0.0.1:{server.port}")
    assert failures.reason(error) == f"127.0.0.1:{server.port}: no TLS connection (WRONG_VERSION_NUMBER)"


def test_a_name_that_nobody_knows_is_said(monkeypatch, quick: None) -> None:
    error = error_of(monkeypatch, "http://no-such-host.invalid:5000")
    assert failures.reason(error).startswith("no-such-host.invalid:5000: ")
    assert "resolution" in failures.reason(error) or "not known" in failures.reason(error)


def test_a_server_that_answers_with_errors_has_answered(monkeypatch, server: Server, quick: None) -> None:
    server.answer = sent(UNAVAILABLE)
    uri = f"http://somebody:secret@127.0.0.1:{server.port}"
    error = error_of(monkeypatch, uri)
    shown = f"127.0.0.1:{server.port}"
    assert failures.explain(error) == f"http://{shown} failed: {shown}: too many 503 error responses"


def test_a_long_message_ends_between_words(monkeypatch) -> None:
    error = ValueError("what //somebody:secret@there said " + "again and " * 100)
    said = failures.reason(error)
    assert said.startswith("what //there said again and")
    assert said.endswith(("again …", "and …"))
    assert len(said) <= failures.LONGEST
    assert failures.reason(ValueError()) == "ValueError"


def test_an_error_without_a_message_is_its_name(monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there:5000")
    broken = requests.ConnectionError(urllib3.exceptions.ProtocolError("broken", ConnectionAbortedError()))
    assert failures.reason(broken) == "there:5000: ConnectionAbortedError"
    never = requests.ConnectionError(urllib3.exceptions.NewConnectionError(None, "no connection"))
    assert failures.reason(never).endswith("no connection")
