"""Install requirements.lock into this interpreter's environment: by uv, or by pip where uv cannot be had.

uv stands in the lock like everything else, so that its hash is checked before it runs. It reads nothing of
pip's configuration, by which alone a package index may be known here: that goes along in the environment,
where no list of processes and no log shows it.
"""

import ast
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

LOCK = Path("requirements.lock")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
INSTALL = (*PIP, "install", "--quiet", "--require-hashes")
# A setting of pip, and the variable that tells uv the same
VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}


def settings(listed: str) -> dict[str, str]:
    """Return what `pip config list` says that `pip install` goes by: files first, the environment last."""
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for key, value in re.findall(rf"^{section}\.(\S+?)=(.*)$", listed, re.M):
            found[key] = str(ast.literal_eval(value))
    return found


def variables(pip: dict[str, str]) -> dict[str, str]:
    """Return the environment that tells uv what pip is told; lists are separated as uv wants them."""
    told = {VARIABLES[key]: " ".join(value.split()) for key, value in pip.items() if key in VARIABLES}
    if "UV_FIND_LINKS" in told:
        told["UV_FIND_LINKS"] = told["UV_FIND_LINKS"].replace(" ", ",")
    return told


def by_uv() -> str | None:
    """Install everything by uv; return the reason in a few words where it could not be done."""
    pinned = re.search(r"^uv==(?:.*\\\n)*.*\n", LOCK.read_text(encoding="utf-8"), re.M)
    if pinned is None:
        return f"{LOCK} does not name it"
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "uv.txt")
        wanted.write_text(pinned[0], encoding="utf-8")
        # A wheel or nothing: to build it takes a Rust compiler and minutes
        command = (*INSTALL, "--only-binary", ":all:", "-r", str(wanted))
        if subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
            return "the package index has none for this machine"
    listed = subprocess.run((*PIP, "config", "list"), capture_output=True, text=True).stdout
    pip = settings(listed)
    command = (
        *(sys.executable, "-m", "uv", "pip", "install", "--quiet"),
        *("--python", sys.executable, "--require-hashes", "-r", str(LOCK)),
        # As pip does: versions of all indexes count. Hashes say which files may be taken.
        *("--index-strategy", "unsafe-best-match"),
        # Half a minute, once: where none may be written later, each process would compile PyTorch anew
        *(("--compile-bytecode",) if sys.dont_write_bytecode else ()),
        *(("--no-index",) if pip.get("no-index") in ("1", "true", "yes", "on") else ()),
    )
    done = subprocess.run(command, env=variables(pip) | os.environ, stderr=subprocess.PIPE)
    return f"it ended with exit status {done.returncode}" if done.returncode else None


def main() -> int:
    """Return pip's exit status where uv could not do it."""
    reason = by_uv()
    if reason is None:
        return 0
    print(f"setup: not by uv, as {reason}: pip takes longer", file=sys.stderr)
    return subprocess.run((*INSTALL, "-r", str(LOCK))).returncode


if __name__ == "__main__":
    sys.exit(main())
