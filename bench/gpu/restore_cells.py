"""Write cells.jpg and cells.json of results whose figures were drawn before the visualize stage wrote them.

    CONVLAB_MIRROR=folder python bench/gpu/restore_cells.py        every experiment with a confusion matrix

From the published test images and plots/NAME/confusion.csv; no weights are needed. A matrix whose true
classes are not those of the test images is refused.
"""

import torch

from convlab import files
from convlab.config import load_params
from convlab.data.catalogue import DATASETS
from convlab.data.readers.registry import read
from convlab.data.sources import fetch, mirror_from_environment
from convlab.errors import InputError, Parser, run
from convlab.figures.cells import write_cells
from convlab.results.folders import confusions


def main() -> None:
    """Write the files of every experiment that has none."""
    Parser(description=__doc__.split("\n")[0]).parse_args()
    mirror = mirror_from_environment()
    for name, experiment in load_params(files.PARAMS).experiments.items():
        pairs = confusions(name)
        if not pairs or (files.PLOTS / name / "figures/cells.json").is_file():
            continue
        dataset = DATASETS[experiment.dataset]
        fetch(experiment.dataset, files.RAW, mirror)
        raw = read(experiment.dataset, files.RAW)
        if [actual for actual, _ in pairs] != [dataset.classes[label] for label in raw.test_labels]:
            raise InputError(f"plots/{name}/confusion.csv: its true classes are not those of the test images")
        predicted = torch.tensor([dataset.classes.index(guess) for _, guess in pairs])
        images, labels = torch.tensor(raw.test_images), torch.tensor(raw.test_labels)
        write_cells(name, images, labels, predicted, list(dataset.classes), dataset.max_value)
        size = (files.PLOTS / name / "figures/cells.jpg").stat().st_size
        print(f"cells: {name}: {size:,} bytes", flush=True)


if __name__ == "__main__":
    run(main)
