"""What studies.yaml asks of results: the reports' claims, and the gate's thresholds."""

from collections.abc import Collection, Mapping
from typing import Any

from convlab.config.explain import mapping, nearest, short, show, validate
from convlab.config.names import check_name
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError
from convlab.schema import SPLITS, Claim, Experiment, Sweep, number

THRESHOLD_METRICS = tuple(f"{split}_accuracy" for split in SPLITS)


def read_thresholds(raw: Mapping[str, Any], experiments: Collection[str]) -> dict[str, dict[str, float]]:
    """Check the thresholds, of experiments with these names.

    Raises:
        InputError: an unknown experiment or metric, or an invalid threshold.
    """
    thresholds: dict[str, dict[str, float]] = {}
    for name in mapping(raw, "thresholds", ""):
        if name not in experiments:
            raise InputError(f"thresholds: found {show(name)}{nearest(name, experiments)}")
        own = mapping(raw["thresholds"], name, "thresholds.")
        thresholds[name] = {}
        for metric, threshold in own.items():
            if metric not in THRESHOLD_METRICS:
                known = nearest(metric, THRESHOLD_METRICS)
                raise InputError(f"thresholds.{name}: unknown metric `{short(str(metric))}`{known}")
            value = number(threshold)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise InputError(
                    f"thresholds.{name}.{metric}: found {show(threshold)}; allowed: a number from 0 to 1"
                )
            thresholds[name][metric] = float(value)
    return thresholds


def read_feature_maps(
    raw: Mapping[str, Any], names: Collection[str], experiments: Mapping[str, Experiment]
) -> dict[str, list[str]]:
    """Check the test images that are chosen, of experiments with these names; `experiments`: those resolved.

    Raises:
        InputError: an unknown experiment or class, or something other than `CLASS/INDEX`.
    """
    chosen: dict[str, list[str]] = {}
    for name in mapping(raw, "feature_maps", ""):
        if name not in names:
            raise InputError(f"feature_maps: found {show(name)}{nearest(name, names)}")
        where, images = f"feature_maps.{name}", raw["feature_maps"][name]
        if not isinstance(images, list) or not images:
            raise InputError(f"{where}: found {show(images)}; allowed: a list such as [frog/0, ship/0]")
        if name not in experiments:  # left out, as it conflicts with the current defaults
            continue
        classes = DATASETS[experiments[name].dataset].classes
        for image in images:
            label, slash, index = image.rpartition("/") if isinstance(image, str) else ("", "", "")
            if not slash or not (index.isascii() and index.isdigit() and len(index) < 10):
                raise InputError(
                    f"{where}: found {show(image)}; allowed: CLASS/INDEX, such as {classes[0]}/0"
                )
            if label not in classes:
                raise InputError(f"{where}: found the class {show(label)}{nearest(label, classes)}")
            if images.count(image) > 1:
                raise InputError(f"{where}: {image!r} is listed twice; keep one of them")
        chosen[name] = list(images)
    return chosen


def read_claims(
    raw: Mapping[str, Any], experiments: Collection[str], sweeps: Mapping[str, Sweep | None]
) -> tuple[dict[str, Claim], list[str]]:
    """Check the claims, over experiments and sweeps with these names; None: a sweep whose trials are unknown.

    Return them, and a warning for each that names a trial that its sweep does not have: a grid may be changed
    for a day, and a claim must not stop a training.

    Raises:
        InputError: a claim is invalid, or names no experiment or sweep.
    """
    claims, warnings = {}, []
    for name in mapping(raw, "claims", ""):
        check_name(name, "claims")
        where = f"claims.{name}"
        content = mapping(raw["claims"], name, "claims.")
        claim = validate(Claim, raw["claims"][name], [(f"{where}.", content)])
        for side in ("a", "b") if claim.b is not None else ("a",):
            problem, wrong = _problem(getattr(claim, side), experiments, sweeps)
            if wrong:
                raise InputError(f"{where}.{side}: {problem}")
            warnings += [f"{where}.{side}: {problem}: judged as not run"] if problem else []
        if claim.a == claim.b:
            raise InputError(f"{where}: a and b are the same result; compare two")
        claims[name] = claim
    return claims, warnings


def _problem(
    result: str, experiments: Collection[str], sweeps: Mapping[str, Sweep | None]
) -> tuple[str, bool]:
    """Return what is wrong with a claim's side, if anything is, and whether it must be a mistake."""
    name, slash, trial = result.partition("/")
    sweep = sweeps.get(name)
    trials = dict.fromkeys(f"{name}/{trial.name}" for trial in sweep.trials) if sweep else {}
    if result in experiments or result in trials or (slash and name in sweeps and not sweep):
        return "", False
    allowed = list(trials) or [*experiments, *(f"{sweep}/TRIAL" for sweep in sweeps)]
    return f"found {show(result)}{nearest(result, allowed)}", not (slash and trial and trials)
