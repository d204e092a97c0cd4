"""The files of a working tree: those that git tracks, and new ones that it does not ignore."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path


def listed(folder: Path) -> list[str]:
    """Return the paths of the files that are there, relative to the folder."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.check_output(command, cwd=folder, text=True).split("\0")
    return [name for name in names if name and (folder / name).is_file()]


def copy(names: Iterable[str], source: Path, target: Path) -> None:
    """Copy files by their paths relative to `source`, with the folders that they are in."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)
