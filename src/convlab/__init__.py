"""convlab: five lab reports on small-image CNNs, reproduced by a DVC and MLflow pipeline."""

import os

# cuBLAS reads it when it starts: without it, `deterministic: true` ends in an error on a GPU.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
