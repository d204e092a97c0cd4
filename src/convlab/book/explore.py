"""The explore page: trained networks that run in the browser, on what is drawn or dropped there."""

import base64
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from convlab import files
from convlab.book import runtime
from convlab.book.contents import Contents
from convlab.book.images import cells_of
from convlab.data.card import fit_of
from convlab.data.catalogue import DATASETS, Background, imported
from convlab.errors import InputError
from convlab.figures.cells import right_images
from convlab.results import mean_text
from convlab.schema.datasets import Fit

EXAMPLES = (0, 1, 2, 3, 4, 7)  # digits whose strokes static/explore.js knows
LARGEST = 50_000_000  # bytes of weights, ResNet-18's among them: what a browser unpacks from a script
OUTPUTS = ("logits", "heat")  # of a graph, before the maps of its convolutions


@dataclass(frozen=True)
class Explorable:
    """A network that the page can run: `accuracy` is that of the test images, as text; `background`, `box`
    and `fit` say how a picture is made like those images (see data/framing.py); `layers` are its
    convolutions, whose maps its graph outputs."""

    name: str
    dataset: str
    accuracy: str
    shape: list[int]
    largest: int
    background: Background
    box: float | None
    fit: Fit
    classes: list[str]
    layers: list[str]
    megabytes: str

    @property
    def script(self) -> str:
        """The address of the script that holds its weights."""
        return f"assets/network-{self.name}.js"


@dataclass(frozen=True)
class Absent:
    """A network that has been trained and that the page cannot run, with the reason, in Markdown."""

    name: str
    dataset: str
    accuracy: str
    reason: str


def missing() -> str:
    """Return all that the page lacks, whatever has been trained; "" if nothing."""
    from convlab.networks.onnx_model import NEEDED

    lacks = []
    if absent := [name for name in NEEDED if find_spec(name) is None]:
        are = "is" if len(absent) == 1 else "are"
        lacks.append(f"{' and '.join(absent)} {are} not installed (`pip install -e '.[export]'`)")
    if not runtime.is_here():
        lacks.append("ONNX Runtime Web is not here (`convlab book --fetch` fetches it by npm)")
    return ", and ".join(lacks)


def networks(contents: Contents) -> tuple[list[tuple[Explorable, str]], list[Absent]]:
    """Return the networks whose weights are here, each with its packed ONNX file, the best first; and the
    experiments whose weights are missing, or are not those that were scored (the page would show the accuracy
    of another network), and those that cannot be exported."""
    from convlab.networks.inside import Inside
    from convlab.networks.onnx_model import graph
    from convlab.networks.trained import load_trained

    found, absent = [], []
    for name in contents.labels:
        accuracies = list(contents.of(name)["test_accuracy"].dropna())
        recorded = contents.params(name).get("dataset", "")
        if "/" in name or not accuracies or recorded not in DATASETS:
            continue
        accuracy = mean_text("test_accuracy", accuracies)
        try:
            trained = load_trained(name)
            size = trained.weights.stat().st_size
            if size > LARGEST:
                most = f"{LARGEST / 1e6:.0f} MB"
                raise InputError(f"{size / 1e6:.0f} MB of weights, and a page unpacks at most {most}")
            inside = Inside(trained)
            text = runtime.packed(graph(trained, inside, [*OUTPUTS, *inside.layers]))
        except InputError as error:
            reason = str(error).removeprefix(f"{name}: ")
            absent.append((max(accuracies), Absent(name, recorded, accuracy, reason)))
            continue
        dataset = trained.dataset
        network = Explorable(
            name,
            recorded,
            accuracy,
            list(dataset.shape),
            dataset.max_value,
            dataset.background,
            dataset.box,
            fit_of(recorded),
            list(dataset.classes),
            inside.layers,
            f"{len(text) / 1e6:.1f}",
        )
        found.append((max(accuracies), network, text))
    order = [*DATASETS, *imported()]
    found.sort(key=lambda one: (order.index(one[1].dataset), -one[0], one[1].name))
    absent.sort(key=lambda one: (order.index(one[1].dataset), -one[0], one[1].name))
    return [(network, text) for _, network, text in found], [one for _, one in absent]


def context(folder: Path, found: list[Explorable], absent: list[Absent]) -> dict[str, Any]:
    """Return what the template of the page needs; its scripts are in the folder already."""
    digits = [network.name for network in found if network.dataset == "mnist"]
    digits += [network.name for network in found if network.dataset == "digits"]
    checked = digits[:2] or [found[0].name]
    loaded = [folder / "assets/runtime.js", *(folder / one.script for one in found if one.name in checked)]
    return {
        "networks": found,
        "absent": absent,
        "checked": checked,
        "examples": EXAMPLES,
        "pictures": pictures(found),
        "data": data(found),
        "megabytes": f"{sum(path.stat().st_size for path in loaded) / 1e6:.1f}",
    }


def pictures(found: list[Explorable]) -> dict[str, dict[str, str]]:
    """Return a test image of each class by data set and class, as PNG in base64; none of a data set whose
    networks have no confusion matrix with images."""
    shown: dict[str, dict[str, str]] = {}
    for network in found:
        folder = files.PLOTS / network.name / "figures"
        if network.dataset not in shown and cells_of(network.name):
            shown[network.dataset] = {
                label: base64.b64encode(content).decode() for label, content in right_images(folder)
            }
    return shown


def data(found: list[Explorable]) -> dict[str, Any]:
    """Return what the page's script has to know about the networks."""
    keys = ("dataset", "shape", "largest", "background", "box", "fit", "classes", "layers", "script")
    return {network.name: {key: getattr(network, key) for key in keys} for network in found}
