"""What the tests of tracking share: a result's files, as the stages write them, in the current folder."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import result

from convlab import files
from convlab.data.dataset import Prepared, save
from convlab.models.build import build_model
from convlab.models.weights import hash_weights
from convlab.pipeline.identity import Phase, identity
from convlab.pipeline.provenance import hash_data
from convlab.schema import SPLITS, Experiment
from convlab.tracking import mirror_all, store

Recipe = Callable[..., Experiment]
PHASES: tuple[Phase, ...] = ("prepare", "train")  # those whose code a training's record holds


def put(
    recipe: Recipe,
    name: str = "one",
    seeds: int = 1,
    accuracy: float = 0.9,
    of_these_weights: bool = True,
    started: str | None = "2026-01-01",
    weights: Sequence[str] = (),
    data: str = "",
    hardware: str = "a CPU",
    **changes: Any,
) -> list[str]:
    """Write the files of an experiment; return the fingerprints of its trainings.

    `data`: the hash of what it was trained on; where it is given, the code is said to be today's.
    The fingerprint says nothing of the name: equal recipes have equal fingerprints.
    """
    facts, evaluations, timings, curves = [], [], [], []
    for number, one in enumerate(recipe(seeds=seeds, **changes).each_seed()):
        numbers: dict[str, Any] = {
            "epochs": 2,
            "best_epoch": 2,
            "validation_loss": 0.25,
            "weights": f"w{one.seed}",
        }
        numbers |= {"weights": weights[number]} if weights else {}
        content = one.model_dump(mode="json", exclude_defaults=True)
        if data:
            code = {phase: identity(phase, one) for phase in PHASES}
            numbers |= {"data": {"training": data}, "code": code}
        facts.append(result.training(name, one.seed, configuration=content, **numbers))
        scores = {split: {"loss": 0.1, "accuracy": accuracy - number / 10} for split in SPLITS}
        scores["validation"]["loss"] = 0.25
        other: dict[str, Any] = {} if of_these_weights else {"weights": "of another training"}
        other |= {"code": {"evaluate": identity("evaluate", one)}} if data else {}
        evaluations.append(result.evaluation(facts[-1], **scores, **other))
        clock: dict[str, Any] = {"started_at": f"{started}T00:00:00+00:00", "epoch_seconds": [1.0, 2.0]}
        clock |= {"device_name": hardware}
        timings.append(result.clock(facts[-1], seconds=3.0, **clock))
        for n in (1, 2):
            row = {"epoch": n, "lr": 0.1, "train_loss": (number + 1) / n, "validation_loss": 0.25}
            curves.append({**row, "seed": one.seed})
    result.put(facts, evaluations, files.by_seed(timings) if started else None)
    files.write_csv(files.PLOTS / name / "curves.csv", curves)
    if started is None:
        (files.METRICS / name / "timing.json").unlink(missing_ok=True)
    return [one["fingerprint"] for one in facts]


def put_sweep(recipe: Recipe, seeds: int = 1, best: float = 0.9, **changes: Any) -> list[str]:
    """Write the files of a sweep over three points, of which the second is the best by validation accuracy,
    and the last is infeasible."""
    points = {"a": (0.8, 0.99), "b": (best, 0.7), "c": None}
    rows, timing = [], {}
    for number, (name, scores) in enumerate(points.items(), start=1):
        for one in recipe(lr=number / 10, seeds=seeds, **changes).each_seed():
            content = {"configuration": one.model_dump(mode="json", exclude_defaults=True)}
            if scores is None:
                told = {"status": "infeasible", "reason": "nothing is left"}
                rows.append(result.training("many", one.seed, name, **content, **told))
                continue
            validation, test = ({"loss": 0.2, "accuracy": score} for score in scores)
            splits = {"validation": validation, "test": test}
            rows.append(result.training("many", one.seed, name, epochs=1, **content, **splits))
            clock = {"started_at": "2026-01-01T00:00:00+00:00", "epoch_seconds": [float(one.seed)]}
            timing[files.training(one.seed, name)] = result.clock(rows[-1], float(one.seed), **clock)
    result.put(rows, timing=timing)
    return [row["fingerprint"] for row in rows]


def put_network(
    recipe: Recipe, digits: Prepared, name: str, accuracy: float, seeds: int = 1, **changes: Any
) -> None:
    """Write the files of a fresh experiment with its weights (untrained) and its data."""
    hashes = []
    for one in recipe(seeds=seeds, **changes).each_seed():
        model = build_model(one, [1, 8, 8], 10)
        hashes.append(hash_weights(model))
        files.write_tensors(files.weights(name, one.seed), model.state_dict())
        folder = files.PROCESSED / name / one.data_key()
        save(digits, folder)
    put(recipe, name, seeds, accuracy, weights=hashes, data=hash_data(folder), **changes)


class Mirror:
    """Mirrors names into a database of MLflow's, and reads it back."""

    def __init__(self, folder: Path, empty: Path):
        shutil.copy(empty, folder / "mlflow.db")

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(store.tracking_uri())

    def __call__(self, *names: str) -> dict[tuple[str | None, str], Any]:
        """Mirror, and return the runs by (the parent's name, their own)."""
        assert mirror_all(names) == list(names)
        return self.runs()

    def runs(self, query: str = "", dataset: str = "digits") -> dict[tuple[str | None, str], Any]:
        """Return the runs of a data set by (the parent's name, their own)."""
        home = self.client.get_experiment_by_name(dataset).experiment_id
        by_id = {run.info.run_id: run.info.run_name for run in self.client.search_runs([home])}
        found = self.client.search_runs([home], query)
        return {(by_id.get(run.data.tags.get("mlflow.parentRunId")), run.info.run_name): run for run in found}
