"""The runs of DVC experiments that are not in the workspace, from the commits that DVC keeps of them."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from convlab import files, git
from convlab.errors import InputError
from convlab.tracking import mirror_all
from convlab.tracking.store import tracking_uri

READ = (files.METRICS, files.PLOTS, *files.DECLARED, Path("reports.yaml"))


def mirror_experiments() -> tuple[int, int]:
    """Mirror what each DVC experiment has computed; return how many MLflow now holds, and how many there are.

    Raises:
        InputError: this is not a git repository.
    """
    try:
        found = git.dvc_experiments()
    except git.GitError as error:
        raise _refused("for-each-ref", error) from None
    done = 0
    for one in found:
        names = changed_results(one)
        with _checked_out(one.commit):
            done += mirror_all(names, base=one.base, dvc_experiment=one.name) == names
    return done, len(found)


def changed_results(one: git.DvcExperiment) -> list[str]:
    """List the experiments and sweeps whose results differ from those of a DVC experiment's base."""
    listed = _git("diff", "--name-only", "--relative", one.base, one.commit, "--", str(files.METRICS))
    found = re.findall(rf"^{files.METRICS}/([^/]+)/(?:trainings|scores)\.json$", listed, re.M)
    return sorted(set(found))


@contextmanager
def _checked_out(commit: str) -> Iterator[None]:
    """Work in a copy of a commit's results, while the database and git stay those of the repository."""
    paths = _git("ls-tree", "--name-only", commit, "--", *map(str, READ)).split()
    where = _git("rev-parse", "--absolute-git-dir").strip()
    uri = tracking_uri()
    if uri.startswith("sqlite:///"):  # which may be relative to the current directory
        uri = f"sqlite:///{Path(uri.removeprefix('sqlite:///')).resolve()}"
    here = {"DVC_ROOT": str(files.root().resolve()), "GIT_DIR": where, "MLFLOW_TRACKING_URI": uri}
    kept = {key: os.environ.get(key) for key in here}
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        index = {"GIT_INDEX_FILE": f"{folder}/.index", "GIT_WORK_TREE": folder, "GIT_DIR": where}
        _git("restore", f"--source={commit}", "--", *paths, **index)
        os.environ.update(here)
        try:
            yield
        finally:
            for key, value in kept.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value


def _git(*arguments: str, **environment: str) -> str:
    try:
        return git.run(*arguments, environment=environment)
    except git.GitError as error:
        raise _refused(arguments[0], error) from None


def _refused(command: str, error: git.GitError) -> InputError:
    said = str(error).splitlines() or ["it failed"]
    return InputError(f"git {command}: {said[-1]}; DVC experiments are commits of a git repository")
