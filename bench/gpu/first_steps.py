"""A step of every experiment's network on random images, where the lease runs, and what of it fails.

    python3 bench/gpu/first_steps.py

Exit status 1 if one failed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from convlab import files
from convlab.campaign.estimate import seconds_per_image
from convlab.config import load_params
from convlab.errors import run


def main() -> int:
    """Measure one after the other."""
    experiments = load_params(files.PARAMS).experiments
    failed = 0
    for name, experiment in experiments.items():
        try:
            said = f"{1e6 * seconds_per_image(experiment):.1f} µs an image"
        except Exception as error:  # whatever it is: the others are still to be tried
            said = f"failed: {type(error).__name__}: {error}"
            failed += 1
        print(f"first steps: {name}: {said}", flush=True)
    print(f"first steps: {len(experiments) - failed} of {len(experiments)} networks train", flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    run(main)
