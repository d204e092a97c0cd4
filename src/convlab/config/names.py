"""Names of experiments, sweeps, data sets, claims and reports: they name files, too."""

from typing import Any

from convlab.config.explain import show
from convlab.errors import InputError

RESERVED = ("datasets",)  # data/configs/datasets.yaml is the list for the download stage


def check_name(name: Any, where: str) -> None:
    """Refuse a name that cannot name a file, or is taken; `where`: the section that it is in."""
    plain = isinstance(name, str) and name and all(c.isascii() and (c.isalnum() or c in "_.-") for c in name)
    if not plain or name.startswith((".", "-")) or len(name) > 100:
        raise InputError(
            f"{where}: found the name {show(name)}; allowed: letters, digits, `_`, `-`, `.` (it names files)"
        )
    if name in RESERVED:
        raise InputError(f"{where}: the name {name!r} is taken by data/configs/{name}.yaml; choose another")
