"""The command that trains a result, or both that a claim compares."""

from collections.abc import Mapping
from typing import Any

from convlab.schema import Params


def training(result: str, params: Params) -> str:
    """Return the command that trains a result, and draws its figures, where these settings hold."""
    name, _, trial = result.partition("/")
    if name in (params.run_sweeps if trial else params.run):
        return "dvc repro"
    key, other = ("run_sweeps", "run") if trial else ("run", "run_sweeps")
    rest = "" if trial else f" -S '{other}=[]'"
    return f"dvc exp run -S '{key}=[{name}]'{rest}"


def rerun(judged: Mapping[str, Any], seeds: int | None = None) -> str:
    """Return the command that trains both sides of a claim, with `seeds` seeds if given."""
    sweeps = list(dict.fromkeys(judged[side].partition("/")[0] for side in "ab" if "/" in judged[side]))
    experiments = list(dict.fromkeys(judged[side] for side in "ab" if "/" not in judged[side]))
    parts = [f"-S 'run=[{','.join(experiments or ['digits'])}]'", f"-S 'run_sweeps=[{','.join(sweeps)}]'"]
    if seeds:
        parts += [f"-S 'studies.yaml:++sweeps.{name}.seeds={seeds}'" for name in sweeps]
        parts += [f"-S '++experiments.{name}.seeds={seeds}'" for name in experiments]
    return "dvc exp run " + " ".join(parts)
