"""What a tracker should hold of each run, read back from the files that the stages wrote."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from convlab import files, results
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError
from convlab.pipeline.made_from import configuration, flat
from convlab.results.folders import Folder, curves, load
from convlab.schema import SPLITS, Experiment, Sweep, Trial
from convlab.tracking.descriptions import Descriptions, run_name
from convlab.tracking.run import WHERE, Data, Origin, Run

TIMING_KEYS = (
    "started_at",
    "git_commit",
    "git_dirty",
    "dvc_experiment",
    *WHERE,
)  # what several trainings share
METRIC_KEYS = ("epochs", "best_epoch", "parameters", "flops", "kernel_norm", "weight_norm")
SCORES = {  # of the kept weights; the curves have a `train_loss` and a `validation_loss` of their own
    f"{split}_{score}" if split == "test" else f"best_{split}_{score}": (split, score)
    for split in SPLITS
    for score in ("loss", "accuracy")
}


def read_run(name: str, descriptions: Descriptions | None = None) -> Run:
    """Read the run of an experiment or sweep from its records.

    Raises:
        InputError: it has not run yet, its parts do not belong together, or one of its files is damaged.
    """
    folder = load(name)
    if folder.problem:
        raise InputError(folder.problem)
    if not folder.trainings:
        raise InputError(f"{files.trainings(name)}: not there; `dvc repro` writes it")
    reader = _Reader(name, descriptions or Descriptions(), folder)
    is_sweep = (files.METRICS / name / "trials.json").is_file()
    return reader.sweep() if is_sweep else reader.experiment()


class _Reader:
    """Reads an item's runs; it knows the item's timings, curves, and what is said of it."""

    def __init__(self, name: str, descriptions: Descriptions, folder: Folder):
        self.name, self.descriptions, self.folder = name, descriptions, folder
        self.timings = results.timings(name)
        self.curves = curves(name)
        self.trials = [
            Trial(name=one["name"], overrides=one["overrides"], experiment=configuration(one))
            for one in folder.trainings
        ]

    def experiment(self) -> Run:
        item = self.trials[0].experiment.model_copy(update={"seeds": len(self.trials)})
        changes = self.descriptions.changes(self.name, item)
        scores = {facts["seed"]: own for facts, own in self.folder.scored()}
        runs = []
        for trial, record in zip(self.trials, self.folder.trainings, strict=True):
            own = scores.get(record["seed"], {})
            row = record | {split: own[split] for split in SPLITS if split in own}
            runs.append(self._training(self.name, trial.experiment, row, changes))
        run = self._together(self.name, "experiment", runs, changes)
        written = ["trainings.json", "timing.json", *(["scores.json"] if scores else [])]
        return self._described(replace(run, artifacts=_artifacts(self.name, written)), item)

    def sweep(self) -> Run:
        item = Sweep(trials=self.trials)
        by_trial: dict[str, list[Run]] = {}
        for trial, record in zip(self.trials, self.folder.trainings, strict=True):
            result = f"{self.name}/{trial.name}"
            run = self._training(result, trial.experiment, record, {}, trial.name)
            by_trial.setdefault(result, []).append(run)
        changes = self.descriptions.changes(self.name, item)
        children = [
            self._described(self._together(result, "trial", runs, changes), item)
            for result, runs in by_trial.items()
        ]
        # The best by validation: the test scores of a sweep are shown, and choose nothing.
        best = max(children, key=lambda run: run.metrics.get("best_validation_accuracy", -1.0))
        together = hashlib.sha256("".join(run.fingerprint for run in children).encode())
        shown = ("best_validation_accuracy", "test_accuracy")
        timing = _sum([run.timing for run in children])
        sweep = Run(
            name=run_name(self.name, changes, None, timing.get("dvc_experiment")),
            item=self.name,
            result=self.name,
            kind="sweep",
            fingerprint=together.hexdigest()[:16],
            params={"trials": str(len(children))},
            metrics={key: best.metrics[key] for key in shown if key in best.metrics},
            about={"best_trial": best.result.partition("/")[2], **_common(children)},
            data=list({(one.name, one.split): one for run in children for one in run.data}.values()),
            timing=timing,
            artifacts=_artifacts(self.name, ["trainings.json", "timing.json"]),
            children=children,
        )
        return self._described(sweep, item)

    def _training(
        self,
        result: str,
        experiment: Experiment,
        row: dict[str, Any],
        changes: Mapping[str, str],
        trial: str | None = None,
    ) -> Run:
        """Make the run of one training, as it is among several: its name tells the seed."""
        timing = row["environment"] | results.own_timing(row, self.timings)
        if self.descriptions.dvc_experiment and not timing.get(
            "dvc_experiment"
        ):  # its commit may lack a timing
            timing = timing | {"dvc_experiment": self.descriptions.dvc_experiment}
        name = run_name(result, dict(changes), experiment.seed, timing.get("dvc_experiment"))
        return Run(
            name=name,
            item=self.name,
            result=result,
            kind="seed",
            fingerprint=row["fingerprint"],
            params=flat(experiment),
            metrics=_numbers(row),
            about=_about(row, timing, self._state(result, row)),
            data=_data(experiment),
            curves=self.curves.get((trial or self.name, experiment.seed), []),
            timing=timing,
            origin=Origin(self.name, experiment, trial, row.get("weights")),
        )

    def _together(
        self, result: str, kind: Literal["experiment", "trial"], runs: list[Run], changes: Mapping[str, str]
    ) -> Run:
        """Make the run of a result: its one training, or mean, standard deviation and n over its seeds."""
        first, own = runs[0], kind == "experiment"
        name = run_name(result, dict(changes), None, first.timing.get("dvc_experiment"))
        if len(runs) == 1:
            return replace(first, name=name, kind=kind, metrics=first.metrics | {"n": 1}, exported=own)
        return replace(
            first,
            name=name,
            kind=kind,
            params=first.params | {"seeds": str(len(runs))},
            metrics=_over_seeds([run.metrics for run in runs]),
            about=_common(runs),
            curves=_mean_curves([run.curves for run in runs]),
            timing=_sum([run.timing for run in runs]),
            origin=None,
            children=[replace(first, exported=own), *runs[1:]],
        )

    def _described(self, run: Run, item: Experiment | Sweep) -> Run:
        return replace(run, description=self.descriptions.describe(self.name, item, run.result, run.timing))

    def _state(self, result: str, row: Mapping[str, Any]) -> str:
        """Say what a training is: fresh, stale, shortened, infeasible, diverged, or not evaluated."""
        if row["status"] != "finished":
            return str(row["status"])
        if "test" not in row:
            return "not evaluated"
        if result not in self.descriptions.plans:
            return "finished"  # params.yaml does not say what it should be
        found = results.find(result, self.descriptions.plans)
        return "stale" if found.stale else "shortened" if found.shortened else "fresh"


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    scores = {key: row[split][score] for key, (split, score) in SCORES.items() if split in row}
    return {key: row[key] for key in METRIC_KEYS if key in row} | scores


def _over_seeds(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the means of what all have, of scores the standard deviations too, and n."""
    found: dict[str, float] = {"n": len(metrics)}
    for key in [key for key in metrics[0] if all(key in one for one in metrics)]:
        numbers = [one[key] for one in metrics]
        found[key] = mean(numbers)
        deviation = results.spread(numbers)
        if key in SCORES and deviation is not None:
            found[f"{key}_sd"] = deviation
    return found


