"""Which bits does a training give on this processor, depending on the kernels?

    python bench/fidelity/bits.py      the digits, in each variant (a minute; other work may run beside it)

Prints the hash of the digits' weights (`weights` in trainings.json), the beginning of the SHA-256 of their
safetensors file, and what the kernels cost: CPU milliseconds of the fastest of some steps, of the digits'
network and of R0's, on one thread. Where two processors have one hash in the row `portable`, `portable: true`
gives the same bits on both. The table is kept in results/bits.json, by processor.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.options import Parser
from convlab import files
from convlab.config import load_params
from convlab.data.dataset import save
from convlab.data.preprocess import prepare
from convlab.data.readers.registry import read
from convlab.data.sources import fetch
from convlab.errors import run
from convlab.pipeline.provenance import environment
from convlab.portable import PINS
from convlab.train.device import select_device

RESULTS = Path(__file__).parents[1] / "results/bits.json"
SSE = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}
VARIANTS: dict[str, dict[str, str]] = {
    "chosen by the libraries": {},
    "portable": PINS,
    "portable, OMP_NUM_THREADS=2": {**PINS, "OMP_NUM_THREADS": "2"},
    "AVX2, MKL's too": {**PINS, "MKL_CBWR": "AVX2"},
    "SSE 4.1": SSE,
}
CHILD = """
import hashlib, json, sys, time
from pathlib import Path
import torch
from safetensors.torch import save
from convlab.config import load_params
from convlab.models.build import build_model
from convlab.models.weights import hash_weights
from convlab.pipeline.run import train
known = load_params(Path("params.yaml")).experiments
digits = known["digits"]
model = train("digits", digits, Path(sys.argv[1]) / digits.data_key()).model
tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
file = hashlib.sha256(save(tensors)).hexdigest()[:16]
facts = {"weights": hash_weights(model), "file": file, "step_ms": {}}
for name, steps in (("digits", 200), ("mnist_vgg", 20)):
    one = known[name]
    network = build_model(one, one.input_shape, 10).train()
    adam = torch.optim.Adam(network.parameters())
    images, labels = torch.rand(one.batch_size, *one.input_shape), torch.arange(one.batch_size) % 10
    fastest = float("inf")
    for _ in range(steps):
        began = time.thread_time()
        adam.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        adam.step()
        fastest = min(fastest, time.thread_time() - began)
    facts["step_ms"][name] = 1000 * fastest
print(json.dumps(facts))
"""


def trained(prepared: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the hashes of the digits' weights and of their file, and the milliseconds of a step."""
    outside = {key: value for key, value in os.environ.items() if key not in (*PINS, "OMP_NUM_THREADS")}
    command = [sys.executable, "-c", CHILD, str(prepared)]
    said = subprocess.check_output(command, env=outside | dict(variables), text=True)
    return {"variables": dict(variables), **json.loads(said.splitlines()[-1])}


def main() -> None:
    """Train in each variant, print the table, and save it."""
    Parser(description=__doc__.split("\n")[0]).parse_args()
    experiment = load_params(files.PARAMS).experiments["digits"]
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch("digits", folder / "raw", mirror=None)
        save(prepare(read("digits", folder / "raw"), experiment), folder / experiment.data_key())
        print("| kernels | weights | file | a step of the digits, ms | of R0's network, ms |")
        print("| --- | --- | --- | ---: | ---: |")
        for variant, variables in VARIANTS.items():
            one = found[variant] = trained(folder, variables)
            times = " | ".join(f"{milliseconds:,.1f}" for milliseconds in one["step_ms"].values())
            print(f"| {variant} | `{one['weights']}` | `{one['file']}` | {times} |", flush=True)
    here = environment(select_device("cpu"))
    facts = {**here, "threads": experiment.threads, "load": os.getloadavg()[1]}
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    files.write_json(RESULTS, {**known, here["device_name"]: {**facts, "variants": found}})


if __name__ == "__main__":
    run(main)
