"""Does the code still give the committed results, after an edit that should change none of them?

    python bench/fidelity/reaffirm.py NAME …   experiments or sweeps; their weights and data must be there

For each NAME, the first epoch of its first and last training is trained again, and its row of the learning
curves compared to the last bit; the weights of both are scored again, and the scores compared in the same
way. If all of it is equal, the new code's fingerprint is put beside the results, and `dvc commit -f STAGE …`,
which is printed, may record that they belong to the new code. If anything differs: `dvc repro`, which trains.

Only on the machine (and with the number of threads) that the results are from: bits differ elsewhere.
"""

import os
import sys
from typing import Any

from convlab import files, portable
from convlab.data.dataset import load_split, load_statistics
from convlab.errors import InputError, run
from convlab.models.build import build_model, load_model
from convlab.pipeline import made_from, summaries
from convlab.pipeline.evaluate import evaluate
from convlab.pipeline.identity import identity
from convlab.pipeline.made_from import TrainingRecord, configuration
from convlab.pipeline.run import fingerprint_of, size
from convlab.results.folders import load
from convlab.schema import SPLITS
from convlab.train.device import prepare_process, select_device
from convlab.train.fit import fit
from convlab.train.history import History


class OneEpoch(Exception):
    """The first epoch has ended."""


def main() -> None:
    """Check every NAME; write only after all of its checks have passed."""
    pin(sys.argv[1:])
    for name in sys.argv[1:]:
        folder = load(name)
        if folder.problem or not folder.trainings:
            raise InputError(folder.problem or f"{files.trainings(name)}: not there; `dvc repro` writes it")
        pairs = folder.scored()
        sweep = not folder.scores
        curves = files.read_curves(files.PLOTS / name / "curves.csv")
        for record, scores in {id(pair): pair for pair in (pairs[0], pairs[-1])}.values():
            _check(name, record, scores, _curve(curves, record, sweep), sweep)
        _write(name, folder.trainings, folder.scores)
        stages = ["sweep"] if sweep else ["train", "evaluate"]
        print(
            f"{name}: the same. dvc commit -f {' '.join(f'{stage}@{name}' for stage in stages)}", flush=True
        )


def pin(names: list[str]) -> None:
    """Start again with pinned kernels where the results are portable: PyTorch is loaded by now.

    Raises:
        InputError: some of them are, and others are not.
    """
    asked = {configuration(record).portable for name in names for record in load(name).trainings}
    if len(asked) > 1:
        raise InputError("NAME: found results with portable: true and with false; give them in two commands")
    if asked == {True} and portable.possible() and not portable.pinned():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | portable.PINS)


def _check(
    name: str, record: TrainingRecord, scores: TrainingRecord, curve: list[dict[str, Any]], sweep: bool
) -> None:
    experiment = configuration(record)
    portable.check(name, experiment)
    folder = files.PROCESSED / name / experiment.data_key()
    statistics = load_statistics(folder)
    prepare_process(experiment.threads, experiment.deterministic)
    label = f"{name}, {files.training(experiment.seed, record['name'])}"

    def stop(history: History) -> None:
        found = history.records[0]
        wanted = {key: value for key, value in curve[0].items() if key in found}
        if found != wanted:
            raise InputError(f"{label}: epoch 1 is {found}, where the results say {wanted}; run `dvc repro`")
        raise OneEpoch

    model = build_model(experiment, statistics.input_shape, len(statistics.classes))
    splits = (load_split(folder, "train"), load_split(folder, "validation"))
    device = select_device(experiment.device)
    try:
        fit(model, *splits, statistics.transform(), experiment, device, on_epoch=stop)
    except OneEpoch:
        print(f"{label}: epoch 1 has the same losses and accuracies", flush=True)

    weights = files.weights(name, experiment.seed, record["name"] if sweep else None)
    found = evaluate(load_model(experiment, statistics, weights), experiment, folder).scores
    if any(scores[split] != found[split] for split in SPLITS):
        raise InputError(f"{label}: the scores are {found}; run `dvc repro`")
    print(f"{label}: the weights have the same scores", flush=True)


def _write(name: str, trainings: list[TrainingRecord], scores: list[TrainingRecord]) -> None:
    """Update what follows from code and model only (fingerprints, modules, sizes)."""
    path = files.METRICS / name / "timing.json"
    timing = files.read_json(path)
    clocks = [timing, *timing.get("seeds", [])] if "fingerprint" in timing else list(timing.values())
    renewed = [_renewed(name, record) for record in trainings]
    for before, now in zip(trainings, renewed, strict=True):
        for clock in clocks:
            if clock.get("fingerprint") == before["fingerprint"]:
                clock["fingerprint"] = now["fingerprint"]
    files.write_json(files.trainings(name), renewed)
    files.write_json(path, timing)
    if scores:
        configured = {record["seed"]: configuration(record) for record in trainings}
        files.write_json(
            files.scores(name), [_with_code(record, configured[record["seed"]]) for record in scores]
        )
        files.write_json(files.METRICS / name / "train.json", summaries.trained(renewed))


def _renewed(name: str, record: TrainingRecord) -> TrainingRecord:
    experiment = configuration(record)
    folder = files.PROCESSED / name / experiment.data_key()
    now: TrainingRecord = {"fingerprint": fingerprint_of(experiment, folder)}
    if record["status"] == "finished":
        statistics = load_statistics(folder)
        model = build_model(experiment, statistics.input_shape, len(statistics.classes))
        now |= size(model, statistics.input_shape)
    return _with_code({**record, **now}, experiment)


def _with_code(record: TrainingRecord, experiment: Any) -> TrainingRecord:
    """Return a record with the current modules and a new hash of itself."""
    content = {key: value for key, value in record.items() if key != "seal"}
    return made_from.sealed(
        {**content, "code": {phase: identity(phase, experiment) for phase in record["code"]}}
    )


def _curve(curves: list[dict[str, Any]], record: TrainingRecord, sweep: bool) -> list[dict[str, Any]]:
    return [
        row
        for row in curves
        if row["seed"] == record["seed"] and (not sweep or row["trial"] == record["name"])
    ]


if __name__ == "__main__":
    run(main)
