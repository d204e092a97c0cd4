"""PostgreSQL and MLflow's server on ports of this machine, to be killed and restarted."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from convlab.errors import InputError

PATIENCE = 120.0  # seconds for a start
UNPRIVILEGED = "postgres"  # PostgreSQL refuses to run as root; Debian's package makes this user


class MlflowServer:
    """MLflow's server on a port of this machine, with one worker."""

    def __init__(self, folder: Path, store: str):
        self.port, self.folder, self.store = free_port(), folder, store
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1")
        artifacts = str(self.folder / "artifacts")
        stored = ("--backend-store-uri", self.store, "--artifacts-destination", artifacts)
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("ab") as log:
            command = [sys.executable, "-m", "mlflow", "server", *stored, *options]
            self.process = subprocess.Popen(
                command, env=os.environ | settings, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(lambda: connects(self.port), f"MLflow does not answer: {self.folder / 'server.log'}")

    def kill(self) -> None:
        """Kill it and its worker."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    close = kill


class Postgres:
    """A PostgreSQL with a data folder of its own; `uri` is its address for MLflow."""

    def __init__(self, folder: Path, binaries: Path):
        self.folder, self.binaries, self.port = folder, binaries, free_port()
        self.uri = f"postgresql+psycopg://mlflow@127.0.0.1:{self.port}/postgres"
        folder.mkdir()
        if os.getuid() == 0:
            shutil.chown(folder, UNPRIVILEGED)
        self._call("initdb", "-D", str(folder / "data"), "-U", "mlflow", "-A", "trust")
        self._control("start")
        self.version = (folder / "data/PG_VERSION").read_text().strip()

    def restart(self) -> None:
        """Restart it as after a crash: connections are cut, and it recovers from its log."""
        self._control("restart", "-m", "immediate")

    def close(self) -> None:
        """Stop it."""
        self._control("stop", "-m", "immediate")

    def _control(self, *command: str) -> None:
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        log = str(self.folder / "log")
        self._call("pg_ctl", "-w", "-D", str(self.folder / "data"), "-l", log, "-o", settings, *command)

    def _call(self, program: str, *arguments: str) -> None:
        user = ["runuser", "-u", UNPRIVILEGED, "--"] if os.getuid() == 0 else []
        command = [*user, str(self.binaries / program), *arguments]
        log = self.folder / "calls.log"  # no pipe, which the server started here would keep open
        with log.open("ab") as calls:
            status = subprocess.run(command, cwd=self.folder, stdout=calls, stderr=calls).returncode
        if status:
            raise InputError(f"{program}: exit status {status}: {log.read_text().strip().splitlines()[-1]}")


def find_postgres() -> Path:
    """Return the folder of PostgreSQL's programs.

    Raises:
        InputError: it is not installed, or psycopg is not.
    """
    if find_spec("psycopg") is None:
        raise InputError("psycopg is not installed; `pip install '.[postgres]'`")
    found = [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    if name := shutil.which("initdb"):
        found.append(Path(name).resolve().parent)
    if not found:
        raise InputError("PostgreSQL is not installed: no initdb on the PATH or in /usr/lib/postgresql")
    return found[-1]


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_for(condition: Callable[[], bool], otherwise: str) -> None:
    """Wait until a condition holds.

    Raises:
        InputError: it does not within PATIENCE seconds; `otherwise` says what that means.
    """
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise InputError(otherwise)
        time.sleep(0.2)


def connects(port: int) -> bool:
    """Tell whether something listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
