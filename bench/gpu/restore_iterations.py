"""Write plots/SWEEP/iterations.csv of results that were computed before the sweep stage wrote it.

    python bench/gpu/restore_iterations.py        every sweep that has results

From the ledgers that leases left in .convlab/lease: a training there whose weights are those of a committed
record took these steps. Where the recipe records none, the file is empty, as the stage writes it. Then
the figures that need no weights are drawn. What is in no ledger is named: `dvc repro` trains it.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.gpu.carried import KEPT
from convlab import files
from convlab.config import load_params
from convlab.errors import Parser, run
from convlab.figures import draw
from convlab.pipeline.ledger import Finished
from convlab.pipeline.trainings import iterations_of
from convlab.results.folders import load
from convlab.schema import Trial


def main() -> int:
    """Write what can be written, and draw it; exit status 1 if a sweep's steps are in no ledger."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--ledger", type=Path, default=KEPT / "ledger", metavar="FOLDER")
    by_weights = kept(parser.parse_args().ledger)
    status = 0
    for name, sweep in load_params(files.PARAMS).sweeps.items():
        records = [record for record in load(name).trainings if record["status"] == "finished"]
        if not records:
            continue
        trials = {(trial.name, trial.experiment.seed): trial for trial in sweep.trials}
        ended, lost = found(records, trials, by_weights)
        if lost:
            status = 1
            print(f"steps: {name}: in no ledger: {', '.join(lost)}; `dvc repro` trains them")
            continue
        rows = iterations_of(ended)
        files.write_csv(files.PLOTS / name / "iterations.csv", rows)
        drawn = draw.draw_trials(name)
        print(f"steps: {name}: {len(rows):,} rows, {len(drawn)} figures", flush=True)
    return status


def kept(folder: Path) -> dict[str, Path]:
    """Return the ledger's file of each finished training, by the hash of its weights."""
    by_weights = {}
    for path in sorted(folder.glob("*.json")):
        weights = files.read_json(path)["results"].get("weights")
        if weights:
            by_weights[weights] = path
    return by_weights


def found(
    records: list[dict[str, Any]], trials: dict[tuple[str, int], Trial], by_weights: dict[str, Path]
) -> tuple[list[tuple[Trial, Finished]], list[str]]:
    """Return the first seed of each trial with what its ledger holds, and which of them are in no ledger."""
    ended, lost, seen = [], [], set[str]()
    for record in records:
        trial = trials.get((record["name"], record["seed"]))
        if trial is None or record["name"] in seen or not record["configuration"]["iterations"]:
            continue
        seen.add(record["name"])
        path = by_weights.get(record["weights"])
        finished = Finished(**files.read_json(path)) if path else None
        if finished and finished.iterations:
            ended.append((trial, finished))
        else:
            lost.append(record["name"])
    return ended, lost


if __name__ == "__main__":
    run(main)
