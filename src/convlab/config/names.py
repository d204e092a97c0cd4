"""Names of experiments, sweeps, data sets, claims and reports: they name files, too."""

from typing import Any

from convlab.config.explain import show
from convlab.errors import InputError

RESERVED = ("datasets",)  # data/configs/datasets.yaml is the list for the download stage


def can_name_a_file(name: str) -> bool:
    """Return whether a name is one that the files of a result may have, on every file system."""
    plain = all(c.isascii() and (c.isalnum() or c in "_.-") for c in name)
    return plain and not name.startswith((".", "-")) and 0 < len(name) <= 100


def check_name(name: Any, where: str) -> None:
    """Refuse a name that cannot name a file, or is taken; `where`: the section that it is in."""
    if not isinstance(name, str) or not can_name_a_file(name):
        raise InputError(
            f"{where}: found the name {show(name)}; allowed: letters, digits, `_`, `-`, `.` (it names files)"
        )
    if name in RESERVED:
        raise InputError(f"{where}: the name {name!r} is taken by data/configs/{name}.yaml; choose another")
