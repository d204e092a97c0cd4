"""What docs/scale.md says was measured is what the committed JSON files say."""

import re
import socket
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from repository import ROOT

from bench.pipeline import driver, executors, growth_page
from convlab.files import read_json
from robustness import remote_servers, remotes, tracking_speed

PAGE = Path("docs/scale.md")
TABLES: dict[str, tuple[Path, Callable[[dict[str, Any]], str]]] = {
    "growth": (growth_page.RESULTS, growth_page.table),
    "executors": (executors.RESULTS, executors.table),
    "driver": (driver.RESULTS, driver.table),
    "remotes": (remotes.OUT, remotes.table),
    "tracking-speed": (tracking_speed.OUT, tracking_speed.table),
}
FOUND = {
    "server": "the file system",
    "cut_status": 255,
    "cut_says": "ERROR: unreachable",
    "again_status": 0,
    "again_says": "37 files pushed",
    "in_sync": True,
    "pull_status": 0,
    "computed": 0,
    "up_to_date": True,
    "same_bytes": True,
    "clean": True,
    "gates": [0, 1],
    "second_push_status": 0,
    "second_push_says": "WARNING: diverged",
    "first_kept": True,
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_that_of_its_json_file(committed: Path, name: str) -> None:
    path, table = TABLES[name]
    text = f"<!-- {name} -->\n{table(read_json(committed / path))}<!-- /{name} -->"
    assert text in (committed / PAGE).read_text(encoding="utf-8")


def test_the_model_takes_the_writers_cost_from_the_table(committed: Path) -> None:
    found = read_json(committed / tracking_speed.OUT)["found"]
    (one,) = (one for one in found if (one["store"], one["writers"]) == ("PostgreSQL", 1))
    writer, server = one["cpu_of_writers"] / one["runs"], one["cpu_of_server"] / one["runs"]
    page = (committed / PAGE).read_text(encoding="utf-8")
    minutes = f"{10_000 * (writer + server) / 60:.0f} minutes"
    assert f"PostgreSQL, one writer: {1000 * writer:.0f} + {1000 * server:.0f} ms of CPU per run" in page
    assert f"{writer + server:.2f} s per run: {minutes}" in page
    assert f"10,000 runs take {minutes} of CPU time" in page


def seconds(cost: Callable[[int], float]) -> growth_page.Seconds:
    return {str(count): {"cpu": [cost(count)], "wall": [0.0]} for count in (10, 100, 500, 1000)}


def test_a_linear_cost_has_a_slope_and_a_quadratic_one_is_told() -> None:
    slope, beyond = growth_page.growth(seconds(lambda count: 2 + 0.05 * count))
    assert slope == pytest.approx(0.05)
    assert beyond == pytest.approx(0, abs=1e-6)
    _, beyond = growth_page.growth(seconds(lambda count: 2 + 1e-4 * count**2))
    assert beyond is not None
    assert beyond > growth_page.LINEAR
    assert growth_page.growth({"10": {"cpu": [1.0], "wall": [1.0]}}) == (0, None)


@pytest.mark.parametrize(
    ("cost", "kind"),
    [
        (lambda count: 0.8 - 0.1 * (count == 100), "constant"),
        (lambda count: 2 + 0.05 * count, "linear (+0%)"),
        (lambda count: 2 + 1e-4 * count**2, "**not linear** (+"),
    ],
)
def test_how_a_cost_grows_is_said_in_words(cost: Callable[[int], float], kind: str) -> None:
    *_, row = growth_page._rows("trials", {"resolve": seconds(cost)})
    assert kind in row


def test_a_remote_ended_well_only_if_all_did() -> None:
    assert remotes.good(FOUND)
    assert remotes.good({"lacks": "sshd"})
    wrong = {"cut_status": 0, "again_status": 1, "computed": 2, "in_sync": False, "gates": [0, 0]}
    wrong |= {"pull_status": 1} | dict.fromkeys(("up_to_date", "same_bytes", "clean", "first_kept"), False)
    assert [key for key, value in wrong.items() if remotes.good(FOUND | {key: value})] == []


def test_the_gate_of_the_page_is_the_one_that_was_tried() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    block = re.search(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    assert block
    steps = yaml.safe_load(block[1])["jobs"]["results"]["steps"]
    runs = [step["run"] for step in steps if "run" in step]
    assert runs.index(remotes.GATE) == runs.index("dvc pull --run-cache") + 1


def test_what_was_not_run_stays_in_the_table() -> None:
    facts = {"device_name": "a CPU", "python": "3", "dvc": "3", "git_commit": "abcdefghij"}
    text = remotes.table({**facts, "remotes": {"folder": FOUND, "SSH": {"lacks": "sshd, dvc-ssh"}}})
    assert "| SSH | not run: sshd, dvc-ssh not installed |" in text
    assert "status 255: `ERROR: unreachable`" in text


@pytest.fixture
def echo():
    """Return the port of a server that answers with what it is sent."""

    class Echo(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while content := self.request.recv(1 << 16):
                self.request.sendall(content)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_relay_lets_so_many_bytes_pass_and_all_of_them_again_once_mended(echo: int) -> None:
    relay = remote_servers.Relay(echo)

    def answer(content: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", relay.port)) as connection:
            try:
                connection.sendall(content)
                return connection.recv(100)
            except OSError:
                return b""

    assert answer(b"one") == b"one"
    relay.left = 4
    assert [answer(b"two"), answer(b"three"), answer(b"4")] == [b"two", b"", b""]
    relay.left = float("inf")
    assert answer(b"five") == b"five"
    relay.shutdown()
    relay.server_close()
