"""The command `convlab`: what is done with results, beside the pipeline that makes them."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convlab import __version__, files
from convlab.campaign.durations import duration
from convlab.commands import checks, models, pages, results, tracked, trainings
from convlab.errors import Parser, run

MOST_SEEDS = 100  # of a campaign
COMMANDS: dict[str, Any] = {
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
        "--out", metavar="FOLDER", type=Path, default=files.BOOK, help=f"where to (default: {files.BOOK})"
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
