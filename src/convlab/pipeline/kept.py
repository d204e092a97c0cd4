"""Keep results although something else is selected now.

As soon as a stage has left `dvc.yaml`, DVC removes the outputs that it wrote: `dvc checkout`, and with it
`dvc exp run` and `dvc exp apply`, delete the results of an experiment no longer in `run`, those in
git too. `dvc push` does not see its weights, and `dvc gc -w` deletes them from the cache.

    python -m convlab.pipeline.kept dvc push     (`make push`: a command that sees all that dvc.lock knows)
"""

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from convlab import files, git
from convlab.config.strict_yaml import read_yaml
from convlab.errors import InputError, run
from convlab.pipeline.selection_lock import selection_lock

LOCK = Path("dvc.lock")
DVC = (sys.executable, "-m", "dvc")  # of this environment, which need not be on the PATH
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may have been built without libyaml
MARK = (
    b"# For as long as `convlab campaign` or `python -m convlab.pipeline.kept` runs: your own is "
    b".convlab/params.yaml.before\n"
)
SELECTORS = {
    "run": "train",
    "run_sweeps": "sweep",
}  # key of params.yaml → the stage that computes what it lists


def bring_back(selected: Collection[str]) -> list[str]:
    """Restore results that are in git and not in the work tree, but not those `selected`: DVC writes them.

    Return the names of the experiments and sweeps; none where there is no git repository.
    """
    listed = (
        git.output_or_none("ls-files", "--deleted", "-z", "--", str(files.METRICS), str(files.PLOTS)) or ""
    )
    gone = [path for path in listed.split("\0") if path and len(Path(path).parts) > 2]
    gone = [path for path in gone if _name(path) not in selected]
    if gone:
        git.output_or_none("checkout-index", "-z", "--stdin", given="\0".join(gone))
    return sorted({_name(path) for path in gone if Path(path).exists()})


def write_timing(name: str, timing: Any) -> None:
    """Write metrics/NAME/timing.json, and let the commit of a DVC experiment have it.

    dvc.yaml does not declare it: timings differ from run to run, and nothing may depend on them. Of the files
    that are not declared, DVC commits only those in git's index.
    """
    path = files.METRICS / name / "timing.json"
    files.write_json(path, timing)
    if "DVC_EXP_NAME" in os.environ:
        git.output_or_none("add", "--", str(path))


