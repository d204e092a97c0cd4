"""Does `cifar10_fast` equal airbench94_muon? With equal weights and images: logits, then steps.

    python bench/fidelity/parity_airbench.py .gpu/speedruns/airbench94_muon.py

The script is that of github.com/KellerJordan/cifar10-airbench. In float64 on a CPU, without compilation: in
less precision rounding grows a thousandfold with each step, for Muon gives the small singular values of an
update the size of the large ones. Prints the largest difference of the logits in training mode and, after
each of three steps, of every weight and statistic, as a share of the largest in its tensor.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.baselines.speedruns import load
from bench.options import Parser
from bench.speed.cases import experiment_of
from convlab.errors import InputError, run
from convlab.models.build import build_model
from convlab.train.optimizers.registry import build_optimizer

BATCH, STEPS = 200, 3


def main() -> None:
    """Print the table."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("script", type=Path, help="airbench94_muon.py, as its repository has it")
    options = parser.parse_args()
    if not options.script.is_file():
        raise InputError(f"SCRIPT: found {str(options.script)!r}; allowed: airbench94_muon.py's path")
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    script = options.script.resolve()
    sys.argv = [str(script)]
    airbench: Any = load(script)
    torch.Tensor.bfloat16 = lambda tensor: tensor.double()  # type: ignore[assignment, method-assign]
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    theirs = airbench.CifarNet().double()
    theirs.reset()
    images, labels = torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))
    theirs.init_whiten(images)
    recipe = experiment_of("cifar10_fast").model_copy(update={"batch_size": BATCH, "precision": "fp32"})
    decay = recipe.weight_decay * BATCH / 2000  # airbench's is per image
    ours = build_model(recipe, [3, 32, 32], 10)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    optimizer = build_optimizer(ours, recipe.model_copy(update={"weight_decay": decay}))
    optimizer.dtype = torch.float64  # type: ignore[attr-defined]
    optimizers = optimizers_of(airbench, theirs, decay)
    print(f"logits: {(ours.train()(images) - theirs.train()(images)).abs().max():.1e}")
    for step in range(1, STEPS + 1):
        F.cross_entropy(theirs(images), labels, label_smoothing=0.2, reduction="sum").backward()
        F.cross_entropy(ours(images), labels, label_smoothing=0.2).backward()
        for one in (*optimizers, optimizer):
            one.step()
        theirs.zero_grad()
        ours.zero_grad()
        pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
        largest = max(((one - two).abs().max() / two.abs().max()).item() for one, two in pairs)
        print(f"after step {step}: {largest:.1e}")


def optimizers_of(airbench: Any, model: Any, decay: float) -> list[torch.optim.Optimizer]:
    """Return the two optimisers that the script's `main` sets up, with its rates."""
    norms = [weight for name, weight in model.named_parameters() if "norm" in name and weight.requires_grad]
    groups = [
        {"params": [model.whiten.bias, *norms], "lr": 0.053, "weight_decay": decay / 0.053},
        {"params": [model.head.weight], "lr": 0.67, "weight_decay": decay / 0.67},
    ]
    kernels = [weight for weight in model.parameters() if weight.ndim == 4 and weight.requires_grad]
    return [
        torch.optim.SGD(groups, momentum=0.85, nesterov=True),
        airbench.Muon(kernels, lr=0.24, momentum=0.6, nesterov=True),
    ]


if __name__ == "__main__":
    run(main)
