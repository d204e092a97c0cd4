"""Does a rewrite change a bit? Train every experiment for a few steps with the code of two commits.

    python bench/fidelity/same_bits.py COMMIT [NAME …]        this working tree against COMMIT, on the CPU

NAME: an experiment, or SWEEP/TRIAL; without one, every experiment.

Each experiment trains two epochs of three batches on random images, with its own recipe. What ends with the
same weights and the same learning curves is computed the same by both: then a result that COMMIT made,
wherever it ran, is a result of this code too. Exit status 1 if one differs.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.options import Parser
from convlab import files
from convlab.config import load_params
from convlab.config.explain import nearest
from convlab.errors import InputError, run

BATCHES, EPOCHS = 3, 2
CHILD = """
import hashlib, json, sys
from pathlib import Path
import torch
from convlab.config import load_params
from convlab.data.catalogue import DATASETS
from convlab.data.transform import Transform
from convlab.train.fit import fit
try:
    from convlab.data.dataset import Split
    from convlab.models.build import build_model
except ImportError:  # a commit of before these had modules of their own
    from convlab.data.preprocess import Split
    from convlab.train.run import build_model
batches, epochs, names = json.loads(sys.argv[1])
torch.set_num_threads(1)
params = load_params(Path("params.yaml"))
known = dict(params.experiments)
for sweep, content in params.sweeps.items():
    for trial in content.trials:
        known.setdefault(f"{sweep}/{trial.name}", trial.experiment)
for name in names or params.experiments:
    if name not in known:
        continue
    one = known[name].model_copy(update={"device": "cpu", "precision": "fp32", "epochs": epochs})
    random = torch.Generator().manual_seed(1)
    dataset, count = DATASETS[one.dataset], batches * one.batch_size - one.batch_size // 2
    largest = getattr(dataset, "max_value", None) or dataset.largest
    images = torch.randint(largest + 1, (count, *dataset.shape), generator=random).to(torch.uint8)
    labels = torch.randint(len(dataset.classes), (count,), generator=random)
    train = Split(images, labels)
    validation = Split(images[:50], labels[:50])
    channels = one.input_shape[0]
    greyscale, per_image = one.preprocess.greyscale, one.preprocess.scaling == "zscore_image"
    transform = Transform(1 / largest, [0.5] * channels, [0.3] * channels, greyscale, per_image)
    model = build_model(one, one.input_shape, len(dataset.classes))
    history = fit(model, train, validation, transform, one, torch.device("cpu"))
    curves = hashlib.sha256(json.dumps(history.records).encode()).hexdigest()[:8]
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode() + tensor.contiguous().numpy().tobytes())
    print(json.dumps([name, [digest.hexdigest()[:16], curves]]), flush=True)
"""


def main() -> None:
    """Compare, and print a line for each experiment."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("commit", metavar="COMMIT")
    parser.add_argument("names", nargs="*", metavar="NAME", help="(all experiments)")
    options = parser.parse_args()
    known = load_params(files.PARAMS)
    trainings = [*known.experiments]
    trainings += [f"{name}/{trial.name}" for name, sweep in known.sweeps.items() for trial in sweep.trials]
    for name in options.names:
        if name not in trainings:
            raise InputError(f"NAME: found {name!r}{nearest(name, trainings)}")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        command = ["git", "worktree", "add", "--quiet", "--detach", str(tree), options.commit]
        if subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
            raise InputError(f"COMMIT: found {options.commit!r}; allowed: a commit of this repository")
        try:
            before, now = (trained(root, options.names) for root in (tree, Path.cwd()))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], check=True)
    for name, digest in now.items():
        old = before.get(name, ["–", "–"])
        said = [
            "the same" if one == other else "new" if one == "–" else "DIFFER"
            for one, other in zip(old, digest, strict=True)
        ]
        print(f"{name:40} weights {old[0]:16} {digest[0]} {said[0]}; curves {old[1]:8} {digest[1]} {said[1]}")
    sys.exit(any(before.get(name, digest) != digest for name, digest in now.items()))


def trained(root: Path, names: list[str]) -> dict[str, list[str]]:
    """Return a hash of the weights and one of the curves of each training, by the code in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    arguments = json.dumps([BATCHES, EPOCHS, names])
    command = [sys.executable, "-c", CHILD, arguments]
    lines = subprocess.check_output(command, cwd=root, env=environment, text=True).splitlines()
    return dict(json.loads(line) for line in lines if line.startswith("["))


if __name__ == "__main__":
    run(main)
