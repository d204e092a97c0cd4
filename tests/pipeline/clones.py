"""A clone of the working tree, with a data set and settings small enough for a test."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import yaml
from repository import ROOT

from convlab.config import read_params

RESULTS = ("metrics", "plots", "data")
COMPARED = ("data/configs/*", "metrics/*/*.json", "plots/*/*.csv", "data/models/*/*", "data/predictions/*")


class Clone:
    """A working copy in which commands run for real, as a user would type them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.made: dict[str, str] = {}  # the results, as they were reproduced at first
        self.environment = {
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("CONVLAB_", "PYTHONPATH"))  # of a test beside this one
            },
            "PYTHONDONTWRITEBYTECODE": "",  # else each of a hundred stages compiles convlab
            # No settings of the user's, no state shared with other clones
            "DVC_GLOBAL_CONFIG_DIR": str(folder / ".dvc/tmp/none"),
            "DVC_SYSTEM_CONFIG_DIR": str(folder / ".dvc/tmp/none"),
            "DVC_SITE_CACHE_DIR": str(folder / ".dvc/tmp/site"),
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@example.org",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@example.org",
        }

    def run(
        self, *command: str, status: int | None = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command. The stages have to find the clone's code by themselves; `convlab` is installed from
        another folder, and is told."""
        if command[0] == "convlab":
            environment["PYTHONPATH"] = "src"
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert status is None or done.returncode == status, (
            f"{command} ended with {done.returncode}:\n{done.stdout}"
        )
        return done

    def params(self) -> dict:
        return read_params(self.folder / "params.yaml")

    def edit(self, change) -> None:
        params = self.params()
        change(params)
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        (self.folder / "studies.yaml").write_text("{}\n")  # all stands in params.yaml now

    def results(self) -> dict[str, str]:
        """Hash every result but the timings and the figures."""
        found = [path for pattern in COMPARED for path in self.folder.glob(pattern)]
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in found
            if path.name != "timing.json"
        }

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)


def clone_to(folder: Path) -> Clone:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        # Without the committed results and their lock: they are what the test makes.
        if name.split("/")[0] in RESULTS or name == "dvc.lock" or not (ROOT / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return Clone(folder)


def shrink(params: dict) -> None:
    """Seconds of work: an experiment with one thread, a sweep of six trainings with two."""
    params["experiments"]["digits"]["epochs"] = 3
    params["sweeps"]["digits_l2"]["overrides"] = {"epochs": 1, "threads": 2, "portable": False}
    params["sweeps"]["digits_l2"]["grid"] = {"l2": [0.0, 0.001]}
    params["thresholds"] = {"digits": {"test_accuracy": 0.6}}
    params |= {"run": ["digits"], "run_sweeps": ["digits_l2"]}  # whatever is selected in the working tree


def without_mlflow(clone: Clone) -> None:
    """Disable MLflow: its start-up in each stage would dominate the test's time."""
    (clone.folder / "src/mlflow.py").write_text("raise ImportError")
