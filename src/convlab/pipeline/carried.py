"""Modules that have changed or moved and compute the same: by which names and hashes results know them.

An entry keeps results fresh through an edit that was shown to alter none of them. An edit of such a module
counts as any other: its hash is then no longer the one that is carried.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# Modules that have moved, with the names by which results know them: the location changes nothing
FORMERLY = {"figures.draw": "figures", "pipeline.evaluate": "evaluate", "pipeline.run": "train.run"}


@dataclass(frozen=True)
class Carried:
    """Edits of modules that altered no result: what changed, how that was shown, and the hashes.

    `hashes`: of each module, or script of stages/, the hash now and the one that results know.
    """

    change: str
    shown: str
    hashes: Mapping[str, tuple[str, str]]


CARRIED = (
    Carried(
        "the annotation of a section no longer names each family",
        "an annotation computes nothing",
        {"models.build": ("9192af0b54beb4f3", "16076c7e469c32d1")},
    ),
    Carried(
        "kernels can be pinned; sweeps write iterations.csv, which has a header even without steps; the "
        "commits of DVC experiments have timing.json; the other seeds of one that diverged are kept; what is "
        "selected besides is shown with its time",
        "the same weights of the digits and of all 24 trainings of their sweeps",
        {
            "stages/train.py": ("c8709383effec979", "3589732c4eaaedf5"),
            "stages/sweep.py": ("d5ef5cf5a33347a7", "da0b4014a7c743e5"),
            "stages/evaluate.py": ("327a11518f2157b6", "856971270c30f3fe"),
        },
    ),
    Carried(
        "its training loop is one among several devices'; the fingerprint is taken before the training; all "
        "that it ran on is recorded",
        "the same weights of the digits; on one device it calls the same `fit`",
        {"pipeline.run": ("beca1462795748c2", "003ff0440f338ef2")},
    ),
    Carried(
        "a sample of the training images can be scored",
        "the same scores of the digits and of all 24 trainings of their sweeps",
        {"pipeline.evaluate": ("af71e515a5549d2b", "cc01f21fdd9f507a")},
    ),
    Carried(
        "an import has no effects; PyTorch's deterministic mode is set only where it is not set already; "
        "CONVLAB_FP32 turns bf16 off",
        "the same weights and curves of five networks (same_bits.py), and of the digits and fashion_preact",
        {"train.device": ("6fac2a2d7af633ea", "079821700dc44ce6")},
    ),
    Carried(
        "an import has no effects; annotations as matplotlib's stubs have them",
        "all figures of digits and digits_l2 and the prepared data of four experiments, to the byte",
        {
            "figures.style": ("7c7f3bab9c032d65", "0a3f31f06c7fd103"),
            "stages/preprocess.py": ("47d56625df76406d", "c5dc1166869200e1"),
        },
    ),
    Carried(
        "an import has no effects; chosen images are drawn",
        "all figures of digits and digits_l2, to the byte: without chosen images it draws no others",
        {"stages/visualize.py": ("9a9ae60bea24dc92", "299e4be9704bb8fb")},
    ),
    Carried(
        "an import has no effects; trials with a penalty on biases have histograms beside the one without; "
        "the images of a confusion matrix and the numbers of histograms are written beside the figures; a λ "
        "without weights has no histogram",
        "all figures of digits, digits_l2 and mnist_2x2_l2, to the byte; R3's two sweeps get histograms, and "
        "five L2 studies without weights the numbers of theirs, when next trained",
        {"figures.draw": ("a0cc63915f353254", "d966c924b4ba7de5")},
    ),
    Carried(
        "moved, or names changed, their own or of what they import",
        "the same syntax trees but for names",
        {
            "data.preprocess": ("249a6336ecf5bb0c", "5b0d55b6e25f4290"),
            "figures.augmentation": ("cd1107a92410cdf6", "4838f6a614ca1f9f"),
            "figures.confused": ("8ab73b80e8c9f8f5", "e34c5b31c5db8abf"),
            "figures.drawing": ("7f05328a11598fd0", "834b5606504762dd"),
            "figures.gradcam": ("1a99f0a9f8df0c5b", "263d80373051f99f"),
            "figures.pair_figures": ("c1f37a9273731da6", "b4636d58c78488e6"),
            "figures.pairs": ("fbcfc02e7f50f9ac", "3f4addf7a3d75425"),
            "figures.samples": ("376d43a29e22f63f", "ef74377a8de434a3"),
            "figures.steps": ("48155b255e561f66", "94a42823b3921afa"),
            "models.summary": ("107c13f999c1427d", "7630caf8d57f4669"),
            "numpy_engine.engine": ("7cf3cf2a8c9c0918", "bc54307dd3dc9ff9"),
            "train.engine": ("6629c3fa91f7c2da", "38ae2126800a148b"),
            "train.history": ("aedb0f6329ba1fd9", "88b8ce63cf1e5fdf"),
        },
    ),
    Carried(
        "more than 15 classes do not overlap",
        "the same bytes of all figures of up to 15 classes",
        {"figures.confusion": ("4b60474aa84a62b5", "a2010cd3e94028a9")},
    ),
    Carried(
        "trials of several batch sizes have each their own iterations",
        "the same bytes of all figures of one batch size",
        {"figures.trial_iterations": ("f67356f8cd937e5c", "f05ea41227caf012")},
    ),
    Carried(
        "schedules and averages are built by registries",
        "the same rates at all steps of all 174 trainings; same_bits.py of an experiment for each schedule",
        {"train.fit": ("1d42cf80e7a67a83", "a0c25a1f359f0da6")},
    ),
)


@dataclass(frozen=True)
class Divided:
    """A module that was divided into several, which together compute what it did.

    `hash`: the one of the whole that results know; `parts`: the hash of each part as it was made.
    """

    hash: str
    parts: Mapping[str, str]


# Shown: the readers by the same arrays of every published data set, to the bit; the schedules as of train.fit
# above; the averages, which no result has, by the same bits of eleven steps of each
DIVIDED = {
    "data.readers": Divided(
        "02d055db90d9dbcd",
        {
            "data.readers.raw": "42b6e9e8cb8ac844",
            "data.readers.digits": "4a47afb5e873f86c",
            "data.readers.idx": "82637d05d87c023e",
            "data.readers.cifar10": "4c0b72b90f9217e5",
            "data.readers.safetensors": "b56078ce8ff7feb0",
        },
    ),
    "train.schedules": Divided(
        "e192cb394e9bc2a2",
        {
            "train.schedules.schedule": "f27d9c41e4649ef2",
            "train.schedules.plateau": "a8c88fea39cdee37",
            "train.schedules.constant": "5997297ed9ddbe76",
            "train.schedules.step": "bc1635e823521471",
            "train.schedules.multistep": "ad06cb2944b0ff02",
            "train.schedules.cosine": "03967264942e6ddb",
            "train.schedules.one_cycle": "842e1c4ea636065e",
            "train.schedules.rise_and_fall": "fe0d361753e3ab67",
        },
    ),
    "train.average": Divided(
        "8e9010f118b13365",
        {
            "train.averages.plain": "28d93d69c12d611b",
            "train.averages.ema": "3846c0517193220e",
            "train.averages.lookahead": "0f5f11e4ad4746de",
        },
    ),
}

_HASHES = {name: hashes for one in CARRIED for name, hashes in one.hashes.items()}


def known_hash(name: str, now: str) -> str:
    """Return the hash by which results know a module or a script that has the hash `now`."""
    current, known = _HASHES.get(name, (now, now))
    return known if now == current else now


def as_known(modules: Mapping[str, str]) -> dict[str, str]:
    """Return the hashes of modules, by name, as results know both.

    The parts of a divided module count as the whole while each of those that are used is as it was made: an
    edited one is named, and so are then the others.
    """
    found = {FORMERLY.get(name, name): known_hash(name, text) for name, text in modules.items()}
    for whole, divided in DIVIDED.items():
        used = divided.parts.keys() & modules.keys()
        if used and all(modules[name] == divided.parts[name] for name in used):
            found = {name: text for name, text in found.items() if name not in used}
            found[whole] = divided.hash
    return found
