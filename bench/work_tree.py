"""Copies of the working tree, in which commands are run without the settings of who runs them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

SETTINGS = ("CONVLAB_", "DVC_", "GIT_", "MLFLOW_")  # what the names of a user's own variables begin with


def listed(folder: Path) -> list[str]:
    """Return the files that git tracks, and new ones that it does not ignore, relative to the folder."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.check_output(command, cwd=folder, text=True).split("\0")
    return [name for name in names if name and (folder / name).is_file()]


def copy(names: Iterable[str], source: Path, target: Path) -> None:
    """Copy files by their paths relative to `source`, with the folders that they are in."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)


def environment(folder: Path) -> dict[str, str]:
    """Return the environment for commands in a copy: this Python, the copy's code, and no settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(SETTINGS)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return kept | {"PATH": path, "PYTHONPATH": str(folder / "src")}
