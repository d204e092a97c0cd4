"""DVC remotes on this machine, whose connection can be cut: a folder, an SSH server, and S3 (moto)."""

import math
import os
import shutil
import socket
import socketserver
import subprocess
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from urllib.request import Request, urlopen

from robustness.servers import connects, free_port, wait_for

BUCKET = "convlab"
KEYS = {"access_key_id": "nobody", "secret_access_key": "nothing", "region": "us-east-1"}  # moto takes any


class Remote(ABC):
    """A place for `dvc push`; `settings` are those of `dvc remote modify`, `server` what answers there."""

    server: str
    url: str
    settings: dict[str, str]

    @abstractmethod
    def __init__(self, folder: Path):
        """Start it; what it keeps is in a folder, or in memory."""

    @staticmethod
    @abstractmethod
    def lacks() -> str:
        """Return what is not installed here and needed; nothing if all is there."""

    @abstractmethod
    def cut(self, size: int, objects: list[str]) -> None:
        """Let the next push fail in the middle: the cache has `size` bytes, in these objects."""

    @abstractmethod
    def mend(self) -> None:
        """Let it be as before `cut`."""

    @abstractmethod
    def close(self) -> None:
        """Stop the server, if there is one."""


class Folder(Remote):
    """A folder; it is cut off by a file where a subfolder for objects should be."""

    def __init__(self, folder: Path):
        self.server, self.url, self.settings = "the file system", str(folder / "store"), {}

    @staticmethod
    def lacks() -> str:
        """Return nothing: a folder is always possible."""
        return ""

    def cut(self, size: int, objects: list[str]) -> None:
        """Put a file where the subfolder of one of the objects should be."""
        self.obstacle = Path(self.url) / "files/md5" / objects[len(objects) // 2][:2]
        self.obstacle.parent.mkdir(parents=True)
        self.obstacle.touch()

    def mend(self) -> None:
        """Remove that file."""
        self.obstacle.unlink()

    def close(self) -> None:
        """Do nothing: nothing runs."""


class Relayed(Remote):
    """A server behind a relay, which is cut off when a quarter of the bytes have passed."""

    relay: "Relay"
    process: "subprocess.Popen[bytes]"

    def cut(self, size: int, objects: list[str]) -> None:
        """Let only a quarter of the bytes pass: a push sends about half of the cache."""
        self.relay.left = size / 4

    def mend(self) -> None:
        """Let everything pass."""
        self.relay.left = math.inf

    def close(self) -> None:
        """Stop the relay and the server."""
        self.relay.shutdown()
        self.relay.server_close()
        self.process.terminate()
        self.process.wait()


class Ssh(Relayed):
    """An sshd of its own, with a host key and a user's key of its own, for the user who runs this."""

    def __init__(self, folder: Path):
        for name in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        port = free_port()
        options = {
            "Port": port,
            "ListenAddress": "127.0.0.1",
            "HostKey": folder / "host",
            "AuthorizedKeysFile": folder / "user.pub",
            "PidFile": "none",
            "StrictModes": "no",  # a temporary folder is everybody's
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "Subsystem": "sftp internal-sftp",
        }
        (folder / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in options.items()))
        program = _sshd()
        assert program is not None
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd's empty folder, which Debian makes at boot
        with (folder / "sshd.log").open("wb") as log:
            command = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: connects(port), f"sshd does not answer: {folder / 'sshd.log'}")
        self.relay = Relay(port)
        said = subprocess.run(["ssh", "-V"], capture_output=True, text=True).stderr
        self.server = said.split(" ")[0].replace("_", " ").rstrip(",")
        self.url = f"ssh://127.0.0.1{folder / 'store'}"
        self.settings = {"port": str(self.relay.port), "keyfile": str(folder / "user")}

    @staticmethod
    def lacks() -> str:
        """Return which of sshd and dvc-ssh is not installed."""
        return ", ".join(
            name for name, there in {"sshd": _sshd(), "dvc-ssh": find_spec("dvc_ssh")}.items() if not there
        )


class S3(Relayed):
    """moto's server, which speaks S3 and keeps its objects in memory."""

    def __init__(self, folder: Path):
        port = free_port()
        with (folder / "moto.log").open("wb") as log:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: connects(port), f"moto does not answer: {folder / 'moto.log'}")
        urlopen(Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")).close()
        self.relay = Relay(port)
        self.server, self.url = f"moto {version('moto')}", f"s3://{BUCKET}/store"
        self.settings = {"endpointurl": f"http://127.0.0.1:{self.relay.port}", **KEYS}

    @staticmethod
    def lacks() -> str:
        """Return which of dvc-s3 and moto is not installed."""
        modules = {"dvc-s3": "dvc_s3", "moto[server]": "moto", "flask": "flask"}
        return ", ".join(name for name, module in modules.items() if find_spec(module) is None)


class Relay(socketserver.ThreadingTCPServer):
    """A port of this machine that leads to another, until `left` bytes have gone there."""

    daemon_threads = True

    def __init__(self, target: int):
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target, self.left = target, math.inf
        self.port: int = self.server_address[1]
        Thread(target=self.serve_forever, daemon=True).start()


class _Connection(socketserver.BaseRequestHandler):
    server: Relay
    request: socket.socket

    def handle(self) -> None:
        if self.server.left < 0:
            return
        with socket.create_connection(("127.0.0.1", self.server.target)) as there:
            back = Thread(target=self._copy, args=(there, self.request, 0), daemon=True)
            back.start()
            self._copy(self.request, there, 1)
            back.join()

    def _copy(self, source: socket.socket, target: socket.socket, weight: int) -> None:
        """Pass on what comes until one side closes, or the bytes are used up; close both."""
        with suppress(OSError):  # closed from the other side
            while content := source.recv(1 << 16):
                self.server.left -= weight * len(content)
                if self.server.left < 0:
                    break
                target.sendall(content)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def _sshd() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
