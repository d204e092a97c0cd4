"""The command that trains what a claim compares."""

from collections.abc import Mapping
from typing import Any


def rerun(judged: Mapping[str, Any], seeds: int | None = None) -> str:
    """Return the command that trains both sides of a claim, with `seeds` seeds if given."""
    sweeps = list(dict.fromkeys(judged[side].partition("/")[0] for side in "ab" if "/" in judged[side]))
    experiments = list(dict.fromkeys(judged[side] for side in "ab" if "/" not in judged[side]))
    parts = [f"-S 'run=[{','.join(experiments or ['digits'])}]'", f"-S 'run_sweeps=[{','.join(sweeps)}]'"]
    if seeds:
        parts += [f"-S 'studies.yaml:++sweeps.{name}.seeds={seeds}'" for name in sweeps]
        parts += [f"-S '++experiments.{name}.seeds={seeds}'" for name in experiments]
    return "dvc exp run " + " ".join(parts)
