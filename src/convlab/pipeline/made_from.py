"""What a result was made from, written beside its numbers: a record for each training, for each evaluation.

A record holds everything about one training: its resolved configuration, the hashes of its data, the modules
that computed it, versions and hardware, and the numbers. Every reader takes a result from its records alone;
`data/configs` is for the next run. trainings.json and scores.json are lists of records, which DVC does not
turn into columns; what DVC shows is a summary of them (summaries.py).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlab.pipeline.identity import Phase, identity
from convlab.pipeline.provenance import fingerprint, fingerprint_of_parts, hash_data, hash_files
from convlab.schema import Experiment, Trial

if TYPE_CHECKING:
    from convlab.pipeline.evaluate import Evaluation
    from convlab.pipeline.ledger import Finished

from convlab import files
from convlab.config.explain import validate
from convlab.errors import InputError

TrainingRecord = dict[str, Any]
# What the record of a finished training says besides its results
FACTS = {"of", "name", "overrides", "status", "configuration", "data", "code", "environment", "seal"}
SURROUNDINGS = (  # the entries of timing.json that stay the same when a machine trains again
    "device_name",
    "threads",
    "kernels",
    "python",
    "torch",
    "platform",
    "device_memory_gib",
    "cuda",
    "cudnn",
    "driver",
)


def of_training(of: str, trial: Trial, finished: "Finished", folder: Path, scored: bool) -> TrainingRecord:
    """Return the record of a training that ended, however it did.

    `of`: the experiment or sweep; `folder`: its prepared data; `scored`: whether its scores are in it.
    """
    experiment, data = trial.experiment, hash_data(folder)
    phases: tuple[Phase, ...] = ("prepare", "train", "evaluate") if scored else ("prepare", "train")
    assert finished.results["fingerprint"] == fingerprint(experiment, data), "the ledger's key holds it"
    return sealed(
        {
            "of": of,
            "name": trial.name,
            "overrides": trial.overrides,
            "seed": finished.results["seed"],
            "status": finished.status,
            **({"reason": finished.reason} if finished.reason else {}),
            **finished.results,
            "configuration": experiment.model_dump(mode="json", exclude_defaults=True),
            "data": {"training": data, **({"test": hash_test(folder)} if scored else {})},
            "code": {phase: identity(phase, experiment) for phase in phases},
            "environment": surroundings(finished.timing),
        }
    )


def results_of(record: TrainingRecord) -> dict[str, Any]:
    """Return what the ledger holds of a training that finished: the reverse of `of_training`."""
    return {key: value for key, value in record.items() if key not in FACTS}


def of_evaluation(
    of: str,
    evaluation: "Evaluation",
    experiment: Experiment,
    folder: Path,
    environment: Mapping[str, Any],
    per_class: Mapping[str, Mapping[str, float]],
) -> TrainingRecord:
    """Return the record of an evaluation of trained weights on the prepared data in `folder`."""
    return sealed(
        {
            "of": of,
            "seed": evaluation.seed,
            **evaluation.scores,
            "per_class": per_class,
            "data": {"test": hash_test(folder)},
            "code": {"evaluate": identity("evaluate", experiment)},
            "environment": surroundings(environment),
        }
    )


def hash_test(folder: Path) -> str:
    """Return the hash of the test images and their labels."""
    return hash_files([folder / "test.safetensors"])


def surroundings(timing: Mapping[str, Any]) -> TrainingRecord:
    """Return the versions and the hardware from an entry of timing.json."""
    return {key: timing[key] for key in SURROUNDINGS if timing.get(key) is not None}


def sealed(record: TrainingRecord) -> TrainingRecord:
    """Return a record with a hash of all of it, which reveals an edit."""
    return {**record, "seal": _seal(record)}


def problem_of(record: Any, of: str) -> str:
    """Return why a record is not as its stage wrote it; empty where it is."""
    if not isinstance(record, Mapping):
        return "is not a list of records"
    if record.get("of") != of:
        return f"is of {record.get('of')!r}"
    if record.get("seal") != _seal({key: value for key, value in record.items() if key != "seal"}):
        return f"has been edited ({_label(record)})"
    if "configuration" in record:
        parts = record["configuration"], record["data"]["training"], record["code"]["train"]
        if record["fingerprint"] != fingerprint_of_parts(*parts):
            return f"has the numbers of one training with the configuration of another ({_label(record)})"
    return ""


def _label(record: Mapping[str, Any]) -> str:
    return " ".join(f"{key} {record[key]}" for key in ("name", "seed") if key in record)


def _seal(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def configuration(record: TrainingRecord) -> Experiment:
    """Return the configuration that a training was made from.

    Raises:
        InputError: it is not valid under the current schema.
    """
    try:
        return validate(Experiment, record["configuration"], [("", record["configuration"])])
    except InputError as error:
        raise InputError(f"{files.trainings(record['of'])}: {error}") from None


Flat = dict[str, str]


def flat(experiment: Experiment, text: Callable[[Any], str] = str) -> Flat:
    """Return a configuration by dotted keys: `model.kernels` → `[3, 3]`; `text` shows a value."""
    found: Flat = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                walk(f"{prefix}.{key}" if prefix else key, part)
        else:
            found[prefix] = text(value)

    walk("", experiment.model_dump())
    return found
