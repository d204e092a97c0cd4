"""What a tracker should hold of each run, read back from the files that the stages wrote."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from convlab import files, results
from convlab.errors import InputError
from convlab.explain import validate
from convlab.folders import load
from convlab.made_from import Record
from convlab.schema import SPLITS, Experiment

WHERE = ("device", "device_name", "threads", "driver", "cuda", "cudnn", "python", "torch", "platform")


@dataclass(frozen=True)
class Run:
    """A run: an experiment's training, a whole sweep, or one trial of it.

    `curves` are rows of curves.csv, `metrics` single numbers, `timing` what timing.json says.
    """

    name: str
    stage: str
    fingerprint: str
    params: dict[str, str]
    metrics: dict[str, float]
    curves: list[dict[str, Any]] = field(default_factory=list)
    timing: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Path] = field(default_factory=list)
    model: tuple[str, int] | None = None  # the experiment and seed whose weights belong to it
    children: list["Run"] = field(default_factory=list)
    best_trial: str | None = None  # a tag, not a parameter: MLflow's parameters never change

    @property
    def tags(self) -> dict[str, str]:
        """Who, where, when: what a run is searched by."""
        tags = {"stage": self.stage, "fingerprint": self.fingerprint}
        if self.best_trial:
            tags["best_trial"] = self.best_trial
        tags["mlflow.source.name"] = f"stages/{'train' if self.stage == 'train' else 'sweep'}.py"
        named = {"git_commit": "mlflow.source.git.commit", "dvc_experiment": "dvc_experiment"}
        for key in ("git_commit", "git_dirty", "dvc_experiment", "started_at", *WHERE):
            if self.timing.get(key) is not None:
                tags[named.get(key, key)] = str(self.timing[key])
        return tags

    def digest(self) -> str:
        """Hash everything that is mirrored: equal digests, nothing to do."""
        weights = self.model is not None and files.weights(*self.model).is_file()
        content = [self.params, self.metrics, self.curves, self.timing, self.tags, weights]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
        for path in self.artifacts:
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()[:16]


def read_run(name: str) -> Run:
    """Read the run of an experiment or sweep from metrics/ and plots/.

    Raises:
        InputError: it has not run yet, its parts do not belong together, or one of its files is damaged.
    """
    folder = load(name)
    if folder.problem:
        raise InputError(folder.problem)
    if not folder.trainings:
        raise InputError(f"{files.trainings(name)}: not there; `dvc repro` writes it")
    is_sweep = (files.METRICS / name / "trials.json").is_file()
    return _sweep_run(name, folder.trainings) if is_sweep else _experiment_run(name, folder.trainings)


def configuration(record: Record) -> Experiment:
    """Return the configuration that a training was made from.

    Raises:
        InputError: it is of a schema that is not today's.
    """
    try:
        return validate(Experiment, record["configuration"], [("", record["configuration"])])
    except InputError as error:
        raise InputError(f"{files.trainings(record['of'])}: {error}") from None


def _experiment_run(name: str, trainings: list[Record]) -> Run:
    scored = {facts["seed"]: scores for facts, scores in load(name).scored()}
    clocks = results.timings(name)
    curves = files.read_curves(files.PLOTS / name / "curves.csv")
    first, *further = trainings
    found = ["trainings.json", "timing.json", *(["scores.json"] if scored else [])]
    return Run(
        name=name,
        stage="train",
        fingerprint=first["fingerprint"],
        params=_params(configuration(first)),
        metrics=_numbers(first) | _scores(scored.get(first["seed"], {})),
        curves=_of_seed(curves, first["seed"]),
        timing=_timing(first, clocks),
        artifacts=_artifacts(name, found),
        model=(name, first["seed"]),
        children=[
            _child(files.training(one["seed"]), scored.get(one["seed"], {}) | one, clocks, curves)
            for one in further
        ],
    )


def _sweep_run(name: str, trainings: list[Record]) -> Run:
    clocks = results.timings(name)
    curves = files.read_curves(files.PLOTS / name / "curves.csv")
    children = []
    for one in trainings:
        own = [record for record in curves if record["trial"] == one["name"]]
        child = _child(files.training(one["seed"], one["name"]), one, clocks, own)
        children.append(replace(child, params=child.params | {"status": one["status"]}))
    # The best by validation: the test scores of a sweep choose nothing, they are shown.
    best = max(children, key=lambda run: run.metrics.get("best_validation_accuracy", -1.0))
    together = hashlib.sha256("".join(run.fingerprint for run in children).encode())
    seconds = sum(run.timing.get("seconds", 0.0) for run in children)
    shown = ("best_validation_accuracy", "test_accuracy")
    first: dict[str, Any] = next(
        (run.timing for run in children if run.timing), {}
    )  # an infeasible one has none
    return Run(
        name=name,
        stage="sweep",
        fingerprint=together.hexdigest()[:16],
        params={"trials": str(len(children))},
        best_trial=best.name,
        metrics={key: best.metrics[key] for key in shown if key in best.metrics},
        timing=first | {"seconds": seconds, "epoch_seconds": [], "images_per_second": None},
        artifacts=_artifacts(name, ["trainings.json", "timing.json"]),
        children=children,
    )


def _child(name: str, row: Record, clocks: list[dict[str, Any]], curves: list[dict[str, Any]]) -> Run:
    """Make the run of one training among several: a trial of a sweep, or a further seed of an experiment."""
    return Run(
        name=name,
        stage="trial",
        fingerprint=row["fingerprint"],
        params=_params(configuration(row)),
        metrics=_numbers(row) | _scores(row),
        curves=_of_seed(curves, row["seed"]),
        timing=_timing(row, clocks),
    )


def _timing(record: Record, clocks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a training's own timing, and what it ran on, which its record knows by itself."""
    where = {"device": record["device"]} if "device" in record else {}
    return record["environment"] | where | results.own_timing(record, clocks)


def _of_seed(curves: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    return [row for row in curves if row["seed"] == seed]


def _params(experiment: Experiment) -> dict[str, str]:
    """Flatten a configuration to dotted keys: `model.kernels` → `[3, 3]`."""
    flat: dict[str, str] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                walk(f"{prefix}.{key}" if prefix else key, part)
        else:
            flat[prefix] = str(value)

    walk("", experiment.model_dump())
    return flat


def _numbers(facts: dict[str, Any]) -> dict[str, float]:
    keys = ("epochs", "best_epoch", "parameters", "flops", "kernel_norm", "weight_norm")
    return {key: facts[key] for key in keys if key in facts}


def _scores(evaluation: dict[str, Any]) -> dict[str, float]:
    """Name the scores of the kept weights `best_train_loss` …, beside the curves' `train_loss`; the test's
    are `test_loss` and `test_accuracy`."""
    scores = {}
    for split in SPLITS:
        for key in ("loss", "accuracy"):
            if split in evaluation:
                scores[f"{split}_{key}" if split == "test" else f"best_{split}_{key}"] = evaluation[split][
                    key
                ]
    return scores


def _artifacts(name: str, metrics: list[str]) -> list[Path]:
    wanted = [files.METRICS / name / file for file in metrics]
    wanted += sorted((files.PLOTS / name).rglob("*.csv")) + sorted(
        path for path in (files.PLOTS / name / "figures").glob("*") if path.suffix in (".png", ".svg")
    )
    return [path for path in wanted if path.is_file()]
