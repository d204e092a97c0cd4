"""Inspect, compare, verify and publish the results that `dvc repro` computes."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convlab import __version__, files
from convlab.campaign.durations import parse_duration
from convlab.commands import checks, models, pages, results, tracked, trainings
from convlab.config.explain import short
from convlab.errors import Parser, run

MOST_SEEDS = 100  # of a campaign
COMMANDS: dict[str, Any] = {
    "repro": trainings.repro,
    "validate": checks.validate,
    "check": checks.check,
    "track": tracked.track,
    "list": results.list_results,
    "ui": tracked.ui,
    "promote": tracked.promote,
    "results": results.results,
    "verify": checks.verify,
    "report": pages.report,
    "compare": results.compare,
    "book": pages.book,
    "summary": models.summary,
    "import": models.import_,
    "campaign": trainings.campaign,
    "headlines": trainings.headlines,
    "predict": models.predict,
    "export": models.export,
}


def main() -> None:
    """Parse the command line and run one command; bad input is one line and exit status 2."""
    run(_main)


def _main() -> int:
    parser = Parser(prog="convlab", description=__doc__)
    parser.add_argument("--version", action="version", version=f"convlab {__version__}")
    if "--print-completion" in sys.argv:
        import shtab  # comes with DVC

        shtab.add_argument_to(parser, help="print a completion script for a shell, and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {
        name: commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        for name, function in COMMANDS.items()
    }
    parsers["summary"].add_argument("experiment", metavar="EXPERIMENT", help="or SWEEP/TRIAL")
    parsers["summary"].add_argument("--svg", metavar="FILE", type=_path, help="also draw the network")
    parsers["import"].add_argument(
        "name", metavar="NAME", help="a data set declared under `datasets` in params.yaml"
    )
    parsers["check"].add_argument(
        "--against",
        metavar="REV",
        help="also fail if a test accuracy has dropped since this git revision or DVC experiment",
    )
    form = parsers["results"].add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="a row per training")
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="the same as CSV")
    parsers["list"].add_argument("--json", action="store_true", help="print JSON, with every reason")
    parsers["verify"].add_argument(
        "names", nargs="*", metavar="NAME", help="EXPERIMENT or SWEEP (default: all that params.yaml selects)"
    )
    parsers["track"].add_argument(
        "--experiments",
        action="store_true",
        help="also mirror the results of all DVC experiments, from their commits",
    )
    parsers["ui"].add_argument(
        "--port", metavar="N", type=_port, default=5000, help="a free port (default: 5000)"
    )
    predict_options = parsers["predict"]
    predict_options.add_argument(
        "images", metavar="IMAGE", nargs="+", type=_path, help="a picture, or a folder of them"
    )
    predict_options.add_argument(
        "--model",
        metavar="NAME",
        help="EXPERIMENT or SWEEP/TRIAL, with @REV of a git revision or DVC experiment; or DATASET@champion: "
        "the best network of a data set that is here",
    )
    predict_options.add_argument("--explain", metavar="FILE", type=_path, help="draw Grad-CAM")
    predict_options.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    predict_options.add_argument(
        "--csv", metavar="FILE", type=_path, help="write a table (for a folder, the default is to print it)"
    )
    parsers["export"].add_argument("model", metavar="NAME", help="as in `convlab predict --model`")
    kinds = parsers["export"].add_mutually_exclusive_group(required=True)
    kinds.add_argument("--onnx", metavar="FILE", type=_path, help="write it as ONNX")
    kinds.add_argument(
        "--keep", action="store_true", help="put its weights into champions/, for git: see docs/pipeline.md"
    )
    parsers["compare"].add_argument(
        "results",
        metavar="RESULT",
        nargs="+",
        help="EXPERIMENT or SWEEP/TRIAL; with @REV, of a git revision or DVC experiment",
    )
    parsers["book"].add_argument(
        "--out", metavar="FOLDER", type=_path, default=files.BOOK, help=f"where (default: {files.BOOK})"
    )
    parsers["book"].add_argument(
        "--fetch", action="store_true", help="fetch with npm what the explore page needs, once"
    )
    parsers["headlines"].add_argument(
        "names", nargs="*", metavar="NAME", help="only these (default: all that surpass a report's)"
    )
    campaign_options = parsers["campaign"]
    campaign_options.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    campaign_options.add_argument("--plan", action="store_true", help="show the list, and train nothing")
    campaign_options.add_argument(
        "--for", dest="seconds", metavar="TIME", type=parse_duration, help="end within this time: 2h30m, 45m"
    )
    campaign_options.add_argument(
        "--seeds",
        metavar="N",
        type=_seeds,
        help="raise `seeds` in params.yaml or studies.yaml to N where it is lower",
    )
    options = vars(parser.parse_args())
    command: Callable[..., int] = COMMANDS[options.pop("command")]
    return command(**options)


def _path(text: str) -> Path:
    if not text:  # which `Path` takes for the current folder
        raise argparse.ArgumentTypeError("found ''; allowed: the name of a file or a folder")
    try:
        Path(text).exists()
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"found {short(text)!r}, which cannot be used: {error.strerror}"
        ) from None
    return Path(text)


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


if __name__ == "__main__":
    main()
