"""Install requirements.lock into this interpreter's environment: with uv, or with pip if there is no uv.

uv is pinned in the lock like everything else, so that its hash is checked before it runs. It does not read
pip's configuration, which may be the only place that names the package index. The settings are passed on
in the environment and not as options, so that no process list and no log shows them.
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
# pip's settings, and the equivalent environment variables of uv
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
    """Return what `pip config list` says for `pip install`; the environment overrides files."""
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for key, value in re.findall(rf"^{section}\.(\S+?)=(.*)$", listed, re.M):
            found[key] = str(ast.literal_eval(value))
    return found


def variables(pip: dict[str, str]) -> dict[str, str]:
    """Return pip's settings as environment variables for uv, with uv's list separators."""
    told = {VARIABLES[key]: " ".join(value.split()) for key, value in pip.items() if key in VARIABLES}
    if "UV_FIND_LINKS" in told:
        told["UV_FIND_LINKS"] = told["UV_FIND_LINKS"].replace(" ", ",")
    return told


def by_uv() -> str | None:
    """Install everything with uv; return None, or a short reason why that failed."""
    pinned = re.search(r"^uv==(?:.*\\\n)*.*\n", LOCK.read_text(encoding="utf-8"), re.M)
    if pinned is None:
        return f"{LOCK} does not name it"
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "uv.txt")
        wanted.write_text(pinned[0], encoding="utf-8")
        # A wheel only: building uv needs a Rust compiler and takes minutes
        command = (*INSTALL, "--only-binary", ":all:", "-r", str(wanted))
        if subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
            return "the package index has none for this machine"
    listed = subprocess.run((*PIP, "config", "list"), capture_output=True, text=True).stdout
    pip = settings(listed)
    command = (
        *(sys.executable, "-m", "uv", "pip", "install", "--quiet"),
        *("--python", sys.executable, "--require-hashes", "-r", str(LOCK)),
        # Like pip, consider the versions of all indexes: the hashes allow only known files.
        *("--index-strategy", "unsafe-best-match"),
        # Half a minute, once: if bytecode is not written later, each process compiles PyTorch again
        *(("--compile-bytecode",) if sys.dont_write_bytecode else ()),
        *(("--no-index",) if pip.get("no-index") in ("1", "true", "yes", "on") else ()),
    )
    done = subprocess.run(command, env=variables(pip) | os.environ, stderr=subprocess.PIPE)
    return f"it ended with exit status {done.returncode}" if done.returncode else None


def main() -> int:
    """Return 0 after uv, else pip's exit status."""
    reason = by_uv()
    if reason is None:
        return 0
    print(f"setup: not by uv, as {reason}: pip takes longer", file=sys.stderr)
    return subprocess.run((*INSTALL, "-r", str(LOCK))).returncode


if __name__ == "__main__":
    sys.exit(main())
