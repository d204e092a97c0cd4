"""Record outputs in dvc.lock that are not here: weights left elsewhere, by their MD5s."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

Outputs = Mapping[str, Mapping[str, Any]]  # path → its md5 and size


def record(stage_names: list[str], known: Outputs) -> dict[str, str]:
    """Write stages into dvc.lock: what is here as it is here (and into DVC's cache), the rest from `known`.

    Return for each stage an empty string, or why it could not be recorded.
    """
    from dvc.repo import Repo  # takes a second, and is not where trainings run

    ended = {}
    with Repo() as repo, repo.lock:
        for name in stage_names:
            try:
                stage = repo.stage.load_one(name=name)
                for item in [*stage.deps, *stage.outs]:
                    _fill(item, known)
                stage.dump(update_pipeline=False)
                ended[name] = ""
            except Exception as error:  # record the others all the same
                ended[name] = str(error) or type(error).__name__
    return ended


def _fill(item: Any, known: Outputs) -> None:
    """Set the hash of a dependency or an output of a stage."""
    if item.exists:
        item.save()
        if not item.IS_DEPENDENCY and item.use_cache:
            item.commit()
        return
    below = {path: facts for path, facts in known.items() if Path(path).is_relative_to(item.def_path)}
    if not below:
        raise FileNotFoundError(f"{item.def_path}: neither here nor known")
    item.hash_name = "md5"
    item.hash_info, item.meta = hash_of(item.def_path, below)


def hash_of(path: str, below: Outputs) -> tuple[Any, Any]:
    """Return DVC's hash and meta of a file, or of a folder with these files."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta
    from dvc_data.hashfile.tree import Tree

    if path in below:
        return HashInfo("md5", below[path]["md5"]), Meta(size=below[path]["size"])
    tree = Tree()
    for name, facts in below.items():
        key = Path(name).relative_to(path).parts
        tree.add(key, Meta(size=facts["size"]), HashInfo("md5", facts["md5"]))
    tree.digest()
    total = sum(facts["size"] for facts in below.values())
    return tree.hash_info, Meta(size=total, nfiles=len(below), isdir=True)
