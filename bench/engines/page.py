"""Write the results of compare.py into bench/engines.md: gradients, epochs, layers, and the figure.

python bench/engines/page.py [FILE]        FILE: of bench/results; this machine's unless said otherwise
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.engines import gradients
from bench.engines.compare import ENGINES, SWEEP
from bench.options import Parser
from bench.speed.speed_table import spread
from bench.speed.suite import results_path
from convlab import files, markdown
from convlab.config import read_yaml
from convlab.errors import run
from convlab.figures.style import PALETTE, save, styled
from convlab.results.reports import REPORTS

PAGE = Path("bench/engines.md")
NAMES = {"torch": "PyTorch", "numpy": "NumPy, by hand"}
TASKS = {"torch": "Task 2: PyTorch", "numpy": "Task 1: NumPy by hand"}  # as reports.yaml calls them
SMOOTHED = 25  # steps
Row = dict[str, Any]


def main() -> None:
    """Rewrite the tables and the figure."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path, nargs="?", default=results_path("-engines"), help="(%(default)s)")
    file = parser.parse_args().file
    results = files.read_json(file)
    curves = files.read_curves(files.PLOTS / SWEEP / "curves.csv")
    with styled():
        figure = save(curves_figure(results["epochs"], curves), file.with_suffix(".png"))
    markdown.rewrite(PAGE, "gradients", gradients.table(results["gradients"]))
    picture = f"\n![learning curves](results/{figure.name})\n"
    markdown.rewrite(PAGE, "epochs", epochs_table(results, reported()) + picture)
    markdown.rewrite(PAGE, "layers", layers_table(results["layers"]))
    print(f"{PAGE}, {figure}: up to date")


def reported() -> dict[str, float]:
    """Read R4's seconds per epoch."""
    rows = {row["what"]: row for row in read_yaml(REPORTS)["R4"]["rows"]}
    return {engine: rows[task]["seconds_per_epoch"] for engine, task in TASKS.items()}


def epochs_table(results: Row, report: dict[str, float]) -> str:
    """Make the table of seconds per epoch, with the report's, and a sentence on the other comparisons."""
    by_engine = {engine: [row for row in results["epochs"] if row["engine"] == engine] for engine in ENGINES}
    rounds = len(by_engine["numpy"])
    lines = [
        f"{results['device_name']}, {results['threads']} threads, PyTorch {results['torch']}, NumPy "
        f"{results['numpy']}: an epoch of {results['images']:,} images in fp32 by each engine in turn, "
        f"without validation; medians (min–max) of {rounds} rounds. Memory is the process's peak.",
        "",
        "| engine | seconds | images/s | ratio | the report's seconds | its ratio | accuracy | MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for engine, found in by_engine.items():
        pairs = zip(found, by_engine["torch"], strict=True)
        cells = [
            NAMES[engine],
            spread([row["seconds"] for row in found], "{:.1f}".format),
            spread([row["images"] / row["seconds"] for row in found], "{:.0f}".format),
            spread([ours["seconds"] / theirs["seconds"] for ours, theirs in pairs], "{:.2f}".format),
            f"{report[engine]:,.2f}",
            f"{report[engine] / report['torch']:.1f}",
            f"{100 * found[0]['validation_accuracy']:.2f} %",
            f"{max(row['memory_mib'] for row in found):,.0f}",
        ]
        lines.append(markdown.row(cells))
    return "\n".join([*lines, "", comparison(by_engine, results["logits"])]) + "\n"


def comparison(by_engine: dict[str, list[Row]], logits: Row) -> str:
    """Return a sentence on how far apart the engines are."""
    theirs, ours = (np.array(by_engine[engine][0]["losses"][:100]) for engine in ENGINES)
    apart = float((np.abs(ours - theirs) / theirs).max())
    return (
        f"The losses of the first {len(theirs)} steps differ by at most {100 * apart:.1g} %. From the same "
        f"trained weights, the logits of {logits['images']:,} held-out images differ by at most "
        f"{logits['largest_difference']:.0e}, where the largest is {logits['largest_logit']:.1f}; "
        f"{100 * logits['same_class']:.4g} % of the classes are the same."
    )


def layers_table(layers: list[Row]) -> str:
    """Add up the milliseconds of a batch by kind of layer."""
    lines = [
        "| layer | how many | PyTorch, ms | NumPy, ms | ratio |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    names = dict.fromkeys(row["kind"] for row in layers)
    kinds = {kind: [row for row in layers if row["kind"] == kind] for kind in names}
    for kind, found in [*kinds.items(), ("**all**", layers)]:
        theirs, ours = (sum(row[engine] for row in found) for engine in ENGINES)
        lines.append(f"| {kind} | {len(found)} | {theirs:.1f} | {ours:.1f} | {ours / theirs:.2f} |")
    return "\n".join(lines) + "\n"


def curves_figure(epochs: list[Row], curves: list[Row]) -> Figure:
    """Draw the loss of each step of an epoch, and the accuracy after each epoch of the sweep."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    # One line is wide and pale, under the other: otherwise one would hide the other
    looks: list[dict[str, Any]] = [
        {"color": PALETTE[0], "linewidth": 6, "alpha": 0.4},
        {"color": PALETTE[1], "linewidth": 1.5},
    ]
    for engine, look in zip(ENGINES, looks, strict=True):
        losses = np.array(next(row["losses"] for row in epochs if row["engine"] == engine))
        width = min(SMOOTHED, len(losses))
        smooth = np.convolve(losses, np.ones(width) / width, "valid")
        left.plot(np.arange(len(smooth)) + width, smooth, label=NAMES[engine], **look)
        found = [row for row in curves if row["trial"] == engine]
        steps = [row["epoch"] for row in found]
        for split, line in (("validation", "-"), ("train", "--")):
            accuracies = [100 * row[f"{split}_accuracy"] for row in found]
            right.plot(steps, accuracies, line, label=f"{NAMES[engine]}, {split}", **look)
    left.set(xlabel="step of the first epoch", ylabel=f"training loss, mean of {SMOOTHED} steps")
    left.set_ylim(bottom=0)
    right.set(xlabel="epoch", ylabel="accuracy, %", xticks=sorted({row["epoch"] for row in curves}))
    left.legend()
    right.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    run(main)
