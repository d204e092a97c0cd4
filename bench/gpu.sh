#!/usr/bin/env bash
# Run experiments and sweeps on a GPU machine that has PyTorch, but no network, no DVC and no MLflow.
#   OUT=results bench/gpu.sh NAME …    (after bench/gpu-pack.sh, in the repository's root)
# Brings back OUT/results.tar.gz: metrics/, plots/ and the weights, as `dvc repro` would have written them.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${OUT:?set OUT to the folder for the results}"
site=$(mktemp -d)
python3 -m pip install --quiet --no-index --no-deps --target "$site" .gpu/wheels/*.whl
export PYTHONPATH="$PWD/src:$site" PYTHONUNBUFFERED=1
mkdir -p data/raw "$OUT"
cp -r .gpu/raw/. data/raw/
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv > "$OUT/gpu.csv" 2>/dev/null || echo "no GPU here" > "$OUT/gpu.csv"
python3 stages/resolve.py
results=()
for name in "$@"; do
  python3 stages/preprocess.py "$name"
  if grep -q '^trials:' "data/configs/$name.yaml"; then
    python3 stages/sweep.py "$name"
    results+=("data/models/$name")
  else
    python3 stages/train.py "$name"
    python3 stages/evaluate.py "$name"
    results+=("data/models/$name.safetensors" "data/predictions/$name.safetensors")
  fi
  python3 stages/visualize.py "$name"
  results+=("metrics/$name" "plots/$name")
  tar czf "$OUT/results.tar.gz" "${results[@]}" # after each name: a cut-off keeps what is done
done
