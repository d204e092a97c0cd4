"""What a tracker should hold of each run, read back from the files that the stages wrote."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convlab import files, results
from convlab.config import load_item
from convlab.schema import SPLITS, Experiment, Sweep

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


def by_result(names: Iterable[str] | None = None) -> dict[str, list[Run]]:
    """Return the runs of every result of some experiments and sweeps (or of all), one for each seed.

    Raise:
        InputError: one of their files is damaged.
    """
    found: dict[str, list[Run]] = {}
    for name in finished():
        if names is not None and name not in names:
            continue
        run = read_run(name)
        if run.stage == "train":
            found[name] = [run, *run.children]
            continue
        for child in run.children:
            found.setdefault(f"{name}/{child.name.rpartition('_seed-')[0]}", []).append(child)
    return found


def _experiment_run(name: str, experiment: Experiment) -> Run:
    facts = files.read_json(files.METRICS / name / "train.json")
    scores = results.read(name, "evaluate.json") or {}
    if scores and not results.of_same_weights(facts, scores):
        scores = {}
    clocks = results.timings(name)
    curves = files.read_curves(files.PLOTS / name / "curves.csv")
    scored = {row["seed"]: row for row in scores.get("seeds", [])}
    further = zip(experiment.each_seed()[1:], facts.get("seeds", [])[1:], strict=False)
    return Run(
        name=name,
        stage="train",
        fingerprint=facts["fingerprint"],
        params=_params(experiment),
        metrics=_numbers(facts) | _scores(scores),
        curves=_of_seed(curves, experiment.seed),
        timing=results.own_timing(facts, clocks),
        artifacts=_artifacts(name, ["train.json", "timing.json", *(["evaluate.json"] if scores else [])]),
        model=(name, experiment.seed),
        children=[
            _child(files.training(one.seed), one, row | scored.get(one.seed, {}), clocks, curves)
            for one, row in further
        ],
    )


def _sweep_run(name: str, sweep: Sweep) -> Run:
    rows = {(row["name"], row["seed"]): row for row in files.read_json(files.METRICS / name / "trials.json")}
    clocks = results.timings(name)
    curves = files.read_curves(files.PLOTS / name / "curves.csv")
    children = []
    for trial in sweep.trials:
        seed = trial.experiment.seed
        if row := rows.get((trial.name, seed)):
            own = [record for record in curves if record["trial"] == trial.name]
            children.append(_child(files.training(seed, trial.name), trial.experiment, row, clocks, own))
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
        artifacts=_artifacts(name, ["trials.json", "timing.json"]),
        children=children,
    )


def _child(
    name: str,
    experiment: Experiment,
    row: dict[str, Any],
    clocks: list[dict[str, Any]],
    curves: list[dict[str, Any]],
) -> Run:
    """Make the run of one training among several: a trial of a sweep, or a further seed of an experiment."""
    return Run(
        name=name,
        stage="trial",
        fingerprint=row["fingerprint"],
        params=_params(experiment) | ({"status": row["status"]} if "status" in row else {}),
        metrics=_numbers(row) | _scores(row),
        curves=_of_seed(curves, experiment.seed),
        timing=results.own_timing(row, clocks),
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
    keys = ("epochs", "best_epoch", "parameters", "flops", "kernel_norm", "weight_norm")
    facts = results.named_today(facts)
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
    wanted = [files.config(name), *(files.METRICS / name / file for file in metrics)]
    wanted += sorted((files.PLOTS / name).rglob("*.csv")) + sorted(
        path for path in (files.PLOTS / name / "figures").glob("*") if path.suffix in (".png", ".svg")
    )
    return [path for path in wanted if path.is_file()]
