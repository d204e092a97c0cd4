"""The explore page: trained networks that run in the browser, on what is drawn or dropped there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convlab import files
from convlab.book import runtime
from convlab.book.contents import Contents
from convlab.book.words import shown
from convlab.config import load_params
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError
from convlab.folders import load as load_folder

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
    from convlab.models.weights import hash_weights
    from convlab.onnx_model import export
    from convlab.trained import load_trained

    found = []
    with TemporaryDirectory() as folder:
        for name, weights in _here():
            accuracies = list(contents.of(name)["test_accuracy"])
            if not accuracies or weights.stat().st_size > LARGEST:
                continue
            try:
                trained = load_trained(name)
            except InputError:  # the images whose statistics it needs are not here
                continue
            if hash_weights(trained.model) != load_folder(name).trainings[0]["weights"]:
                continue
            file, dataset = Path(folder) / f"{name}.onnx", trained.dataset
            export(trained, file)
            network = Network(
                name,
                trained.experiment.dataset,
                shown("test_accuracy", accuracies),
                list(dataset.shape),
                dataset.largest,
                list(dataset.classes),
            )
            found.append((max(accuracies), network, runtime.packed(file.read_bytes())))
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


def _here() -> Iterator[tuple[str, Path]]:
    """Yield the experiments whose weights are here, and are run by PyTorch, with their weights."""
    for name, experiment in load_params(files.PARAMS).experiments.items():
        weights = files.weights(name, experiment.seed)
        if weights.is_file() and experiment.engine == "torch" and experiment.dataset in DATASETS:
            yield name, weights
