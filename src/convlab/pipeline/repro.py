"""`convlab repro`: what `dvc repro` does, at a fraction of DVC's cost per stage.

For each stage, changed or not, DVC makes objects of all that it reads and writes, several times, and locks it
four times. Here DVC's own functions read dvc.yaml and dvc.lock and hash each path once; a stage is up to date
by the same rule. Whatever is not, or cannot be told here, DVC is asked to reproduce.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Any

from convlab.interrupt import POLL, Interrupted, deferred

FEW = 5  # DVC reads dvc.yaml and dvc.lock again for each target: of more, all stages cost less
# What a stage of dvc.yaml may have for its state to be told here
TOLD = {"cmd", "deps", "outs", "metrics", "plots"}
WRITTEN = ("outs", "metrics", "plots")
Md5 = Callable[[str], str | None]  # path → hash of what is there; None: nothing, or it cannot be read


def repro() -> int:
    """Reproduce what has changed, as `dvc repro` does; return 0 where nothing has.

    Otherwise this process becomes a `dvc repro`, whose exit status is its own.

    Raises:
        Interrupted: SIGINT or SIGTERM came during a stage that all experiments share, such as `resolve`.
    """
    targets = to_reproduce()
    if shared := [target for target in targets or () if "@" not in target]:  # others may depend on them
        if status := _run(shared):
            return status
        if targets := to_reproduce():  # without what DVC would always run
            targets = [target for target in targets if target not in shared]
    if targets == []:
        print("Data and pipelines are up to date.")
        return 0
    arguments = command(*(targets if targets and len(targets) <= FEW else []))
    os.execve(arguments[0], arguments, environment())


def command(*targets: str) -> list[str]:
    """Return the `dvc repro` of these stages, or of all of them, as arguments."""
    return [sys.executable, "-m", "dvc", "repro", *targets]


def environment() -> dict[str, str]:
    """Return this process's environment, where the stages' `python` is the one that runs this."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _run(targets: list[str]) -> int:
    """Run `dvc repro` for these stages, in a process group of its own; return its exit status.

    Raises:
        Interrupted: SIGINT or SIGTERM came; DVC and its stage got SIGINT, and have ended.
    """
    with deferred() as request, Popen(command(*targets), env=environment(), process_group=0) as dvc:
        while request.number is None and dvc.poll() is None:
            with suppress(TimeoutExpired):
                dvc.wait(POLL)
        if dvc.poll() is None:
            os.killpg(dvc.pid, signal.SIGINT)
    if request.number is not None:
        raise Interrupted(request.number, "`dvc repro` stopped")
    return dvc.returncode


def to_reproduce() -> list[str] | None:
    """Return the targets with which `dvc repro` reproduces all that has changed; None if DVC cannot tell.

    They are the changed stages that experiments share, and the last stage of each experiment and sweep that
    has a changed one: it depends on the others.
    """
    from dvc.dvcfile import PROJECT_FILE, load_file
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.hashfile.build import IgnoreInCollectedDirError

    try:
        with Repo() as repo:
            pipeline = load_file(repo, PROJECT_FILE)
            stages = pipeline.resolver.resolve()["stages"]
            if _ignored(repo, stages.values()) or not _others_in_place(repo):
                return None
            recorded = pipeline.lockfile_contents.get("stages", {})
            md5, cached = _in_workspace(repo), _in_cache(repo)
            last = {_of(stage): stage for stage in stages}
            changed = (
                last[_of(stage)] if "@" in stage else stage
                for stage, content in stages.items()
                if not _up_to_date(content, recorded.get(stage, {}), md5, cached)
            )
            return list(dict.fromkeys(changed))
    except (DvcException, IgnoreInCollectedDirError):
        return None


def _ignored(repo: Any, stages: Iterable[dict[str, Any]]) -> bool:
    """Return whether .dvcignore names an output: DVC refuses that."""
    return any(
        repo.dvcignore.is_ignored(repo.fs, os.path.join(repo.root_dir, path), ignore_subrepos=False)
        for stage in stages
        for path, _ in _written(stage)
    )


def _others_in_place(repo: Any) -> bool:
    """Return whether all other DVC files are of `dvc add`, and workspace and cache have what they record."""
    from dvc.dvcfile import PROJECT_FILE, is_valid_filename, load_file

    project = os.path.join(repo.root_dir, PROJECT_FILE)
    for folder, folders, names in repo.dvcignore.walk(repo.fs, repo.root_dir):
        for place in (os.path.join(folder, name) for name in names if is_valid_filename(name)):
            if place != project and not repo.scm.is_ignored(place):
                for stage in load_file(repo, place).stages.values():
                    if stage.cmd or stage.deps or any(out.status() for out in stage.outs):
                        return False
        folders[:] = [name for name in folders if not repo.scm.is_ignored(os.path.join(folder, name, ""))]
    return True


def _of(stage: str) -> str:
    """Return the experiment or sweep of a stage; of one that they share, an empty name."""
    return stage.partition("@")[2]


def _up_to_date(
    stage: dict[str, Any], entry: dict[str, Any], md5: Md5, cached: Callable[[str], bool]
) -> bool:
    """Return whether dvc.lock has a stage's command, and the hashes of all that it reads and writes.

    An entry of dvc.lock that the stage no longer has does not count, as in DVC.
    """
    always = not any(stage.get(key) for key in ("deps", *WRITTEN))  # so DVC has it
    if always or stage.keys() - TOLD or stage["cmd"] != entry.get("cmd"):
        return False
    known = {
        key: {one["path"]: one["md5"] for one in entry.get(key, ()) if one.get("hash") == "md5"}
        for key in ("deps", "outs")
    }
    return all(known["deps"].get(path, "") == md5(path) for path, _ in _paths(stage.get("deps", ()))) and all(
        known["outs"].get(path, "") == md5(path) and (not in_cache or cached(known["outs"][path]))
        for path, in_cache in _written(stage)
    )


def _written(stage: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield each path that a stage writes, and whether DVC's cache has to have it."""
    for key in WRITTEN:
        yield from _paths(stage.get(key, ()))


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
