"""A run: what a tracker holds of a training, of several that differ by the seed, or of a sweep."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from convlab import files
from convlab.schema import Experiment

WHERE = ("device_name", "threads", "driver", "cuda", "cudnn", "python", "torch", "platform")
RunKind = Literal["experiment", "sweep", "trial", "seed"]


@dataclass(frozen=True)
class Origin:
    """Which training a run's weights come from: of an experiment or a sweep, one trial of it, and a seed.

    `hash`: of the weights; None in results that are older than it.
    """

    item: str
    experiment: Experiment
    trial: str | None = None
    hash: str | None = None

    @property
    def weights(self) -> Path:
        """Where the weights are."""
        return files.weights(self.item, self.experiment.seed, self.trial)

    @property
    def prepared(self) -> Path:
        """Where the data are that it was trained on: under this item, or another that sees the same."""
        key = self.experiment.data_key()
        own, others = files.PROCESSED / self.item / key, sorted(files.PROCESSED.glob(f"*/{key}"))
        return own if own in others or not others else others[0]

    def missing(self) -> Path | None:
        """Return a file without which the network cannot be built; None where all are there."""
        wanted = (self.weights, self.prepared / "statistics.json")
        return next((path for path in wanted if not path.is_file()), None)


@dataclass(frozen=True)
class Data:
    """A split that a run has seen.

    `digest`: the MD5 of its published files' MD5s and of how they were split and prepared.
    """

    name: str
    split: str
    digest: str
    source: str


@dataclass(frozen=True)
class Run:
    """A run: a training, several of one result that differ by the seed, or a whole sweep.

    `result` is `EXPERIMENT`, `SWEEP/TRIAL` or `SWEEP`; `curves` are rows of curves.csv, `metrics` single
    numbers, `timing` what timing.json says, `origin` whose weights it has where it is a single one.
    """

    name: str
    item: str
    result: str
    kind: RunKind
    fingerprint: str
    params: dict[str, str]
    metrics: dict[str, float]
    about: dict[str, str] = field(default_factory=dict)  # further tags
    description: str = ""
    data: list[Data] = field(default_factory=list)
    curves: list[dict[str, Any]] = field(default_factory=list)
    timing: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Path] = field(default_factory=list)
    origin: Origin | None = None
    exported: bool = False  # whether the network itself goes to MLflow
    children: list["Run"] = field(default_factory=list)

    @property
    def tags(self) -> dict[str, str]:
        """Who, where, when: what a run is searched by."""
        tags = {"kind": self.kind, "item": self.item, "result": self.result, "fingerprint": self.fingerprint}
        tags |= self.about
        script = "sweep" if "/" in self.result or self.kind == "sweep" else "train"
        tags["mlflow.source.name"] = f"stages/{script}.py"
        named = {"git_commit": "mlflow.source.git.commit"}
        for key in ("git_commit", "git_dirty", "dvc_experiment", "started_at", *WHERE):
            if self.timing.get(key) is not None:
                tags[named.get(key, key)] = str(self.timing[key])
        return tags

    @property
    def dataset(self) -> str:
        """The data set, or several: the MLflow experiment that the run belongs to."""
        return "+".join(sorted({one.name for one in self.data}))

    @property
    def exportable(self) -> bool:
        """Whether the network itself goes to MLflow, and can."""
        return self.exported and self.origin is not None and self.origin.missing() is None

    def digest(self) -> str:
        """Hash everything that is mirrored but the clock: where that differs, `writer` replaces the run."""
        content = [self.params, self.metrics, self.about, self.description, self.curves, self.exportable]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
        for path in self.artifacts:
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()[:16]

    def trainings(self) -> list["Run"]:
        """List the runs below this one, or itself, that are a single training."""
        if self.origin is not None:
            return [self]
        return [run for child in self.children for run in child.trainings()]
