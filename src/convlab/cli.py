"""The command `convlab`: what is done with results, beside the pipeline that makes them."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from convlab import __version__, files
from convlab.campaign.durations import duration
from convlab.config import load_declared, load_params
from convlab.errors import InputError, Parser, run

MOST_SEEDS = 100  # of a campaign
TITLES = ("test accuracy", "test loss")  # what both tables of `convlab results` begin with
RESULTS_HINT = """\
  figures    plots/<name>/figures/*.png
  curves     dvc_plots/results/index.html (opens offline); `dvc plots diff A B` compares two experiments
  metrics    dvc metrics show, dvc exp show
  MLflow     make ui
  the gate   make check"""


def main() -> None:
    """Parse the command line and run one command; bad input is one line and exit status 2."""
    run(_main)


def _main() -> int:
    parser = Parser(prog="convlab", description=__doc__)
    parser.add_argument("--version", action="version", version=f"convlab {__version__}")
    if "--print-completion" in sys.argv:
        import shtab  # comes with DVC

        shtab.add_argument_to(parser, help="print what completes commands and options in a shell, and end")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {
        name: commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        for name, function in COMMANDS.items()
    }
    parsers["summary"].add_argument("experiment", metavar="EXPERIMENT", help="or SWEEP/TRIAL")
    parsers["summary"].add_argument("--svg", metavar="FILE", type=Path, help="draw the network, too")
    parsers["import"].add_argument(
        "name", metavar="NAME", help="of a data set under `datasets` in params.yaml"
    )
    parsers["check"].add_argument(
        "--against", metavar="REV", help="a git revision whose test accuracies must not have dropped, too"
    )
    form = parsers["results"].add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="a row per training")
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="the same as CSV")
    parsers["list"].add_argument("--json", action="store_true", help="for a program, with every reason")
    parsers["verify"].add_argument(
        "names", nargs="*", metavar="NAME", help="an experiment or a sweep (all that params.yaml selects)"
    )
    parsers["track"].add_argument(
        "--experiments",
        action="store_true",
        help="and the results of all DVC experiments, from their commits",
    )
    parsers["ui"].add_argument(
        "--port", metavar="N", type=_port, default=5000, help="5000, unless it is taken"
    )
    predict_options = parsers["predict"]
    predict_options.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="or a folder of them")
    predict_options.add_argument(
        "--model",
        metavar="NAME",
        help="an experiment, SWEEP/TRIAL, or DATASET@champion: its best trained here",
    )
    predict_options.add_argument(
        "--explain", metavar="FILE", type=Path, help="draw where it looked (Grad-CAM)"
    )
    predict_options.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    predict_options.add_argument(
        "--csv", metavar="FILE", type=Path, help="write a table (a folder prints one)"
    )
    parsers["export"].add_argument("model", metavar="NAME", help="as in `convlab predict --model`")
    kinds = parsers["export"].add_mutually_exclusive_group(required=True)
    kinds.add_argument("--onnx", metavar="FILE", type=Path, help="write it as ONNX")
    kinds.add_argument(
        "--keep", action="store_true", help="put its weights into champions/, for git: see docs/pipeline.md"
    )
    parsers["compare"].add_argument(
        "results", metavar="RESULT", nargs="+", help="EXPERIMENT or SWEEP/TRIAL; with @REV, of a git revision"
    )
    parsers["book"].add_argument(
        "--out", metavar="FOLDER", type=Path, default=Path("docs/book"), help="where to (default: docs/book)"
    )
    parsers["book"].add_argument(
        "--fetch", action="store_true", help="fetch by npm what the explore page needs, once"
    )
    parsers["headlines"].add_argument(
        "names", nargs="*", metavar="NAME", help="of these alone (all that surpass a report's)"
    )
    campaign_options = parsers["campaign"]
    campaign_options.add_argument("names", nargs="*", metavar="NAME", help="of these alone (all)")
    campaign_options.add_argument("--plan", action="store_true", help="show the list, and train nothing")
    campaign_options.add_argument(
        "--for", dest="seconds", metavar="TIME", type=duration, help="end before then: 2h30m, 45m"
    )
    campaign_options.add_argument(
        "--seeds", metavar="N", type=_seeds, help="raise `seeds` of what has fewer, in params.yaml, to N"
    )
    options = vars(parser.parse_args())
    command: Callable[..., int] = COMMANDS[options.pop("command")]
    return command(**options)


def validate() -> int:
    """Check params.yaml, and say what `dvc repro` would compute."""
    from convlab.networks.feasible import check_selected
    from convlab.pipeline.kept import put_back

    put_back()
    params = load_params(files.PARAMS)
    check_selected(params)
    sweeps = ", ".join(params.run_sweeps) or "none"
    print(f"{files.PARAMS} is valid: run {', '.join(params.run)}; sweeps {sweeps}")
    for warning in params.warnings:
        print(f"warning: {warning}")
    return 0


def check(against: str | None) -> int:
    """Compare metrics with their floors in params.yaml; exit status 1 if one is under it, missing or NaN."""
    from convlab.results import compare, gate

    checks = gate.check(load_params(files.PARAMS).thresholds)
    changes = compare.against(against) if against is not None else []
    for item in checks:
        if item.problem:
            print(f"FAIL  {item.experiment}: {item.metric} {item.problem} (floor {item.floor:.4f})")
        else:
            print(f"ok    {item.experiment}: {item.metric} is {item.value:.4f} (floor {item.floor:.4f})")
    for change in changes:
        if change.kind != compare.EQUAL:
            print(f"{change.kind:<4}  {change.result}: test_accuracy {change.text}")
    failed = sum(bool(item.problem) for item in checks)
    print(f"the gate: {len(checks) - failed} of {len(checks)} metrics hold")
    kinds = [change.kind for change in changes]
    if against is not None:
        counts = (f"{kinds.count(kind)} {words}" for kind, words in compare.KINDS.items())
        print(f"against {against}: {', '.join(counts)}")
    return 1 if failed or compare.FAILED in kinds else 0


def track(experiments: bool) -> int:
    """Mirror every result into MLflow, once, whatever is there already; exit status 1 if one could not be."""
    from convlab.results.folders import finished
    from convlab.tracking import mirror_all
    from convlab.tracking.experiments import mirror_experiments
    from convlab.tracking.store import shown_uri

    names = finished()
    done = mirror_all(names)
    print(f"mlflow: {len(done)} of {len(names)} experiments and sweeps are in {shown_uri()}")
    kept, all_kept = mirror_experiments() if experiments else (0, 0)
    if experiments:
        print(f"mlflow: {kept} of {all_kept} DVC experiments are there")
    return 0 if (len(done), kept) == (len(names), all_kept) else 1


def ui(port: int) -> int:
    """Mirror every result, and show MLflow's pages on this machine."""
    from convlab.tracking.ui import serve

    return serve(port)


def promote() -> int:
    """Make the best network of each data set its champion in MLflow's registry, and say which it is."""
    from convlab.tracking.registry import promote

    return promote()


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a number from 1 to 65535")
    return number


def _seeds(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 2 <= number <= MOST_SEEDS:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a number from 2 to {MOST_SEEDS}")
    return number


def results(form: str | None) -> int:
    """Show the results that are there, and where to look further."""
    from convlab.results import frame, rows, status

    if form:
        table = frame()
        # pandas' own JSON, in which what is not there is null
        print(
            table.to_json(orient="records", indent=2)
            if form == "json"
            else table.to_csv(index=False).rstrip()
        )
        return 0
    params = load_params(files.PARAMS)
    table = _table("Experiments", "experiment", "n", *TITLES, "validation", "epochs", "seconds", "device")
    quantities = ("test_accuracy", "test_loss", "validation_accuracy", "epochs", "seconds")
    for name in params.experiments:
        if trainings := rows(name):
            devices = sorted({row["environment"]["device_name"] for row in trainings})
            table.add_row(name, str(len(trainings)), *_cells(trainings, quantities), "; ".join(devices))
    sweeps = _table("Sweeps", "sweep", "trial", "n", *TITLES, "epochs", "kernel norm")
    of_trials = ("test_accuracy", "test_loss", "epochs", "kernel_norm")
    committed = [
        name
        for name, sweep in params.sweeps.items()
        if any(rows(f"{name}/{one.name}") for one in sweep.trials)
    ]
    for name in dict.fromkeys([*params.run_sweeps, *committed]):
        for index, trial in enumerate(dict.fromkeys(trial.name for trial in params.sweeps[name].trials)):
            trainings, cells = rows(f"{name}/{trial}"), ["–", status(f"{name}/{trial}"), "–", "–", "–"]
            if trainings:
                cells = [str(len(trainings)), *_cells(trainings, of_trials)]
            sweeps.add_row(name if index == 0 else "", trial, *cells)
    console = _console()
    console.print(table)
    console.print(sweeps)
    console.print(RESULTS_HINT, highlight=False)
    return 0


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        left = column in ("experiment", "sweep", "trial", "device", "letter", "parameter", "metric")
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    return table


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 120)  # off a terminal, wide enough for every table


def _cells(trainings: list[dict], quantities: tuple[str, ...]) -> list[str]:
    """Show quantities of one or several seeds' trainings, as mean ± standard deviation."""
    from convlab.results import mean_and_spread, values

    cells = []
    for quantity in quantities:
        form = {"accuracy": "{:.2%}", "loss": "{:.4f}", "norm": "{:.2f}", "seconds": "{:.1f}"}
        numbers = values(trainings, quantity)
        show = form.get(quantity.split("_")[-1], "{:.0f}").format
        cells.append(mean_and_spread(numbers, show) if numbers else "–")
    return cells


def list_results(json: bool) -> int:
    """List every experiment and sweep with its state: fresh, stale (and by what), shortened, never run, …"""
    from convlab.results import listing

    found = listing.lines(load_params(files.PARAMS))
    if json:
        print(files.json_text(listing.as_json(found)), end="")
    else:
        _console().print(listing.table(found))
    return 0


def verify(names: list[str]) -> int:
    """Compare results with those that are committed at HEAD; exit status 1 if one is not reproduced."""
    from convlab.config.explain import nearest
    from convlab.results.folders import finished
    from convlab.results.verify import verify as compared

    params = load_params(files.PARAMS)
    known = dict.fromkeys([*params.experiments, *params.sweeps, *finished()])
    for name in names:
        if name not in known:
            raise InputError(f"NAME: found {name!r}{nearest(name, known)}")
    verdicts = [compared(name) for name in names or [*params.run, *params.run_sweeps]]
    for verdict in verdicts:
        print(verdict)
    return int(any(verdict.kind == "not reproduced" for verdict in verdicts))


def report() -> int:
    """Put the reports' numbers beside ours, judge their claims, and write docs/configuration.md."""
    from convlab import headlines
    from convlab.config import reference
    from convlab.results import tables

    current = headlines.outputs(tables.outputs() | reference.outputs())
    for path, text in current.items():
        files.write_text(path, text)
    figure = headlines.draw()
    print(f"{', '.join(map(str, [*current, figure]))}: up to date")
    for hint in tables.hints(current):
        print(f"warning: {hint}", file=sys.stderr)
    return 0


def compare(results: list[str]) -> int:
    """Put results side by side: parameters and metrics that differ, with intervals."""
    from convlab.book.words import difference_text, shown
    from convlab.results import pairwise

    if len(results) < 2:
        raise InputError(f"found one result, {results[0]}; allowed: two or more")
    several = [pairwise.load(name) for name in results]
    letters = [chr(ord("A") + index) for index in range(len(several))]
    names = _table("Results", "letter", "experiment", "device")
    for letter, subject in zip(letters, several, strict=True):
        names.add_row(letter, subject.name, ", ".join(subject.found.hardware()))
    params = _table("Parameters that differ", "parameter", *letters)
    for key, row in pairwise.params_that_differ(several).items():
        params.add_row(key, *row)
    first, *others = several
    metrics = _table("Metrics", "metric", *letters, *(f"{letter} − A" for letter in letters[1:]))
    for metric in pairwise.NUMBERS:
        cells = [shown(metric, subject.values(metric)) or "–" for subject in several]
        changes = [difference_text(metric, pairwise.difference(metric, other, first)) for other in others]
        metrics.add_row(metric.replace("_", " "), *cells, *changes)
    console = _console()
    for table in (names, params, metrics):
        console.print(table)
    console.print("±: standard deviation over seeds; [ , ]: 95 % interval; accuracies in points of a percent")
    return 0


def book(out: Path, fetch: bool) -> int:
    """Write the book of results: a site that opens from a file, of what metrics/ and plots/ hold."""
    from convlab.book import runtime
    from convlab.book.site import write

    if fetch:
        runtime.fetch()
    done = write(out)
    weight = f"{done.bytes / 1e6:.1f} MB, the front page {done.front_bytes / 1e3:.0f} kB"
    print(f"{done.front}: {done.pages} pages, {weight}")
    if done.left_out:
        print(f"the explore page is left out: {done.left_out}")
    return 0


def summary(experiment: str, svg: Path | None) -> int:
    """Show a network layer by layer: shapes, parameters, operations, memory; it needs no data."""
    from convlab.networks.describe import describe

    describe(load_params(files.PARAMS), experiment, svg, _console())
    return 0


def predict(
    images: list[Path], model: str | None, explain: Path | None, as_json: bool, csv: Path | None
) -> int:
    """Say what a trained network takes pictures for: PNG, JPEG and others, of any size."""
    from convlab.networks.predict import command

    command(images, model, explain, as_json, csv)
    return 0


def export(model: str, onnx: Path | None, keep: bool) -> int:
    """Write a trained network as an ONNX file, raw pixels in, logits out; or put its weights into git."""
    from convlab.models.weights import hash_weights
    from convlab.networks import champions, onnx_model
    from convlab.networks.trained import load_trained

    if onnx is not None and onnx.suffix != ".onnx":
        raise InputError(f"--onnx: found {str(onnx)!r}; allowed: a file whose name ends in .onnx")
    trained = load_trained(model)
    if onnx is None:
        tensors, weights = trained.model.state_dict(), hash_weights(trained.model)
        kept = champions.keep(trained.result, weights, tensors, trained.statistics)
        print(f"{kept}: {trained.says()}; {kept.stat().st_size / 1e6:.1f} MB, which dvc.yaml may name")
        return 0
    size = onnx_model.export(trained, onnx)
    shape = " × ".join(map(str, trained.dataset.shape))
    classes = len(trained.statistics.classes)
    print(f"{onnx}: {trained.says()}; {size / 2**20:.2f} MiB, opset {onnx_model.OPSET}")
    print(f"  {onnx_model.INPUT}: uint8, N × {shape}, from 0 to {trained.dataset.max_value}, as they are")
    print(f"  {onnx_model.OUTPUT}: float32, N × {classes}")
    return 0


def campaign(names: list[str], plan: bool, seconds: int | None, seeds: int | None) -> int:
    """Train what the tables and claims lack, one after the other, at a low priority; it may be cut off."""
    from convlab.campaign.command import campaign

    return campaign(names, plan, seconds, seeds, _console())


def headlines(names: list[str]) -> int:
    """Surpass every report's headline accuracy on two cores: train what reports.yaml names, print a table."""
    from convlab.headlines.command import command

    return command(names, _console())


def import_(name: str) -> int:
    """Make a data set of one's own images, as params.yaml declares it under `datasets`."""
    from convlab.own.importing import import_images

    import_images(load_declared(files.PARAMS), name, _console())
    return 0


COMMANDS: dict[str, Any] = {
    "validate": validate,
    "check": check,
    "track": track,
    "list": list_results,
    "ui": ui,
    "promote": promote,
    "results": results,
    "verify": verify,
    "report": report,
    "compare": compare,
    "book": book,
    "summary": summary,
    "import": import_,
    "campaign": campaign,
    "headlines": headlines,
    "predict": predict,
    "export": export,
}

if __name__ == "__main__":
    main()
