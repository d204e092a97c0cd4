"""Results in a terminal: all of them, their states, some side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convlab import files
from convlab.commands.console import empty_table, wide_console
from convlab.config import load_params
from convlab.errors import InputError

if TYPE_CHECKING:
    from convlab.results import TrainingRow

# The columns of both tables of `convlab results`
OF_EXPERIMENTS = ("test_accuracy", "test_loss", "validation_accuracy", "epochs", "seconds")
OF_TRIALS = ("test_accuracy", "test_loss", "epochs", "kernel_norm")
RESULTS_HINT = """\
  figures    plots/<name>/figures/*.png
  curves     dvc_plots/results/index.html (opens offline); `dvc plots diff A B` compares two experiments
  metrics    dvc metrics show, dvc exp show
  MLflow     make ui
  the gate   make check"""


def results(form: str | None) -> int:
    """Show the results, and where to find more about them."""
    from convlab.results import QUANTITIES, frame, rows, status

    if form:
        table = frame()
        # pandas' own JSON, in which missing values are null
        print(
            table.to_json(orient="records", indent=2)
            if form == "json"
            else table.to_csv(index=False).rstrip()
        )
        return 0
    params = load_params(files.PARAMS)
    titles = [[QUANTITIES[key].title for key in own] for own in (OF_EXPERIMENTS, OF_TRIALS)]
    table = empty_table("Experiments", "experiment", "n", *titles[0], "device")
    for name in params.experiments:
        if trainings := rows(name):
            devices = sorted({row["environment"]["device_name"] for row in trainings})
            table.add_row(name, str(len(trainings)), *_cells(trainings, OF_EXPERIMENTS), "; ".join(devices))
    sweeps = empty_table("Sweeps", "sweep", "trial", "n", *titles[1])
    committed = [
        name
        for name, sweep in params.sweeps.items()
        if any(rows(f"{name}/{one.name}") for one in sweep.trials)
    ]
    for name in dict.fromkeys([*params.run_sweeps, *committed]):
        for index, trial in enumerate(dict.fromkeys(trial.name for trial in params.sweeps[name].trials)):
            trainings, cells = rows(f"{name}/{trial}"), ["–", status(f"{name}/{trial}"), "–", "–", "–"]
            if trainings:
                cells = [str(len(trainings)), *_cells(trainings, OF_TRIALS)]
            sweeps.add_row(name if index == 0 else "", trial, *cells)
    console = wide_console()
    console.print(table)
    console.print(sweeps)
    console.print(RESULTS_HINT, highlight=False)
    return 0


def _cells(trainings: Sequence["TrainingRow"], quantities: tuple[str, ...]) -> list[str]:
    """Show quantities of one or several seeds' trainings, as mean ± standard deviation."""
    from convlab.results import mean_text, values

    return [mean_text(key, values(trainings, key)) or "–" for key in quantities]


def list_results(json: bool) -> int:
    """List every experiment and sweep with its state: fresh, stale (and why), shortened, never run, …"""
    from convlab.results import listing

    found = listing.listed(load_params(files.PARAMS))
    if json:
        print(files.json_text(listing.as_json(found)), end="")
    else:
        wide_console().print(listing.table(found))
    return 0


def compare(results: list[str]) -> int:
    """Put results side by side: parameters and metrics that differ, with intervals."""
    from convlab.results import QUANTITIES, mean_text
    from convlab.results.compare import COMPARED, difference, letters, load, params_that_differ

    if len(results) < 2:
        raise InputError(f"found one result, {results[0]}; allowed: two or more")
    several = [load(name) for name in results]
    columns = letters(len(several))
    names = empty_table("Results", "letter", "experiment", "device")
    for letter, subject in zip(columns, several, strict=True):
        names.add_row(letter, subject.name, ", ".join(subject.found.hardware()))
    params = empty_table("Parameters that differ", "parameter", *columns)
    for key, row in params_that_differ(several).items():
        params.add_row(key, *row)
    first, *others = several
    metrics = empty_table("Metrics", "metric", *columns, *(f"{letter} − A" for letter in columns[1:]))
    for metric in COMPARED:
        cells = [mean_text(metric, subject.values(metric)) or "–" for subject in several]
        found = [difference(metric, other, first) for other in others]
        changes = [one.text(metric) if one else "–" for one in found]
        metrics.add_row(QUANTITIES[metric].title, *cells, *changes)
    console = wide_console()
    console.print(names)
    console.print(params if params.row_count else "Their parameters are the same.")
    console.print(metrics)
    console.print(
        "±: standard deviation over seeds; [ , ]: 95 % interval, for one seed by another result's spread; "
        "accuracies: percentage points",
        soft_wrap=True,
    )
    return 0
