"""Results as the stages write them, for tests of their readers: records with their summaries and curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from convlab import files
from convlab.pipeline import summaries
from convlab.pipeline.made_from import TrainingRecord, sealed
from convlab.pipeline.provenance import fingerprint_of_parts

CODE = {"models.cnn": "abc"}
DATA = "d" * 8


def training(of: str, seed: int = 1, name: str | None = None, **more: Any) -> TrainingRecord:
    """Return the record of a training; `more` replaces what it says; it has the fingerprint of its parts."""
    epochs = more.get("epochs", 4)
    facts = {
        "epochs": epochs,
        "best_epoch": epochs,
        "validation_loss": 0.2,
        "parameters": 10,
        "report_flops": 20,
    }
    facts |= {"kernel_norm": 3.0, "weight_norm": 12.0, "penalty": 0.5, "weights": f"of {of} {name} {seed}"}
    facts |= {"precision": "fp32", "device": "cpu"}
    configuration = {"seed": seed, "epochs": epochs, "early_stopping": None, "of": of, "name": name}
    record = {
        **{"of": of, "name": name or of, "overrides": {}, "seed": seed, "status": "finished"},
        **(facts if more.get("status", "finished") == "finished" else {}),
        **{"configuration": configuration, "data": {"training": DATA}, "code": {"train": CODE}},
        **{"environment": {"device_name": "a CPU"}},
        **more,
    }
    parts = record["configuration"], record["data"]["training"], record["code"]["train"]
    return sealed({**record, "fingerprint": fingerprint_of_parts(*parts)})


def scores_of(accuracy: float = 0.9, images: int = 5, loss: float = 0.3) -> dict[str, Any]:
    """Return what a training scores on the three splits, with this test accuracy."""
    return {
        "train": {"loss": 0.1, "accuracy": 0.99, "images": 5},
        "validation": {"loss": 0.2, "accuracy": 0.95, "images": 5},
        "test": {"loss": loss, "accuracy": accuracy, "images": images},
    }


def evaluation(record: TrainingRecord, accuracy: float = 0.9, **more: Any) -> TrainingRecord:
    """Return the record of a training's evaluation."""
    own = {key: record[key] for key in ("of", "seed", "weights")}
    return sealed({**own, **scores_of(accuracy), "code": {"evaluate": CODE}, "environment": {}, **more})


def trial(of: str, name: str, seed: int = 1, accuracy: float = 0.9, **more: Any) -> TrainingRecord:
    """Return the record of a trial, with its scores."""
    return training(of, seed, name, **{**scores_of(accuracy), **more})


def put(
    trainings: Sequence[TrainingRecord], scores: Sequence[TrainingRecord] | None = None, timing: Any = None
) -> None:
    """Write a result: an experiment's, with these evaluations, or a sweep's, where there are none to be."""
    name = trainings[0]["of"]
    folder = files.METRICS / name
    for stale in (files.scores(name), folder / "evaluate.json"):
        stale.unlink(missing_ok=True)
    files.write_json(files.trainings(name), trainings)
    if scores is None:
        files.write_json(folder / "trials.json", summaries.tried(trainings))
    else:
        files.write_json(folder / "train.json", summaries.trained(trainings))
    if scores:
        files.write_json(files.scores(name), scores)
        files.write_json(folder / "evaluate.json", summaries.evaluated(scores))
    if timing is not None:
        files.write_json(folder / "timing.json", timing)
    files.write_csv(files.PLOTS / name / "curves.csv", curves_of(trainings))


def curves_of(trainings: Sequence[TrainingRecord]) -> list[Mapping[str, Any]]:
    """Return the last epoch's row of each training that ended, and its best one's."""
    tried = any(record["name"] != record["of"] for record in trainings)
    rows = []
    for one in trainings:
        if one["status"] == "finished":
            row = {"epoch": one["best_epoch"], "lr": 0.1, "validation_loss": one["validation_loss"]}
            rows.append({**({"trial": one["name"]} if tried else {}), **row, "seed": one["seed"]})
    return rows


def clock(record: TrainingRecord, seconds: float = 8.0, **more: Any) -> dict[str, Any]:
    """Return the timing of a training."""
    return {"fingerprint": record["fingerprint"], "seconds": seconds, "device_name": "a CPU", **more}
