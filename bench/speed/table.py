"""Write the measurements into the tables of README.md and bench/README.md, and draw the figure.

    python bench/speed/table.py [FILE]        FILE: of bench/results; this machine's unless said otherwise

Beside FILE stand the results of parity.py, step_profile.py and parity_keras.py, if they have run.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.fidelity.keras_table import keras_table
from bench.fidelity.parity_table import parity_table
from bench.options import Parser
from bench.speed.cases import WITH_ALL
from bench.speed.chart import ratio_chart
from bench.speed.profile_table import profile_table
from bench.speed.speed_table import chart_rows, conditions, full_table, short_table
from bench.speed.steps_table import steps_table
from bench.speed.suite import results_path
from convlab import markdown
from convlab.errors import run
from convlab.figures.style import save, styled
from convlab.files import read_json

README, BENCH_README = Path("README.md"), Path("bench/README.md")
KERAS = Path("bench/results/keras-parity.json")
STEPS = Path("bench/results/nvidia-h200-steps.json")


def main() -> None:
    """Rewrite the tables and the figure."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path, nargs="?", default=results_path(), help="(%(default)s)")
    file = parser.parse_args().file
    results = read_json(file)
    with styled():
        figure = save(ratio_chart(chart_rows(results), conditions(results)), file.with_suffix(".png"))
    picture = f"\n![ratios to the plain loop](results/{figure.name})\n"
    markdown.rewrite(BENCH_README, results["device"], full_table(results) + picture)
    if results["device"] == "cpu" and WITH_ALL in results["networks"]:
        markdown.rewrite(README, "bench", short_table(results))
    for name, table in (("parity", parity_table), ("profile", profile_table)):
        other = file.with_name(f"{file.stem}-{name}.json")
        if other.exists() and results["device"] == "cpu":  # the page discusses the CPU's
            markdown.rewrite(BENCH_README, name, table(read_json(other)))
    if KERAS.exists():
        markdown.rewrite(BENCH_README, "keras", keras_table(read_json(KERAS)))
    if STEPS.exists():
        markdown.rewrite(BENCH_README, "steps", steps_table(read_json(STEPS)))
    print(f"{README}, {BENCH_README}, {figure}: up to date")


if __name__ == "__main__":
    run(main)
