"""This repository: where it is, its params.yaml, and what git says of it."""

import subprocess
from pathlib import Path

from convlab.config import STUDIES, read_params

ROOT = Path(__file__).parents[2]
PARAMS = read_params(ROOT / "params.yaml")
DEFAULTS = {key: value for key, value in PARAMS.items() if key not in STUDIES}


def git(*arguments: str) -> str:
    """Return what git says of this repository."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout
