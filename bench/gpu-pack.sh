#!/usr/bin/env bash
# Pack what a GPU machine without a network needs into .gpu/: wheels that it lacks, and verified raw data.
#   bench/gpu-pack.sh DATASET …        then carry the repository and .gpu/ over; bench/gpu.sh runs there
# PYTHON_VERSION: the GPU machine's Python (3.12 unless set).
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf .gpu
mkdir -p .gpu/raw .gpu/wheels
for dataset in "$@"; do
  cp -r "data/raw/$dataset" .gpu/raw/ || { echo "gpu-pack: run the download stage for $dataset first" >&2; exit 2; }
done
# PyTorch images have the rest (NumPy, PyYAML, safetensors, scikit-learn, matplotlib, rich).
versions=$(grep -oE '^(pydantic|pydantic-core|annotated-types|typing-inspection|nvidia-ml-py)==[^ ]+' requirements.lock)
.venv/bin/pip download --quiet --no-deps --only-binary=:all: --implementation cp --python-version "${PYTHON_VERSION:-3.12}" \
  --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --dest .gpu/wheels $versions
du -sh .gpu
