"""One writer at a time on a server, whatever is killed, cut off, slow, copied, or has another clock."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from mirrored import put_sweep
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST

from convlab.tracking import server_lock, store
from convlab.tracking.server_lock import PREFIX, TAG, ServerLock


class Registry:
    """A server's registry of models: what MLflow's client does, one call at a time, each after `delay` s.

    `before` is called with the name of each call and of the model.
    """

    def __init__(self) -> None:
        self.tags: dict[str, dict[str, str]] = {}
        self.delay = 0.0
        self.before: Callable[[str, str], None] = lambda call, name: None
        self.one = threading.Lock()

    def create_registered_model(self, name: str, description: str | None = None) -> None:
        with self._call("create", name, there=False):
            self.tags[name] = {}

    def delete_registered_model(self, name: str) -> None:
        with self._call("delete", name):
            del self.tags[name]

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        with self._call("tag", name):
            self.tags[name][key] = value

    def search_registered_models(self, _: str, max_results: int) -> list[Any]:
        self.before("search", "")
        time.sleep(self.delay)
        with self.one:
            found = {name: dict(tags) for name, tags in self.tags.items()}
        return [SimpleNamespace(name=name, tags=tags) for name, tags in found.items()]

    @contextmanager
    def _call(self, call: str, name: str, there: bool = True) -> Iterator[None]:
        self.before(call, name)
        time.sleep(self.delay)
        with self.one:
            if (name in self.tags) != there:
                code = RESOURCE_DOES_NOT_EXIST if there else RESOURCE_ALREADY_EXISTS
                raise MlflowException(name, error_code=code)
            yield


class Writers:
    """Threads that write, each for as long as it is let; `most` is how many were in at once."""

    def __init__(self, registry: Registry):
        self.registry, self.inside, self.most, self.errors = registry, set[str](), 0, list[Exception]()
        self.threads: dict[str, threading.Thread] = {}
        self.may_leave: dict[str, threading.Event] = {}

    def start(self, name: str, times: int = 1, stay: bool = False) -> None:
        """Let one enter so many times; with `stay`, it stays inside until it is told to leave."""
        self.may_leave[name] = threading.Event()
        if not stay:
            self.may_leave[name].set()
        self.threads[name] = threading.Thread(target=self._write, args=(name, times), daemon=True)
        self.threads[name].start()

    def _write(self, name: str, times: int) -> None:
        for _ in range(times):
            with ServerLock(self.registry) as lock:  # type: ignore[arg-type]
                self.inside.add(name)
                self.most = max(self.most, len(self.inside))
                time.sleep(0.005)
                self.may_leave[name].wait()
                try:
                    lock.check()
                except TimeoutError as error:
                    self.errors.append(error)
                self.inside.remove(name)

    def enter(self, name: str) -> str:
        """Start a writer that stays in, alone; return its name on the server."""
        self.start(name, stay=True)
        self.wait_for(name)
        (own,) = self.registry.tags
        return own

    def wait_for(self, name: str) -> None:
        while name not in self.inside:
            time.sleep(0.005)

    def end(self, *names: str) -> None:
        for name in names or self.threads:
            self.may_leave[name].set()
            self.threads[name].join()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server, and seconds in place of minutes."""
    monkeypatch.setattr(server_lock, "tracking_uri", lambda: "http://server")
    monkeypatch.setattr(server_lock, "clone_id", lambda: "copied")  # with `cp -r`, clones have the same id
    monkeypatch.setattr(server_lock, "POLL_SECONDS", (0.01, 0.05))
    monkeypatch.setattr(server_lock, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(server_lock, "STALE_SECONDS", 3.0)
    monkeypatch.setattr(server_lock, "LEASE_SECONDS", 1.5)


@pytest.fixture
def registry(quick: None) -> Registry:
    return Registry()


@pytest.fixture
def writers(registry: Registry) -> Iterator[Writers]:
    found = Writers(registry)
    yield found
    found.end()
    assert not registry.tags  # nothing is left on the server


def test_of_eight_at_once_one_is_in_at_a_time_and_all_have_their_turn(
    registry: Registry, writers: Writers
) -> None:
    registry.delay = 0.002
    for name in "ABCDEFGH":
        writers.start(name, times=3)
    writers.end()
    assert writers.most == 1


def test_a_writer_that_lives_is_waited_for_however_long_it_takes(
    registry: Registry, writers: Writers
) -> None:
    name = writers.enter("A")
    writers.start("B")
    while int(registry.tags[name].get(TAG, 0)) * server_lock.RENEW_SECONDS < 1.3 * server_lock.STALE_SECONDS:
        assert writers.inside == {"A"}
        time.sleep(0.05)
    writers.end()
    assert writers.most == 1
    assert not writers.errors


def test_who_waits_too_long_says_so(
    registry: Registry, writers: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers.enter("A")
    monkeypatch.setattr(server_lock, "WAIT_SECONDS", 0.1)
    with pytest.raises(TimeoutError, match=r"other writers held the server's lock for 0\.1 s"):
        ServerLock(registry).__enter__()  # type: ignore[arg-type]
    assert len(registry.tags) == 1


def test_two_that_find_a_killed_writers_name_remove_it_and_enter_one_by_one(
    registry: Registry, writers: Writers
) -> None:
    registry.tags[f"{PREFIX}killed"] = {TAG: "7"}
    both = threading.Barrier(2)

    def together(call: str, name: str) -> None:
        if call == "delete" and name.endswith("killed"):
            both.wait()  # both have judged it, and remove it now

    registry.before = together
    writers.start("A")
    writers.start("B")
    writers.end()
    assert writers.most == 1


def test_a_writer_that_was_cut_off_leaves_the_next_ones_name_and_creates_nothing_more(
    registry: Registry, writers: Writers
) -> None:
    name = writers.enter("A")

    def cut_off(call: str, of: str) -> None:
        if call == "tag" and of == name:
            raise MlflowException("no route to host")

    registry.before = cut_off
    writers.start("B", stay=True)
    writers.wait_for("B")  # it believes that A is dead
    writers.end("A")
    (error,) = writers.errors
    assert str(error) == "lost the server's lock: not renewed for 1.5 s"
    writers.start("C")
    time.sleep(0.3)
    assert writers.inside == {"B"}  # A has not removed B's name
    writers.end()


def test_what_keeps_a_writer_from_the_registry_is_raised(registry: Registry) -> None:
    def forbid(call: str, _: str) -> None:
        if call == "create":
            raise MlflowException("not allowed to create models")

    registry.before = forbid
    with pytest.raises(MlflowException, match="not allowed"):
        ServerLock(registry).__enter__()  # type: ignore[arg-type]


def test_a_sweep_gives_others_a_turn_between_its_runs(
    mirror: Any, recipe: Any, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With MLflow's own registry: the database is one of a server, so to speak."""
    monkeypatch.setattr(server_lock, "HOLD_SECONDS", 0.0)
    put_sweep(recipe)
    turns = []
    take = ServerLock._take

    def taken(lock: ServerLock) -> None:
        take(lock)
        turns.extend(one.name for one in mirror.client.search_registered_models())

    monkeypatch.setattr(ServerLock, "_take", taken)
    found = mirror("many")
    assert {name for _, name in found} == {"many", "many/a", "many/b", "many/c"}
    assert len(turns) == len(set(turns)) == 1 + len(found)
    assert all(name.startswith(PREFIX) and name.endswith("-copied") for name in turns)
    assert not mirror.client.search_registered_models()
    assert mirror("many").keys() == found.keys()  # once more: nothing doubled


def test_a_file_needs_no_lock_of_a_server(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert store.tracking_uri().startswith("sqlite:")
    with ServerLock(None) as lock:  # type: ignore[arg-type]
        lock.check()
        assert not lock.give_a_turn()