def stages() -> dict[str, Any]:
    """Return the stages of dvc.lock, by their names; none where there is no file.

    DVC wrote it, so that libyaml can read it: in a twentieth of the time that `read_yaml` takes to be strict.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return yaml.load(LOCK.read_bytes(), Loader=_SafeLoader).get("stages", {}) if LOCK.is_file() else {}
    except (yaml.YAMLError, AttributeError):
        raise InputError(f"{LOCK}: not what DVC writes; resolve the conflicts in it, or take git's") from None


@contextmanager
def everything_selected(but: Collection[str] = ()) -> Iterator[None]:
    """Let DVC see the stages of all that has been computed; at the end, params.yaml is as before.

    `but`: names to leave out.

    Raises:
        InputError: params.yaml or dvc.lock cannot be read.
    """
    put_back()
    params, known_stages = read_yaml(files.PARAMS), stages()
    computed = {
        key: [name.partition("@")[2] for name in known_stages if name.startswith(f"{stage}@")]
        for key, stage in SELECTORS.items()
    }
    known = [dict.fromkeys([*params[key], *computed[key]]) for key in SELECTORS]
    with selecting(*([name for name in names if name not in but] for names in known)):
        yield


def elsewhere() -> set[str]:
    """Return what was computed on other machines: the names of which DVC's cache has nothing of their own.

    `dvc gc` cannot tell what is in their folders; it would ask about each, and fail where it cannot ask.
    """
    there = cache()
    if there is None:
        return set()  # `dvc gc` itself says why
    outs: dict[str, set[str]] = {}
    for stage, content in stages().items():
        outs.setdefault(stage.partition("@")[2], set()).update(out["md5"] for out in content.get("outs", ()))
    here = {
        name: {md5 for md5 in all_ if (there / md5[:2] / md5[2:]).exists()} for name, all_ in outs.items()
    }
    folders = {name: {md5 for md5 in all_ if md5.endswith(".dir")} for name, all_ in outs.items()}
    whole = [name for name in outs if folders[name] <= here[name]]
    shared = {md5 for name in whole for md5 in outs[name]}
    return {name for name in outs if name not in whole and here[name] <= shared}


def cache(repository: Path = Path()) -> Path | None:
    """Return the folder of DVC's cache, whose files are named by their MD5s; None where there is no DVC, or
    no repository of it."""
    asked = [*DVC, "cache", "dir"]
    done = subprocess.run(asked, cwd=repository, capture_output=True, text=True)
    return None if done.returncode else repository / done.stdout.strip() / "files/md5"


def cached(path: Path, there: Path) -> Path | None:
    """Return the file of DVC's cache `there` that `path` is by dvc.lock, in a folder that is an output; None
    where the lock or the cache does not have it."""
    outs = [out for stage in stages().values() for out in stage.get("outs", ())]
    for folder in path.parents:
        for md5 in (out["md5"] for out in outs if out["path"] == folder.as_posix()):
            listing = there / md5[:2] / md5[2:]
            for one in files.read_json(listing) if listing.is_file() else ():
                found = there / one["md5"][:2] / one["md5"][2:]
                if one["relpath"] == path.relative_to(folder).as_posix() and found.is_file():
                    return found
    return None


@contextmanager
def selecting(experiments: Iterable[str], sweeps: Iterable[str]) -> Iterator[None]:
    """Let params.yaml select these inside the context; at the end, it is as before.

    Raises:
        InputError: params.yaml cannot be read.
    """
    put_back()
    before = files.PARAMS.read_bytes() if files.PARAMS.exists() else b""
    params = {**read_yaml(files.PARAMS), "run": list(experiments), "run_sweeps": list(sweeps)}
    files.write_bytes(_saved(), before)
    try:
        files.write_bytes(files.PARAMS, MARK + yaml.safe_dump(params, sort_keys=False).encode())
        yield
    finally:
        put_back()


def left_selected() -> bool:
    """Return whether params.yaml has the selection of `selecting`, in a process that runs or was killed."""
    return _saved().exists()


def put_back() -> None:
    """Put params.yaml back as it was, after `selecting` or a process that was killed in it.

    If somebody has written another one since, that stays.
    """
    if left_selected():
        if files.PARAMS.exists() and files.PARAMS.read_bytes().startswith(MARK):
            files.move(_saved(), files.PARAMS)
        else:
            _saved().unlink()


def main() -> int:
    """Run the command of the command line with everything selected.

    Raises:
        InputError: there is none, it cannot be run, or a campaign is running.
    """
    if len(sys.argv) < 2:
        raise InputError(
            "found no command; allowed: one of DVC's, such as `python -m convlab.pipeline.kept dvc push`"
        )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    program, *arguments = sys.argv[1:]
    command = [*(DVC if program == "dvc" else [program]), *arguments]
    who = f"`{' '.join(sys.argv[1:])}`"
    with (
        selection_lock(who),
        everything_selected(but=elsewhere() if sys.argv[1:3] == ["dvc", "gc"] else ()),
    ):
        try:
            return subprocess.run(command).returncode
        except OSError as error:
            raise InputError(
                f"found the command {program!r}, which cannot be run: {error.strerror}"
            ) from None


def _end(number: int, frame: Any) -> None:
    """End by an exception, which lets params.yaml be put back first."""
    raise SystemExit(128 + number)


def _saved() -> Path:
    return files.scratch() / "params.yaml.before"


def _name(path: str) -> str:
    return Path(path).parts[1]


if __name__ == "__main__":
    run(main)
