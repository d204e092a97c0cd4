"""convlab: five lab reports on small-image CNNs, reproduced by a DVC and MLflow pipeline."""

import os

# cuBLAS reads it when it starts: without it, `deterministic: true` ends in an error on a GPU.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

# Who started this process, asked before the imports that take seconds (see `interrupt.end_with_dvc`).
STARTED_BY = os.getppid()
