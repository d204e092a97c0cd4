"""visualize NAME: results and weights of an experiment or sweep → figures."""

from convlab import files
from convlab.config import load_feature_maps, load_item
from convlab.errors import name_argument, run
from convlab.schema import Sweep
from convlab.tracking import mirror


def main() -> None:
    """Draw every figure of NAME into plots/NAME/figures/, and mirror them into MLflow."""
    name = name_argument()
    item = load_item(files.config(name))
    from convlab.figures.chosen import draw_chosen  # matplotlib takes seconds
    from convlab.figures.draw import draw_experiment, draw_sweep

    if isinstance(item, Sweep):
        drawn = draw_sweep(name, item)
    else:
        chosen = load_feature_maps(files.code(name, "draw"))
        drawn = [*draw_chosen(name, item, chosen), *draw_experiment(name, item)]
    print(f"visualize: {name}: {len(drawn)} figures in {files.PLOTS / name}/figures/")
    mirror(name)


if __name__ == "__main__":
    run(main)
