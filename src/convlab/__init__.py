"""convlab: five lab reports on small-image CNNs, reproduced by a DVC and MLflow pipeline."""

import os
import sys

__version__ = "0.1.0"

# cuBLAS reads it when it starts: without it, `deterministic: true` ends in an error on a GPU.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

# matplotlib reads it when it is imported. A notebook's `!dvc repro` inherits the notebook's own, whose module
# may be nowhere in this environment; figures are written to files in any case.
if os.environ.get("MPLBACKEND") and "matplotlib" not in sys.modules and "ipykernel" not in sys.modules:
    os.environ["MPLBACKEND"] = "Agg"
