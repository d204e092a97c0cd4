"""The explore page: trained networks that run in the browser, on what is drawn or dropped there."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlab import files, results
from convlab.book import runtime
from convlab.book.contents import Contents
from convlab.book.words import shown
from convlab.config import load_params
from convlab.data.catalogue import DATASETS
from convlab.schema import Experiment

if TYPE_CHECKING:
    from convlab.data.dataset import Statistics

EXAMPLES = (0, 1, 2, 3, 4, 7)  # digits whose strokes static/explore.js knows
LARGEST = 4_000_000  # bytes of weights: what a page loads while one waits


@dataclass(frozen=True)
class Network:
    """A network that the page can run: `accuracy` is that of the test images, as text."""

    name: str
    dataset: str
    accuracy: str
    shape: list[int]
    largest: int
    classes: list[str]

    @property
    def script(self) -> str:
        """The address of the script that holds its weights."""
        return f"assets/network-{self.name}.js"


def missing() -> str:
    """Say what the page lacks, whatever has been trained; "" where nothing."""
    if not runtime.is_here():
        return "ONNX Runtime Web is not here: `convlab book --fetch` fetches it by npm"
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed: `pip install onnx onnxscript`"
    return ""


def networks(contents: Contents) -> list[tuple[Network, str]]:
    """Return the networks whose weights are here, each with its ONNX file, packed; the better ones first.

    Weights that the committed scores are not of are left alone: the page would show an accuracy beside them.
    """
    from convlab.export import to_onnx
    from convlab.models.build import load_model
    from convlab.models.weights import hash_weights

    found = []
    for name, experiment, weights in _trained():
        accuracies = list(contents.of(name)["test_accuracy"])
        statistics = _statistics(experiment) if accuracies else None
        if statistics is None:
            continue
        model = load_model(experiment, statistics, weights)
        if hash_weights(model) != (results.read(name, "train.json") or {}).get("weights"):
            continue
        dataset = DATASETS[experiment.dataset]
        network = Network(
            name,
            experiment.dataset,
            shown("test_accuracy", accuracies),
            list(dataset.shape),
            dataset.largest,
            list(dataset.classes),
        )
        found.append((max(accuracies), network, runtime.packed(to_onnx(model, statistics))))
    order = list(DATASETS)
    found.sort(key=lambda one: (order.index(one[1].dataset), -one[0], one[1].name))
    return [(network, text) for _, network, text in found]


def context(folder: Path, found: list[Network]) -> dict[str, Any]:
    """Return what the template of the page needs; its scripts are in the folder already."""
    checked = [network.name for network in found if network.dataset == "mnist"] or [found[0].name]
    loaded = [folder / "assets/runtime.js", *(folder / one.script for one in found if one.name in checked)]
    return {
        "networks": found,
        "checked": checked,
        "examples": EXAMPLES,
        "data": data(found),
        "megabytes": f"{sum(path.stat().st_size for path in loaded) / 1e6:.1f}",
    }


def data(found: list[Network]) -> dict[str, Any]:
    """Return what the page's script has to know of the networks."""
    keys = ("dataset", "shape", "largest", "classes", "script")
    return {network.name: {key: getattr(network, key) for key in keys} for network in found}


def _trained() -> Iterator[tuple[str, Experiment, Path]]:
    """Yield the experiments whose weights are here, small, and computed by PyTorch."""
    for name, experiment in load_params(files.PARAMS).experiments.items():
        weights = files.weights(name, experiment.seed)
        small = weights.is_file() and weights.stat().st_size <= LARGEST
        if small and experiment.engine == "torch":
            yield name, experiment, weights


@cache
def _measured(dataset: str, key: str, raw: Path) -> "Statistics":
    """Measure the statistics of a data set's training images, once for all that see the same."""
    from convlab.data.preprocess import prepare
    from convlab.data.readers import read

    found = load_params(files.PARAMS).experiments.values()
    experiment = next(one for one in found if one.dataset == dataset and one.data_key() == key)
    return prepare(read(dataset, raw), experiment).statistics


def _statistics(experiment: Experiment) -> "Statistics | None":
    """Find the statistics of an experiment's data, or measure them; None where its images are not here."""
    from convlab.data.dataset import load_statistics

    key = experiment.data_key()
    prepared = sorted(files.PROCESSED.glob(f"*/{key}/statistics.json"))
    if prepared:
        return load_statistics(prepared[0].parent)
    raw = files.RAW / experiment.dataset
    if all((raw / name).is_file() for name in DATASETS[experiment.dataset].files):
        return _measured(experiment.dataset, key, files.RAW)
    return None
