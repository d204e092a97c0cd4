"""The explore page: trained networks that run in the browser, on what is drawn or dropped there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convlab.book import runtime
from convlab.book.contents import Contents
from convlab.book.words import shown
from convlab.data.catalogue import DATASETS
from convlab.errors import InputError

EXAMPLES = (0, 1, 2, 3, 4, 7)  # digits whose strokes static/explore.js knows
LARGEST = 8_000_000  # bytes of weights: what a page loads while one waits
OUTPUTS = ("logits", "heat")  # of a graph, before the maps of its convolutions


@dataclass(frozen=True)
class Network:
    """A network that the page can run: `accuracy` is that of the test images, as text; `layers` are its
    convolutions, whose maps its graph gives."""

    name: str
    dataset: str
    accuracy: str
    shape: list[int]
    largest: int
    classes: list[str]
    layers: list[str]

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
    from convlab.networks.inside import Inside
    from convlab.networks.onnx_model import graph
    from convlab.networks.trained import load_trained, trained_here

    found = []
    for name in trained_here():
        accuracies = list(contents.of(name)["test_accuracy"])
        if "/" in name or not accuracies:
            continue
        try:
            trained = load_trained(name)
            inside = Inside(trained)
        except (
            InputError
        ):  # other weights; the images whose statistics it needs are gone; a head of one's own
            continue
        if trained.weights.stat().st_size > LARGEST or trained.experiment.dataset not in DATASETS:
            continue
        dataset = trained.dataset
        file = graph(trained, inside, [*OUTPUTS, *inside.layers])
        network = Network(
            name,
            trained.experiment.dataset,
            shown("test_accuracy", accuracies),
            list(dataset.shape),
            dataset.max_value,
            list(dataset.classes),
            inside.layers,
        )
        found.append((max(accuracies), network, runtime.packed(file)))
    order = list(DATASETS)
    found.sort(key=lambda one: (order.index(one[1].dataset), -one[0], one[1].name))
    return [(network, text) for _, network, text in found]


def context(folder: Path, found: list[Network]) -> dict[str, Any]:
    """Return what the template of the page needs; its scripts are in the folder already."""
    checked = [network.name for network in found if network.dataset == "mnist"][:2] or [found[0].name]
    loaded = [folder / "assets/runtime.js", *(folder / one.script for one in found if one.name in checked)]
    return {
        "networks": found,
        "checked": checked,
        "examples": EXAMPLES,
        "most": f"{LARGEST / 1e6:.0f}",
        "data": data(found),
        "megabytes": f"{sum(path.stat().st_size for path in loaded) / 1e6:.1f}",
    }


def data(found: list[Network]) -> dict[str, Any]:
    """Return what the page's script has to know of the networks."""
    keys = ("dataset", "shape", "largest", "classes", "layers", "script")
    return {network.name: {key: getattr(network, key) for key in keys} for network in found}
