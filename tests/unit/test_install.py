"""`make setup` installs with uv, given pip's settings, or with pip without uv; by hashes either way."""

import hashlib
import json
import os
import re
import subprocess
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pip
import pytest
from repository import ROOT

INDEX = "https://me:secret@packages.example/simple"
# A stand-in for uv: it prints its arguments and settings
TELLS = """
import json, os, sys
told = {key: value for key, value in os.environ.items() if key.startswith(("UV_", "SSL_"))}
with open("told.json", "w") as file:
    json.dump({"arguments": sys.argv[1:], "environment": told}, file)
sys.exit(int(os.environ.get("ENDS", 0)))
"""


class Place(NamedTuple):
    """A folder with an environment and a lock, and another one of wheels, which is all that pip knows."""

    folder: Path
    wheels: Path
    python: Path

    def put(self, name: str, sources: dict[str, str], sound: bool = True) -> None:
        """Put a wheel among the others, and into the lock, with its hash or with another one."""
        path = self.wheels / f"{name}-1-py3-none-any.whl"
        about = f"{name}-1.dist-info"
        facts = {
            f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
            f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{about}/RECORD": "",
        }
        with zipfile.ZipFile(path, "w") as wheel:
            for inside, text in (sources | facts).items():
                wheel.writestr(inside, text)
        digest = hashlib.sha256(path.read_bytes() if sound else b"other").hexdigest()
        with (self.folder / "requirements.lock").open("a") as lock:
            lock.write(f"{name}==1 \\\n    --hash=sha256:{digest}\n    # via a test\n")

    def install(self, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_", "SSL_"))
        }
        kept |= {"PIP_CONFIG_FILE": str(self.folder / "pip.conf")} | environment
        command = [self.python, ROOT / ".ci/install.py"]
        return subprocess.run(command, cwd=self.folder, env=kept, capture_output=True, text=True)

    def has(self, name: str) -> bool:
        return any(self.folder.glob(f"env/lib/*/site-packages/{name}"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path, tmp_path / "wheels", tmp_path / "env/bin/python")
    made.wheels.mkdir()
    venv.create(tmp_path / "env", symlinks=True)
    # Its pip is this environment's: to install one takes seconds
    (tmp_path / "pips").mkdir()
    (tmp_path / "pips/pip").symlink_to(Path(pip.__file__).parent)
    (next(tmp_path.glob("env/lib/*/site-packages")) / "pips.pth").write_text(str(tmp_path / "pips"))
    (tmp_path / "pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {made.wheels}\n")
    made.put("thing", {"thing.py": ""})
    return made


def test_uv_is_told_what_pip_is_told_and_no_list_of_processes_shows_it(place: Place) -> None:
    place.put("uv", {"uv/__main__.py": TELLS})
    with (place.folder / "pip.conf").open("a") as settings:
        settings.write(f"extra-index-url = {INDEX}\n  file:///second\ncert = /of/the/file\n")
    done = place.install(PIP_CERT="/of/the/environment", UV_HTTP_TIMEOUT="7", PIP_DEFAULT_TIMEOUT="8")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    told = json.loads((place.folder / "told.json").read_text())
    assert told["environment"] == {
        "UV_FIND_LINKS": str(place.wheels),
        "UV_INDEX": f"{INDEX} file:///second",
        "UV_HTTP_TIMEOUT": "7",  # uv's own stays
        "SSL_CERT_FILE": "/of/the/environment",
    }
    assert {"--require-hashes", "--no-index"} <= set(told["arguments"])
    assert "secret" not in str(told["arguments"])
    assert not place.has("thing.py"), "pip was not asked for it, too"


@pytest.mark.parametrize("writes", ["", "1"])
def test_modules_are_compiled_at_once_where_python_may_not_do_it_later(place: Place, writes: str) -> None:
    place.put("uv", {"uv/__main__.py": TELLS})
    assert place.install(PYTHONDONTWRITEBYTECODE=writes).returncode == 0
    told = json.loads((place.folder / "told.json").read_text())
    assert ("--compile-bytecode" in told["arguments"]) == bool(writes)


def test_where_uv_fails_pip_installs_the_same_and_says_why(place: Place) -> None:
    place.put("uv", {"uv/__main__.py": TELLS})
    done = place.install(ENDS="3")
    assert (done.returncode, done.stderr) == (
        0,
        "setup: not by uv, as it ended with exit status 3: pip takes longer\n",
    )
    assert place.has("thing.py")


def test_where_no_index_has_uv_pip_installs_the_rest_if_it_can(place: Place) -> None:
    place.put("uv", {"uv/__main__.py": TELLS}, sound=False)
    done = place.install()
    said, *errors = done.stderr.splitlines()
    assert said == "setup: not by uv, as the package index has none for this machine: pip takes longer"
    # … which it cannot here: its lock names a file of another hash
    assert done.returncode == 1
    assert any("DO NOT MATCH THE HASHES" in line for line in errors)
    assert not (place.folder / "told.json").exists(), "what has another hash did not run"
    assert not place.has("thing.py")


def test_the_lock_has_uv_with_hashes() -> None:
    block = re.search(r"^uv==(?:.*\\\n)*.*\n", (ROOT / "requirements.lock").read_text(), re.M)
    assert block
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", block[0])) > 1
