"""The command `convlab`: what is done with results, beside the pipeline that makes them."""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from convlab import files
from convlab.config import load_params
from convlab.errors import run

RESULTS_HINT = """\
  figures    plots/<name>/figures/*.png
  curves     dvc_plots/results/index.html (opens offline); `dvc plots diff A B` compares two experiments
  metrics    dvc metrics show, dvc exp show
  MLflow     make ui
  the gate   make check"""


def main() -> None:
    """Parse the command line and run one command; bad input is one line and exit status 2."""
    parser = argparse.ArgumentParser(prog="convlab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        commands.add_parser(name, help=function.__doc__, description=function.__doc__)
    arguments = parser.parse_args()
    run(COMMANDS[arguments.command])


def validate() -> int:
    """Check params.yaml, and say what `dvc repro` would compute."""
    params = load_params(files.PARAMS)
    sweeps = ", ".join(params.run_sweeps) or "none"
    print(f"{files.PARAMS} is valid: run {', '.join(params.run)}; sweeps {sweeps}")
    return 0


def check() -> int:
    """Compare metrics with their floors in params.yaml; exit status 1 if one is under it, missing or NaN."""
    from convlab import gate

    checks = gate.check(load_params(files.PARAMS).thresholds)
    for item in checks:
        if item.problem:
            print(f"FAIL  {item.experiment}: {item.metric} {item.problem} (floor {item.floor:.4f})")
        else:
            print(f"ok    {item.experiment}: {item.metric} is {item.value:.4f} (floor {item.floor:.4f})")
    failed = sum(bool(item.problem) for item in checks)
    print(f"the gate: {len(checks) - failed} of {len(checks)} metrics hold")
    return 1 if failed else 0


def track() -> int:
    """Mirror every result into MLflow, once, whatever is there already; exit status 1 if one could not be."""
    from convlab.records import finished
    from convlab.tracking import mirror, tracking_uri

    done = [mirror(name) for name in finished()]
    print(f"mlflow: {sum(done)} of {len(done)} experiments and sweeps are in {tracking_uri()}")
    return 0 if all(done) else 1


def results() -> int:
    """Show the results that are there, and where to look further."""
    params = load_params(files.PARAMS)
    table = Table(title="Experiments", title_justify="left")
    for column in ("experiment", "test accuracy", "test loss", "validation", "epochs", "seconds", "device"):
        table.add_column(column, justify="left" if column in ("experiment", "device") else "right")
    for name in params.experiments:
        folder = files.METRICS / name
        if (folder / "train.json").is_file() and (folder / "evaluate.json").is_file():
            table.add_row(name, *_experiment_cells(name))
    sweeps = Table(title="Sweeps", title_justify="left")
    for column in ("sweep", "trial", "test accuracy", "test loss", "epochs", "weight norm"):
        sweeps.add_column(column, justify="left" if column in ("sweep", "trial") else "right")
    for name in params.run_sweeps:
        path = files.METRICS / name / "trials.json"
        for index, row in enumerate(files.read_json(path) if path.is_file() else []):
            sweeps.add_row(name if index == 0 else "", row["name"], *_trial_cells(row))
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table)
    console.print(sweeps)
    console.print(RESULTS_HINT, highlight=False)
    return 0


def _experiment_cells(name: str) -> list[str]:
    facts = files.read_json(files.METRICS / name / "train.json")
    scores = files.read_json(files.METRICS / name / "evaluate.json")
    path = files.METRICS / name / "timing.json"
    timing = files.read_json(path) if path.is_file() else {}
    return [
        f"{scores['test']['accuracy']:.2%}",
        f"{scores['test']['loss']:.4f}",
        f"{scores['validation']['accuracy']:.2%}",
        str(facts["epochs"]),
        f"{timing['seconds']:.1f}" if timing else "–",
        timing.get("device_name", "–"),
    ]


def _trial_cells(row: dict) -> list[str]:
    if row["status"] != "finished":
        return [row["status"], "–", "–", "–"]
    test = row["test"]
    return [f"{test['accuracy']:.2%}", f"{test['loss']:.4f}", str(row["epochs"]), f"{row['weight_norm']:.2f}"]


def report() -> int:
    """Put the reports' numbers and ours side by side into README.md."""
    from convlab.reports import README, write_readme

    print(f"{README}: the tables of {', '.join(write_readme())} are up to date")
    return 0


COMMANDS = {"validate": validate, "check": check, "track": track, "results": results, "report": report}

if __name__ == "__main__":
    main()