def _mean_curves(curves: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the mean of several seeds' curves, as far as all go: a mean of fewer would jump."""
    return [
        {key: mean(row[key] for row in rows) for key in rows[0] if key not in ("seed", "trial")}
        for rows in zip(*curves, strict=False)
    ]


def _sum(timings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return when and where several trainings were, with the seconds of all; {} where no timing is known."""
    known = [timing for timing in timings if timing]
    if not known:
        return {}
    seconds = sum(timing.get("seconds", 0.0) for timing in known)
    return {key: known[0][key] for key in TIMING_KEYS if key in known[0]} | {"seconds": seconds}


def _about(row: Mapping[str, Any], timing: Mapping[str, Any], state: str) -> dict[str, str]:
    """Return the tags for state and hardware."""
    tags = {"state": state}
    if device := row.get("device") or timing.get("device"):
        tags["device"] = device
        tags["hardware"] = f"{timing.get('device_name', device)} ({row.get('precision', '?')})"
    return tags


def _common(runs: Sequence[Run]) -> dict[str, str]:
    """Return the tags of several runs, side by side where they differ."""
    keys = dict.fromkeys(key for run in runs for key in ("state", "device", "hardware") if key in run.about)
    return {key: ", ".join(dict.fromkeys(run.about[key] for run in runs if key in run.about)) for key in keys}


def _data(experiment: Experiment) -> list[Data]:
    dataset = DATASETS[experiment.dataset]
    urls = dataset.archive.urls if dataset.archive else dataset.urls
    source = json.dumps({"files": dataset.files, "urls": urls})
    found = []
    for split in SPLITS:
        parts = [*dataset.files.values(), experiment.data_key(), split]
        digest = hashlib.md5(" ".join(parts).encode(), usedforsecurity=False).hexdigest()
        found.append(Data(experiment.dataset, split, digest, source))
    return found


def _artifacts(name: str, metrics: list[str]) -> list[Path]:
    wanted = [files.METRICS / name / file for file in metrics]
    wanted += sorted((files.PLOTS / name).rglob("*.csv")) + sorted(
        path for path in (files.PLOTS / name / "figures").glob("*") if path.suffix in (".png", ".svg")
    )
    return [path for path in wanted if path.is_file()]
