"""What a tracker should hold of each run, read back from the files that the stages wrote."""

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convlab import files
from convlab.config import load_item
from convlab.schema import SPLITS, Experiment, Sweep, Trial

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
    """Read the run of an experiment or sweep from metrics/, plots/ and data/configs/.

    Raises:
        InputError: it has not run yet, or one of its files is damaged.
    """
    item = load_item(files.config(name))
    return _sweep_run(name, item) if isinstance(item, Sweep) else _experiment_run(name, item)


def finished() -> list[str]:
    """List the experiments and sweeps that have results, by name."""
    found = [*files.METRICS.glob("*/train.json"), *files.METRICS.glob("*/trials.json")]
    return sorted(path.parent.name for path in found if files.config(path.parent.name).is_file())


def _experiment_run(name: str, experiment: Experiment) -> Run:
    facts = files.read_json(files.METRICS / name / "train.json")
    evaluation = _evaluation(name, facts)
    timing = _timing(name)
    curves = files.read_curves(files.PLOTS / name / "curves.csv")
    further = zip(
        experiment.each_seed()[1:],
        facts.get("seeds", [])[1:],
        evaluation.get("seeds", [{}] * experiment.seeds)[1:],
        strict=False,
    )
    return Run(
        name=name,
        stage="train",
        fingerprint=facts["fingerprint"],
        params=_params(experiment),
        metrics=_numbers(facts) | _scores(evaluation),
        curves=_of_seed(curves, experiment.seed),
        timing=_own(timing, facts),
        artifacts=_artifacts(name, ["train.json", "timing.json", *(["evaluate.json"] if evaluation else [])]),
        model=(name, experiment.seed),
        children=[_seed_run(one, row | scores, timing, curves) for one, row, scores in further],
    )


def _seed_run(
    experiment: Experiment, row: dict[str, Any], timing: dict[str, Any], curves: list[dict[str, Any]]
) -> Run:
    return Run(
        name=files.training(experiment.seed),
        stage="trial",
        fingerprint=row["fingerprint"],
        params=_params(experiment),
        metrics=_numbers(row) | _scores(row),
        curves=_of_seed(curves, experiment.seed),
        timing=_own(timing, row),
    )


def _sweep_run(name: str, sweep: Sweep) -> Run:
    rows = {(row["name"], row["seed"]): row for row in files.read_json(files.METRICS / name / "trials.json")}
    timing = _timing(name)
    curves = files.read_curves(files.PLOTS / name / "curves.csv")
    done = [trial for trial in sweep.trials if (trial.name, trial.experiment.seed) in rows]
    children = [_trial_run(trial, rows[trial.name, trial.experiment.seed], timing, curves) for trial in done]
    # The best by validation: the test scores of a sweep choose nothing, they are shown.
    best = max(children, key=lambda run: run.metrics.get("best_validation_accuracy", -1.0))
    together = hashlib.sha256("".join(run.fingerprint for run in children).encode())
    seconds = sum(run.timing.get("seconds", 0.0) for run in children)
    shown = ("best_validation_accuracy", "test_accuracy")
    first: dict[str, Any] = next(
        (run.timing for run in children if run.timing), {}
    )  # not an infeasible one's
    return Run(
        name=name,
        stage="sweep",
        fingerprint=together.hexdigest()[:16],
        params={"trials": str(len(children))},
        best_trial=best.name,
        metrics={key: best.metrics[key] for key in shown if key in best.metrics},
        timing=first | {"seconds": seconds, "epoch_seconds": [], "images_per_second": None},
        artifacts=_artifacts(name, ["trials.json", "timing.json"]),
        children=children,
    )


def _trial_run(
    trial: Trial, row: dict[str, Any], timing: dict[str, Any], curves: list[dict[str, Any]]
) -> Run:
    seed = trial.experiment.seed
    return Run(
        name=files.training(seed, trial.name),
        stage="trial",
        fingerprint=row["fingerprint"],
        params=_params(trial.experiment) | {"status": row["status"]},
        metrics=_numbers(row) | _scores(row),
        curves=[row for row in _of_seed(curves, seed) if row["trial"] == trial.name],
        timing=_own(timing, row),
    )


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
    keys = ("epochs", "best_epoch", "parameters", "flops", "weight_norm")
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


def _evaluation(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Read evaluate.json, unless it is left over from other weights than train.json speaks of.

    Both hold the validation loss of the best epoch, computed in the same way.
    """
    path = files.METRICS / name / "evaluate.json"
    if not path.is_file():
        return {}
    evaluation = files.read_json(path)
    same = math.isclose(
        evaluation["validation"]["loss"], facts["validation_loss"], rel_tol=1e-3, abs_tol=1e-9
    )
    return evaluation if same else {}


def _timing(name: str) -> dict[str, Any]:
    path = files.METRICS / name / "timing.json"
    return files.read_json(path) if path.is_file() else {}


def _own(timing: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """Give a training's own timing: DVC's run cache restores results, and a timing of another may be left."""
    several = [
        timing,
        *timing.get("seeds", []),
        *(part for part in timing.values() if isinstance(part, dict)),
    ]
    return next((part for part in several if part.get("fingerprint") == facts["fingerprint"]), {})


def _artifacts(name: str, metrics: list[str]) -> list[Path]:
    wanted = [files.config(name), *(files.METRICS / name / file for file in metrics)]
    wanted += sorted((files.PLOTS / name).rglob("*.csv")) + sorted(
        path for path in (files.PLOTS / name / "figures").glob("*") if path.suffix in (".png", ".svg")
    )
    return [path for path in wanted if path.is_file()]
