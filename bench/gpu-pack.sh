#!/usr/bin/env bash
# Pack what a GPU machine without a network needs into .gpu/: wheels that it lacks, and verified raw data.
#   bench/gpu-pack.sh DATASET …        then carry the repository and .gpu/ over; bench/gpu.sh runs there
# PYTHON_VERSION: the GPU machine's Python (3.12 unless set).
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf .gpu
mkdir -p .gpu/wheels
part=1 size=0 # parts of at most 60 MB: what can be carried at once is limited
for dataset in "$@"; do
  [ -d "data/raw/$dataset" ] || { echo "gpu-pack: run the download stage for $dataset first" >&2; exit 2; }
  while read -r file; do
    mkdir -p ".gpu/part-$part/$(dirname "$file")"
    xz -T0 -c "data/raw/$file" > ".gpu/part-$part/$file.xz"
    size=$((size + $(wc -c < ".gpu/part-$part/$file.xz")))
    if [ "$size" -gt 35000000 ]; then part=$((part + 1)) size=0; fi
  done < <(cd data/raw && find "$dataset" -type f | sort)
done
# PyTorch images have the rest (NumPy, PyYAML, safetensors, scikit-learn, matplotlib, rich).
versions=$(grep -oE '^(pydantic|pydantic-core|annotated-types|typing-inspection|nvidia-ml-py|threadpoolctl|pytest|pluggy|iniconfig|packaging|pygments)==[^ ]+' requirements.lock)
.venv/bin/pip download --quiet --no-deps --only-binary=:all: --implementation cp --python-version "${PYTHON_VERSION:-3.12}" \
  --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --dest .gpu/wheels $versions
du -sh .gpu/*
