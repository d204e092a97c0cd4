"""What the tests of tracking share: a result's files, as the stages write them, in the current folder."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from convlab import files
from convlab.config import dump_item
from convlab.data.dataset import Prepared, save
from convlab.models.build import build_model
from convlab.models.weights import hash_weights
from convlab.schema import Experiment, Sweep, Trial
from convlab.tracking import mirror_all, store

Recipe = Callable[..., Experiment]


def put(
    recipe: Recipe,
    name: str = "one",
    seeds: int = 1,
    accuracy: float = 0.9,
    validation_loss: float = 0.25,
    started: str | None = "2026-01-01",
    weights: Sequence[str] = (),
    **changes: Any,
) -> Experiment:
    """Write the files of an experiment. Its scores are of other weights unless the validation loss is 0.25.

    The fingerprint says nothing of the name: equal recipes have equal fingerprints.
    """
    experiment = recipe(seeds=seeds, **changes)
    facts, evaluations, timings, curves = [], [], [], []
    for number, one in enumerate(experiment.each_seed()):
        fingerprint = f"f{one.seed}"
        facts.append({"seed": one.seed, "epochs": 2, "best_epoch": 1, "fingerprint": fingerprint})
        facts[-1] |= {"validation_loss": 0.25, "parameters": 10, "device": "cpu", "precision": "fp32"}
        scores = {"loss": 0.1, "accuracy": accuracy - number / 10}
        validation = scores | {"loss": validation_loss}
        evaluations.append({"seed": one.seed, "train": scores, "validation": validation, "test": scores})
        if weights:
            facts[-1]["weights"] = evaluations[-1]["weights"] = weights[number]
        timings.append({"fingerprint": fingerprint, "started_at": f"{started}T00:00:00+00:00"})
        timings[-1] |= {"seconds": 3.0, "epoch_seconds": [1.0, 2.0], "device_name": "A chip"}
        curves += [{"epoch": n, "lr": 0.1, "train_loss": (number + 1) / n, "seed": one.seed} for n in (1, 2)]
    files.write_text(files.config(name), dump_item(experiment))
    files.write_json(files.METRICS / name / "train.json", files.by_seed(facts))
    files.write_json(files.METRICS / name / "evaluate.json", files.by_seed(evaluations))
    files.write_csv(files.PLOTS / name / "curves.csv", curves)
    clock = files.METRICS / name / "timing.json"
    clock.unlink(missing_ok=True)
    if started is not None:
        files.write_json(clock, files.by_seed(timings))
    return experiment


def put_sweep(recipe: Recipe, seeds: int = 1) -> None:
    """Write the files of a sweep over three points, of which the last is infeasible."""
    points = {"a": (0.8, 0.99), "b": (0.9, 0.7), "c": None}
    trials, rows, curves, timing = [], [], [], {}
    for name, scores in points.items():
        for one in recipe(seeds=seeds).each_seed():
            trials.append(Trial(name=name, overrides={}, experiment=one))
            row: dict[str, Any] = {"name": name, "seed": one.seed, "fingerprint": f"{name}{one.seed}"}
            if scores is None:
                rows.append(row | {"status": "infeasible", "reason": "nothing is left"})
                continue
            validation, test = ({"loss": 0.1, "accuracy": score} for score in scores)
            rows.append(row | {"status": "finished", "validation": validation, "test": test})
            curves.append({"trial": name, "epoch": 1, "lr": 0.1, "seed": one.seed})
            timing[files.training(one.seed, name)] = {
                "fingerprint": row["fingerprint"],
                "started_at": "2026-01-01T00:00:00+00:00",
                "seconds": float(one.seed),
                "epoch_seconds": [float(one.seed)],
            }
    files.write_text(files.config("many"), dump_item(Sweep(trials=trials)))
    files.write_json(files.METRICS / "many" / "trials.json", rows)
    files.write_json(files.METRICS / "many" / "timing.json", timing)
    files.write_csv(files.PLOTS / "many" / "curves.csv", curves)


def put_network(
    recipe: Recipe, digits: Prepared, name: str, accuracy: float, seeds: int = 1, **changes: Any
) -> None:
    """Write the files of an experiment with its weights (untrained) and its data."""
    hashes = []
    for one in recipe(seeds=seeds, **changes).each_seed():
        model = build_model(one, [1, 8, 8], 10)
        hashes.append(hash_weights(model))
        files.write_tensors(files.weights(name, one.seed), model.state_dict())
        save(digits, files.PROCESSED / name / one.data_key())
    put(recipe, name, seeds, accuracy, weights=hashes, **changes)


class Mirror:
    """Mirrors names into a database of MLflow's, and reads it back."""

    def __init__(self, folder: Path, empty: Path):
        shutil.copy(empty, folder / "mlflow.db")

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(store.tracking_uri())

    def __call__(self, *names: str) -> dict[tuple[str | None, str], Any]:
        """Mirror, and give the runs by (the parent's name, their own)."""
        assert mirror_all(names) == list(names)
        return self.runs()

    def runs(self, query: str = "", dataset: str = "digits") -> dict[tuple[str | None, str], Any]:
        """Give the runs of a data set by (the parent's name, their own)."""
        home = self.client.get_experiment_by_name(dataset).experiment_id
        by_id = {run.info.run_id: run.info.run_name for run in self.client.search_runs([home])}
        found = self.client.search_runs([home], query)
        return {(by_id.get(run.data.tags.get("mlflow.parentRunId")), run.info.run_name): run for run in found}
