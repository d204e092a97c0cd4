"""The explore page: trained networks that run in the browser, on what is drawn or dropped there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlab import files
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
    """Say what the page lacks; "" where it can be made."""
    if not runtime.is_here():
        return "ONNX Runtime Web is not here: `convlab book --fetch` fetches it by npm"
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed: `pip install onnx onnxscript`"
    return "" if next(_trained(), None) else "no small network is trained here: `dvc repro`"


def networks(contents: Contents) -> list[tuple[Network, str]]:
    """Return the networks whose weights are here, each with its ONNX file, packed; the better ones first."""
    found = []
    for name, experiment, statistics in _trained():
        accuracies = list(contents.of(name)["test_accuracy"])
        dataset = DATASETS[experiment.dataset]
        network = Network(
            name,
            experiment.dataset,
            shown("test_accuracy", accuracies) or "not evaluated",
            list(dataset.shape),
            dataset.largest,
            list(dataset.classes),
        )
        found.append(
            (max(accuracies, default=0.0), network, runtime.packed(_onnx(name, experiment, statistics)))
        )
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


def _onnx(name: str, experiment: Experiment, statistics: "Statistics") -> bytes:
    from convlab.export import to_onnx
    from convlab.models.build import load_model

    return to_onnx(load_model(experiment, statistics, files.weights(name, experiment.seed)), statistics)


def _trained() -> Iterator[tuple[str, Experiment, "Statistics"]]:
    """Yield the experiments whose weights are here, small, and computed by PyTorch, with their statistics."""
    for name, experiment in load_params(files.PARAMS).experiments.items():
        weights = files.weights(name, experiment.seed)
        small = weights.is_file() and weights.stat().st_size <= LARGEST
        if small and experiment.engine == "torch" and (statistics := _statistics(experiment)):
            yield name, experiment, statistics


def _statistics(experiment: Experiment) -> "Statistics | None":
    """Find the statistics of an experiment's data, which those that see the same images share; else None."""
    from convlab.data.dataset import Statistics, load_statistics

    prepared = sorted(files.PROCESSED.glob(f"*/{experiment.data_key()}/statistics.json"))
    if prepared:
        return load_statistics(prepared[0].parent)
    recipe, dataset = experiment.preprocess, DATASETS[experiment.dataset]
    if recipe.scaling == "zscore_channel":  # those of the training images, which are not here
        return None
    channels = experiment.input_shape[0]
    return Statistics(
        scale=1.0 if recipe.scaling == "none" else 1.0 / dataset.largest,
        mean=[0.0] * channels,
        std=[1.0] * channels,
        greyscale=recipe.greyscale,
        per_image=recipe.scaling == "zscore_image",
        input_shape=experiment.input_shape,
        classes=list(dataset.classes),
    )
