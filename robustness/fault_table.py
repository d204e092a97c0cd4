"""The table of faults.py's results. Pure."""

from typing import Any

from convlab import markdown
from robustness.fault_kinds import KINDS


def fault_table(results: dict[str, Any]) -> str:
    """Count rounds, hits and recoveries by kind of fault, with the hardware."""
    rows = [row for row in results["rounds"] if row["recovered"] is not None]
    lines = [
        f"{results['device_name']}, Python {results['python']}, PyTorch {results['torch']}, "
        f"DVC {results['dvc']}, MLflow {results['mlflow']}; n = {len(rows)}.",
        "",
        "| fault | rounds | hit | recovered | lost |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in (*KINDS, None):
        found = [row for row in rows if name in (row["fault"], None)]
        hit, recovered = (sum(row[key] for row in found) for key in ("hit", "recovered"))
        cells = [str(number) for number in (len(found), hit, recovered, len(found) - recovered)]
        if name and not found:
            cells = ["not run", "–", "–", "–"]
        lines.append(markdown.row([name or "all", *cells]))
    return "\n".join(lines) + "\n"
