"""Do committed results still belong to the code, after an edit that was meant to change none of them?

    python bench/reaffirm.py NAME …      experiments or sweeps; their weights and prepared data must be there

For each NAME, the first epoch of its first and last training is trained again, and its row of the learning
curves compared to the last bit; the weights of both are scored again, and the scores compared in the same
way. If all of it is equal, the new code's fingerprint is put beside the results, and `dvc commit -f STAGE …`,
which is printed, may record that they belong to the new code. If anything differs: `dvc repro`, which trains.

Only on the machine (and with the number of threads) that the results are from: bits differ elsewhere.
"""

import sys
from typing import Any

from convlab import files
from convlab.config import load_item, trials_of
from convlab.data.dataset import load_split, load_statistics
from convlab.errors import InputError, run
from convlab.evaluate import evaluate
from convlab.models.build import build_model, load_model
from convlab.schema import SPLITS, Sweep, Trial
from convlab.train.device import prepare_process, select_device
from convlab.train.fit import fit
from convlab.train.history import History
from convlab.train.run import fingerprint_of, size


class OneEpoch(Exception):
    """The first epoch has ended."""


def main() -> None:
    """Check every NAME; write only after all of its checks have passed."""
    for name in sys.argv[1:]:
        item = load_item(files.config(name))
        sweep = isinstance(item, Sweep)
        curves = files.read_curves(files.PLOTS / name / "curves.csv")
        trials = [trial for trial in trials_of(name, item) if _curve(curves, trial, sweep)]
        for trial in {id(trial): trial for trial in (trials[0], trials[-1])}.values():
            _check(name, trial, sweep, curves)
        _write(name, trials, sweep)
        stages = ["sweep"] if sweep else ["train", "evaluate"]
        print(
            f"{name}: the same. dvc commit -f {' '.join(f'{stage}@{name}' for stage in stages)}", flush=True
        )


def _check(name: str, trial: Trial, sweep: bool, curves: list[dict[str, Any]]) -> None:
    experiment = trial.experiment
    folder = files.PROCESSED / name / experiment.data_key()
    statistics = load_statistics(folder)
    prepare_process(experiment.threads, experiment.deterministic)
    label = f"{name}, {files.training(experiment.seed, trial.name)}"

    def stop(history: History) -> None:
        found = history.records[0]
        wanted = {key: value for key, value in _curve(curves, trial, sweep)[0].items() if key in found}
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

    weights = files.weights(name, experiment.seed, trial.name if sweep else None)
    scores = evaluate(load_model(experiment, statistics, weights), experiment, folder).scores
    content = files.read_json(files.METRICS / name / ("trials.json" if sweep else "evaluate.json"))
    wanted = next(row for row in _rows(content) if _is(row, trial, sweep))
    if any(wanted[split] != scores[split] for split in SPLITS):
        raise InputError(f"{label}: the scores are {scores}; run `dvc repro`")
    print(f"{label}: the weights have the same scores", flush=True)


def _write(name: str, trials: list[Trial], sweep: bool) -> None:
    """Update what follows from code and model alone (fingerprints, sizes)."""
    folder = files.METRICS / name
    facts_path = folder / ("trials.json" if sweep else "train.json")
    content, timing = files.read_json(facts_path), files.read_json(folder / "timing.json")
    clocks = list(timing.values()) if sweep else [timing, *timing.get("seeds", [])]
    for trial in trials:
        data = files.PROCESSED / name / trial.experiment.data_key()
        statistics = load_statistics(data)
        model = build_model(trial.experiment, statistics.input_shape, len(statistics.classes))
        identity = fingerprint_of(trial.experiment, data)
        for row in _rows(content):
            if _is(row, trial, sweep):
                for clock in clocks:
                    if clock.get("fingerprint") == row["fingerprint"]:
                        clock["fingerprint"] = identity
                row |= {**size(model, statistics.input_shape), "fingerprint": identity}
    files.write_json(facts_path, content)
    files.write_json(folder / "timing.json", timing)


def _rows(content: Any) -> list[dict[str, Any]]:
    return content if isinstance(content, list) else [content, *content.get("seeds", [])]


def _is(row: dict[str, Any], trial: Trial, sweep: bool) -> bool:
    return row["seed"] == trial.experiment.seed and (not sweep or row["name"] == trial.name)


def _curve(curves: list[dict[str, Any]], trial: Trial, sweep: bool) -> list[dict[str, Any]]:
    return [
        row
        for row in curves
        if row["seed"] == trial.experiment.seed and (not sweep or row["trial"] == trial.name)
    ]


if __name__ == "__main__":
    run(main)
