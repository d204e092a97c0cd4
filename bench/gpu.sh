#!/usr/bin/env bash
# Run experiments and sweeps on a GPU machine that has PyTorch, but no network, no DVC and no MLflow.
#   OUT=results bench/gpu.sh [-S KEY=VALUE]… NAME …    (after bench/gpu-pack.sh, in the repository's root)
#   OUT=results bench/gpu.sh [-S KEY=VALUE]… python3 FILE …    a script of bench/, with what it needs on its path
#   OUT=results bench/gpu.sh bring FILE …                      weights that did not fit into what came back before
# NAME: an experiment or a sweep. -S changes params.yaml, as `dvc exp run -S` does.
# Brings back OUT/results.tar.gz.00, .01, …: metrics/, plots/ and weights, as `dvc repro` would have written them.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${OUT:?set OUT to the folder for the results}"
compgen -G ".gpu/wheels/*.whl" > /dev/null || { echo "gpu: .gpu/wheels: no wheels there; bench/gpu-pack.sh packs them" >&2; exit 2; }
site=$(mktemp -d)
python3 -m pip install --quiet --no-index --no-deps --target "$site" .gpu/wheels/*.whl
export PYTHONPATH="$PWD/src:$site" PYTHONUNBUFFERED=1
mkdir -p data/raw "$OUT"
python3 - <<'PYTHON'
import lzma, pathlib
for packed in pathlib.Path(".gpu").glob("part-*/**/*.xz"):
    raw = pathlib.Path("data/raw", *packed.parts[2:]).with_suffix("")
    raw.parent.mkdir(parents=True, exist_ok=True)
    raw.write_bytes(lzma.decompress(packed.read_bytes()))
PYTHON
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv > "$OUT/gpu.csv" 2>/dev/null || echo "no GPU here" > "$OUT/gpu.csv"
while [ "${1:-}" = -S ]; do
  python3 - "$2" <<'PYTHON'
import sys, yaml
path, value = sys.argv[1].split("=", 1)
params = level = yaml.safe_load(open("params.yaml"))
*parents, last = path.split(".")
for key in parents:
    level = level[key]
level[last] = yaml.safe_load(value)
yaml.safe_dump(params, open("params.yaml", "w"), sort_keys=False)
PYTHON
  shift 2
done
case "${1:-}" in
  python3) exec "$@" ;;
  bring) exec python3 bench/pack_results.py "$OUT" --only "${@:2}" ;;
esac
python3 stages/resolve.py
finished=()
for name in "$@"; do
  python3 stages/preprocess.py "$name"
  if grep -q '^trials:' "data/configs/$name.yaml"; then
    python3 stages/sweep.py "$name"
  else
    python3 stages/train.py "$name"
    python3 stages/evaluate.py "$name"
  fi
  python3 stages/visualize.py "$name"
  finished+=("$name")
  python3 bench/pack_results.py "$OUT" "${finished[@]}" # after each, so that a cut-off keeps what is done
done
