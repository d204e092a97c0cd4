"""What keeping freed memory is worth: R0's training step with glibc's allocator as it comes, and as set.

    python bench/allocator.py            (about two minutes; nothing else should run)

Interleaved processes (A B A B …), the median and the range of images/s of each.
"""

import subprocess
import sys
import time
from statistics import median

ROUNDS, STEPS, WARM_UP, BATCH = 4, 25, 5, 128


def measure(kept: bool, precision: str) -> float:
    """Train R0's network on random images in this process; give images/s after the warm-up."""
    import torch
    import torch.nn.functional as F

    from convlab.models import build
    from convlab.schema import VGG
    from convlab.train.device import autocast, prepare_process

    if kept:
        prepare_process(None, deterministic=False)
    device = torch.device("cpu")
    section = VGG(
        name="vgg", filters=[32, 64, 128], kernels=[3, 3, 3], strides=[1, 1, 1], dense=[256], dropout=0.5
    )
    model = build(section, [1, 28, 28], 10, seed=0).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    images = torch.rand(BATCH, 1, 28, 28).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (BATCH,))
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            started = time.perf_counter()
        with autocast(precision, device):
            logits = model(images).float()
        F.cross_entropy(logits, labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    return STEPS * BATCH / (time.perf_counter() - started)


def main() -> None:
    """Measure every way in turn, and print a row each."""
    ways = [(kept, precision) for precision in ("fp32", "bf16") for kept in (False, True)]
    speeds: dict[tuple[bool, str], list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for kept, precision in ways:
            command = [sys.executable, __file__, str(int(kept)), precision]
            speeds[kept, precision].append(float(subprocess.check_output(command, text=True)))
    for kept, precision in ways:
        found = speeds[kept, precision]
        ratio = median(found) / median(speeds[False, precision])
        name = "freed memory kept" if kept else "as it comes"
        spread = f"{min(found):,.0f}–{max(found):,.0f}"
        print(f"| {precision} | {name} | {median(found):,.0f} | {spread} | {ratio:.2f} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(measure(bool(int(sys.argv[1])), sys.argv[2]))
    else:
        main()
