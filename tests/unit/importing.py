"""What the tests of `convlab import` share: it is run in an empty folder, and what it wrote is read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from params import changed
from safetensors.numpy import load_file
from training import Command

from convlab.data.catalogue import imported

Run = Callable[..., tuple[int, str, str]]
COUNTS = {"circle": 12, "square": 10, "triangle": 5}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, convlab: Command) -> Run:
    """`run({"folder": …})`: declare a data set `own` and import it, in an empty folder; the exit status, what
    was printed, and the complaint."""
    monkeypatch.chdir(tmp_path)

    def call(declaration: Any, name: str = "own", **more: Any) -> tuple[int, str, str]:
        params = changed(more) | {"datasets": {"own": declaration}}
        Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        return convlab("import", name)

    return call


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """The one line with which an import is refused, before anything is written."""

    def call(declaration: Any, **more: Any) -> str:
        status, out, err = run(declaration, **more)
        assert (status, out) == (2, "")
        assert err.startswith("convlab: ")
        assert len(err.splitlines()) == 1
        assert not imported()
        assert not list(Path().glob("data/imported/*/*"))
        return err

    return call


def arrays() -> dict[str, np.ndarray]:
    return load_file("data/imported/own/images.safetensors")


def card() -> dict[str, Any]:
    return json.loads(Path("datasets/own.json").read_text())
