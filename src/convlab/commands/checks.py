"""Checks of the configuration, of metrics against their thresholds, of results against the committed ones."""

import sys
from contextlib import suppress

from convlab import files
from convlab.config import load_params
from convlab.errors import InputError


def validate() -> int:
    """Check params.yaml, and print what `dvc repro` would compute."""
    from convlab.campaign.raised_seeds import left_raised, lower_left
    from convlab.networks.feasible import check_selected
    from convlab.pipeline.kept import left_selected, put_back
    from convlab.pipeline.selection_lock import selection_lock

    if left_selected() or left_raised():  # else it writes nothing, and so works on a read-only disk
        with suppress(InputError), selection_lock("`convlab validate`"):  # a campaign holds it: its selection
            put_back()
            lower_left()
    params = load_params(files.PARAMS)
    check_selected(params)
    sweeps = ", ".join(params.run_sweeps) or "none"
    print(f"{files.PARAMS} is valid: run {', '.join(params.run)}; sweeps {sweeps}")
    for warning in params.warnings:
        print(f"warning: {warning}")
    return 0


def check(against: str | None) -> int:
    """Compare metrics with their thresholds in studies.yaml; exit status 1 if one is not met."""
    from convlab.results import gate, regressions

    checks = gate.check(load_params(files.PARAMS).thresholds)
    changes = regressions.against(against) if against is not None else []
    for item in checks:
        if item.problem:
            print(f"FAIL  {item.experiment}: {item.metric} {item.problem} (threshold {item.threshold:.4f})")
        else:
            print(
                f"ok    {item.experiment}: {item.metric} is {item.value:.4f} (threshold {item.threshold:.4f})"
            )
    for change in changes:
        if change.kind != regressions.EQUAL:
            print(f"{change.kind:<4}  {change.result}: test_accuracy {change.text}")
    failed = sum(bool(item.problem) for item in checks)
    print(f"the gate: {len(checks) - failed} of {len(checks)} metrics hold")
    kinds = [change.kind for change in changes]
    if against is not None:
        counts = (f"{kinds.count(kind)} {words}" for kind, words in regressions.KINDS.items())
        print(f"against {against}: {', '.join(counts)}")
        if kinds and {*kinds} == {regressions.NEW}:
            print(f"warning: {against} has no results, so nothing was compared", file=sys.stderr)
    return 1 if failed or regressions.FAILED in kinds else 0


def verify(names: list[str]) -> int:
    """Compare results with those that are committed at HEAD; exit status 1 if one is not reproduced."""
    from convlab.config.explain import nearest
    from convlab.results.folders import finished
    from convlab.results.verify import verify as compared

    params = load_params(files.PARAMS)
    known = dict.fromkeys([*params.experiments, *params.sweeps, *finished()])
    for name in names:
        if name not in known:
            raise InputError(f"NAME: found {name!r}{nearest(name, known)}")
    verdicts = [compared(name) for name in names or [*params.run, *params.run_sweeps]]
    for verdict in verdicts:
        print(verdict)
    return int(any(verdict.kind == "not reproduced" for verdict in verdicts))
