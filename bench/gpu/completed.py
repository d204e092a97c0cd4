"""Write which trainings a lease has completed, with accuracy and seconds of each, into a results file.

    python bench/gpu/completed.py bench/results/NAME-lease.json OUT …        OUT: as for import_results.py

Trainings that came with the lease from an earlier one, diverged or are infeasible are left out.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.gpu.import_results import unpack
from convlab import files
from convlab.errors import InputError, Parser, run


def main() -> None:
    """Write the file."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("target", type=Path, metavar="FILE")
    parser.add_argument("folders", type=Path, nargs="+", metavar="OUT")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        came = Path(folder)
        trainings: dict[str, Any] = {}  # by key: a second daemon, with a plan of its own, lists its own
        for one in options.folders:
            unpack(one, came)
            trainings |= {row["key"]: row for row in files.read_json(came / "status.json")["trainings"]}
        carried = came / "kept.csv"
        kept = set(carried.read_text().split()) if carried.is_file() else set()
        ended_here = [one for one in trainings.values() if one["key"] not in kept]
        found = [row for one in ended_here if (row := row_of(one, came / "ledger"))]
    if not found:
        raise InputError(f"{', '.join(map(str, options.folders))}: no training was completed there")
    files.write_json(options.target, content_of(found))
    print(f"{options.target}: {len(found)} trainings")


def content_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the trainings, with what is true of all of them once, before them: a lease may have resumed
    what began on another GPU, and not all trainings have one precision."""
    first, *others = (row["where"] for row in found)
    shared = {key: value for key, value in first.items() if all(one[key] == value for one in others)}
    rows = [
        {key: value for key, value in row.items() if key != "where"}
        | {key: value for key, value in row["where"].items() if key not in shared}
        for row in found
    ]
    return {**shared, "trainings": rows}


def row_of(training: dict[str, Any], ledger: Path) -> dict[str, Any] | None:
    """Return a training's row, or None if it was not completed."""
    path = ledger / f"{training['key']}.json"
    if training["state"] != "done" or not path.is_file():
        return None
    content = files.read_json(path)
    if content["status"] != "finished":
        return None
    timing, results = content["timing"], content["results"]
    about = ("device_name", "driver", "cuda", "cudnn", "torch", "python")
    return {
        "training": training["label"],
        "for": training["items"],
        "epochs": results["epochs"],
        **{f"{split}_accuracy": results[split]["accuracy"] for split in ("test", "validation")},
        "running_accuracy": results["running_accuracy"],
        "seconds": round(timing["seconds"], 1),
        "seconds_in_all": round(training["seconds"], 1),
        "where": {key: timing[key] for key in about} | {"precision": results["precision"]},
    }


if __name__ == "__main__":
    run(main)
