"""A clone of the working tree in a temporary folder, with a data set and settings small enough for a test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
RESULTS = ("metrics", "plots", "data")


class Clone:
    """A working copy in which commands run for real, as a user would type them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("DVC_", "MLFLOW_", "GIT_"))
            },
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "src"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@example.org",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@example.org",
        }

    def run(
        self, *command: str, status: int | None = 0, limit: int = 300, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
        )
        assert status is None or done.returncode == status, (
            f"{command} ended with {done.returncode}:\n{done.stdout}"
        )
        return done

    def params(self) -> dict:
        return yaml.safe_load((self.folder / "params.yaml").read_text())

    def edit(self, change) -> None:
        params = self.params()
        change(params)
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)


def clone_to(folder: Path) -> Clone:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        # Without the committed results and their lock: they are what the test makes.
        if name.split("/")[0] in RESULTS or name == "dvc.lock" or not (REPOSITORY / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, folder / name)
    return Clone(folder)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    clone = clone_to(tmp_path_factory.mktemp("clone"))

    def shrink(params):
        params["experiments"]["digits"]["epochs"] = 3
        params["sweeps"]["digits_l2"]["overrides"] = {"epochs": 1}
        params["sweeps"]["digits_l2"]["grid"] = {"l2": [0.0, 0.001]}
        params["thresholds"] = {"digits": {"test_accuracy": 0.6}}
        params["run_sweeps"] = ["digits_l2"]

    clone.run("git", "init", "-q")
    clone.edit(shrink)
    clone.commit("start")
    clone.run("dvc", "repro")
    clone.commit("reproduced")
    return clone
