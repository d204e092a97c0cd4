"""`convlab repro`: what `dvc repro` does, at a fraction of DVC's cost per stage.

For each stage, changed or not, DVC makes objects of all that it reads and writes, several times, and locks it
four times. Here DVC's own functions read dvc.yaml and dvc.lock and hash each path once; a stage is up to date
by the same rule. Whatever is not, or cannot be told here, DVC is asked to reproduce.
"""

import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from convlab.interrupt import Interrupted, deferred

FEW = 5  # DVC reads dvc.yaml and dvc.lock again for each target: of more, all stages cost less
# What a stage of dvc.yaml may have for its state to be told here
TOLD = {"cmd", "deps", "outs", "metrics", "plots"}
WRITTEN = ("outs", "metrics", "plots")
Md5 = Callable[[str], str | None]  # path → hash of what is there; None: nothing, or it cannot be read


def repro() -> int:
    """Reproduce what has changed, as `dvc repro` does; return 0 where nothing has.

    Otherwise this process becomes a `dvc repro`, whose exit status is its own.

    Raises:
        Interrupted: SIGINT or SIGTERM came during `resolve` or `download`.
    """
    targets = to_reproduce()
    if shared := [target for target in targets or () if "@" not in target]:  # all others depend on it
        with deferred() as request:
            status = subprocess.run(command(*shared), env=environment()).returncode
        if request.number is not None:
            raise Interrupted(request.number, "`dvc repro` stopped")
        if status:
            return status
        targets = to_reproduce()
    if targets == []:
        print("Data and pipelines are up to date.")
        return 0
    few = targets if targets and len(targets) <= FEW else []
    arguments = command(*few)
    os.execve(arguments[0], arguments, environment())


def command(*targets: str) -> list[str]:
    """Return the `dvc repro` of these stages, or of all of them, as arguments."""
    return [sys.executable, "-m", "dvc", "repro", *targets]


def environment() -> dict[str, str]:
    """Return this process's environment, where the stages' `python` is the one that runs this."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def to_reproduce() -> list[str] | None:
    """Return the targets with which `dvc repro` reproduces all that has changed; None if DVC cannot tell.

    They are the last stage of each experiment and sweep that has a changed one, and of what all depend on:
    dvc.yaml has a stage after those that it depends on.
    """
    from dvc.dvcfile import PROJECT_FILE, load_file
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            pipeline = load_file(repo, PROJECT_FILE)
            stages = pipeline.resolver.resolve()["stages"]
            recorded = pipeline.lockfile_contents.get("stages", {})
            md5, cached = _in_workspace(repo), _in_cache(repo)
            last = {_of(stage): stage for stage in stages}
            changed = (
                last[_of(stage)]
                for stage, content in stages.items()
                if not _up_to_date(content, recorded.get(stage, {}), md5, cached)
            )
            return list(dict.fromkeys(changed))
    except DvcException:
        return None


def _of(stage: str) -> str:
    """Return the experiment or sweep of a stage; of one that all depend on, an empty name."""
    return stage.partition("@")[2]


def _up_to_date(
    stage: dict[str, Any], entry: dict[str, Any], md5: Md5, cached: Callable[[str], bool]
) -> bool:
    """Return whether dvc.lock has a stage's command, and the hashes of all that it reads and writes.

    An entry of dvc.lock that the stage no longer has does not count, as in DVC.
    """
    if stage.keys() - TOLD or stage["cmd"] != entry.get("cmd"):
        return False
    known = {
        key: {one["path"]: one["md5"] for one in entry.get(key, ()) if one.get("hash") == "md5"}
        for key in ("deps", "outs")
    }
    return all(known["deps"].get(path, "") == md5(path) for path, _ in _paths(stage.get("deps", ()))) and all(
        known["outs"].get(path, "") == md5(path) and (not in_cache or cached(known["outs"][path]))
        for key in WRITTEN
        for path, in_cache in _paths(stage.get(key, ()))
    )


def _paths(entries: list[str | dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    """Yield each path, and whether DVC's cache has to have it."""
    for entry in entries:
        match entry:
            case str():
                yield entry, True
            case dict():
                for path, options in entry.items():
                    yield path, options.get("cache", True)


def _in_workspace(repo: Any) -> Md5:
    """Return the function that hashes what is at a path, each once; DVC remembers the hashes of files."""
    from dvc_data.hashfile.build import build

    @functools.cache
    def md5(path: str) -> str | None:
        try:
            place = os.path.join(repo.root_dir, path)
            _, _, found = build(repo.cache.local, place, repo.fs, "md5", ignore=repo.dvcignore, dry_run=True)
        except OSError:
            return None
        return str(found.hash_info.value)

    return md5


def _in_cache(repo: Any) -> Callable[[str], bool]:
    """Return the function that tells whether DVC's cache has all of a file or a folder, by its hash."""
    from dvc_data.hashfile import check, load
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_objects.errors import ObjectFormatError

    def cached(md5: str) -> bool:
        try:
            check(repo.cache.local, load(repo.cache.local, HashInfo("md5", md5)))
        except (FileNotFoundError, ObjectFormatError):
            return False
        return True

    return cached
