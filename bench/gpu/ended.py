"""Write which trainings a lease has completed, with accuracy and seconds of each, into a results file.

    python bench/gpu/ended.py bench/results/NAME-lease.json OUT …        OUT: as for bring.py

Trainings that an earlier lease had ended (their `timing` names another device) are left out.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.gpu.bring import unpack
from convlab import files
from convlab.errors import Parser, run


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
        device = (came / "gpu.csv").read_text().splitlines()[1].split(",")[0]
        found = [row for one in trainings.values() if (row := row_of(one, came / "ledger", device))]
    first: dict[str, Any] = found[0].pop("where")
    for row in found[1:]:
        row.pop("where")
    files.write_json(options.target, {**first, "trainings": found})
    print(f"{options.target}: {len(found)} trainings")


def row_of(training: dict[str, Any], ledger: Path, device: str) -> dict[str, Any] | None:
    """Return a training's row, or None if it was not completed on this device."""
    path = ledger / f"{training['key']}.json"
    if training["state"] != "done" or not path.is_file():
        return None
    content = files.read_json(path)
    timing, results = content["timing"], content["results"]
    if timing["device_name"] != device:
        return None
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
