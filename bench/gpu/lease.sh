#!/usr/bin/env bash
# The lease, on the GPU machine (bench/gpu.md): a daemon trains, while calls carry data in and results out.
#   bench/gpu/lease.sh start ARGUMENT …      copy .gpu/, start the daemon (lease.py's arguments; --for SECONDS)
#   bench/gpu/lease.sh add-data                  copy further .gpu/data-*
#   OUT=out bench/gpu/lease.sh collect [SECONDS]    wait SECONDS, or until the daemon has ended, then pack what is new
#   OUT=out bench/gpu/lease.sh collect-all [SECONDS]      the same, but everything: the last collection was lost
#   OUT=out bench/gpu/lease.sh measure [SECONDS]    after it has ended: engine against plain loop, speed run against others'
#   bench/gpu/lease.sh checks                    what `start` runs in the background: ceilings, the GPU's tests, a step of every network
# LEASE: the daemon's folder, outside of the repository (/tmp/convlab-lease unless set).
# LEASE_PYTHONPATH: added to PYTHONPATH there (for simulate.py).
set -euo pipefail
cd "$(dirname "$0")/../.."
export LEASE=${LEASE:-/tmp/convlab-lease}
export PYTHONUNBUFFERED=1
mkdir -p "$LEASE/packed" "$LEASE/ledger" "$LEASE/prepared"

take_in() { # folders appear atomically: the daemon must not see half of one
  for folder in .gpu/data-*; do
    [ -d "$folder" ] || continue
    name=$(basename "$folder")
    rm -rf "$LEASE/packed/.$name"
    cp -r "$folder" "$LEASE/packed/.$name"
    rm -rf "${LEASE:?}/packed/$name"
    mv "$LEASE/packed/.$name" "$LEASE/packed/$name"
    rm -rf "$folder" # so that the next call does not copy it again
    echo "lease: $name copied"
  done
}

# A process that was killed may stay as a zombie, without a command line
alive() { [ -f "$LEASE/daemon.pid" ] && grep -qs lease.py "/proc/$(cat "$LEASE/daemon.pid")/cmdline"; }

enter() { # into the most recent copy of the code
  cd -P "$LEASE/work"
  export PYTHONPATH="$PWD/src:$LEASE/site${LEASE_PYTHONPATH:+:$LEASE_PYTHONPATH}"
}

case "${1:-}" in
  start)
    shift
    [ -f .gpu/base/manifest.json ] || { echo "lease: .gpu/base: not found; bench/gpu/pack.py packs it" >&2; exit 2; }
    cp .gpu/base/manifest.json "$LEASE/manifest.json"
    take_in
    if alive; then echo "lease: the daemon is running"; exit 0; fi
    if [ ! -d "$LEASE/site" ] && [ -d .gpu/base/wheels ]; then
      python3 -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$LEASE/.site" .gpu/base/wheels/*.whl
      mv "$LEASE/.site" "$LEASE/site"
    fi
    for folder in .gpu/ledger/*/; do # what an earlier lease has trained or started
      key=$(basename "$folder")
      if [ -d "$folder" ] && [ ! -e "$LEASE/ledger/$key" ]; then
        rm -rf "$LEASE/taken"
        cp -r "$folder" "$LEASE/taken"
        mv "$LEASE/taken" "$LEASE/ledger/$key"
        if [ -f "$LEASE/ledger/$key/finished.json" ]; then echo "$key" >> "$LEASE/kept.csv"; fi
      fi
    done
    work=$(mktemp -d "$LEASE/work-XXXXXX") # a new one each time: processes of a dead daemon may still run in the old one
    cp -r src stages bench tests datasets pyproject.toml params.yaml studies.yaml reports.yaml "$work/"
    ln -sfn "$work" "$LEASE/work"
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv > "$LEASE/gpu.csv" 2> /dev/null || echo "no GPU here" > "$LEASE/gpu.csv"
    # Without it processes take turns on the GPU: eight trainings at once are then no faster than one after the
    # other, with it twice as fast (measured on an H200)
    if command -v nvidia-cuda-mps-control > /dev/null; then
      export CUDA_MPS_PIPE_DIRECTORY="$LEASE/mps" CUDA_MPS_LOG_DIRECTORY="$LEASE/mps"
      mkdir -p "$LEASE/mps"
      nvidia-cuda-mps-control -d && echo "lease: trainings share the GPU by MPS"
    fi
    CONVLAB_COMMIT=$(cat .gpu/base/commit)
    export CONVLAB_COMMIT
    enter
    setsid python3 bench/gpu/lease.py "$@" >> "$LEASE/daemon.log" 2>&1 < /dev/null &
    echo $! > "$LEASE/daemon.pid"
    [ -f "$LEASE/checks.log" ] || setsid bash bench/gpu/lease.sh checks >> "$LEASE/checks.log" 2>&1 < /dev/null &
    for _ in {1..60}; do # until it has read the plan: its errors should appear now
      [ "$LEASE/status.json" -nt "$LEASE/daemon.pid" ] && { echo "lease: started"; exit 0; }
      sleep 0.5
      alive || { tail -n 5 "$LEASE/daemon.log" >&2; exit 1; }
    done
    echo "lease: started; no status yet"
    ;;
  checks) # beside the first trainings; what fails is noted, and stops nothing
    enter
    # First, while the trainings import and the first data is prepared: later the GPU is shared
    echo "checks: FLOP/s of large matrix products: $(python3 bench/speed/roofline.py || echo "exit status $?")"
    python3 -m pytest -m gpu tests/unit/test_gpu.py -p no:cacheprovider || echo "checks: pytest -m gpu: exit status $?"
    python3 bench/gpu/first_steps.py || echo "checks: a step of every network: exit status $?"
    echo "checks: ended"
    ;;
  add-data) take_in ;;
  collect | collect-all)
    [ "$1" = collect ] || rm -f "$LEASE/collected.json"
    out=$(mkdir -p "${OUT:?set OUT to the folder for the results}" && cd "$OUT" && pwd)
    enter
    exec python3 bench/gpu/collect.py "$LEASE" "$out" "${2:-0}"
    ;;
  measure) # each within the time left (180 s by default); a failure or timeout of one does not stop the others
    out=$(mkdir -p "${OUT:?set OUT to the folder for the results}" && cd "$OUT" && pwd)
    alive && { echo "lease: the daemon is running; measure once it has ended" >&2; exit 2; }
    CUDA_MPS_PIPE_DIRECTORY="$LEASE/mps" nvidia-cuda-mps-control <<< quit 2> /dev/null || true
    export PYTHONPATH="$PWD/src:$LEASE/site${LEASE_PYTHONPATH:+:$LEASE_PYTHONPATH}"
    until=$((SECONDS + ${2:-180}))
    part() { # NAME SECONDS COMMAND …: at most SECONDS, and no more than are left
      left=$((until - SECONDS))
      [ "$left" -gt 0 ] || { echo "lease: $1: no time left"; return 0; }
      status=0 # one log for all: at most eight files come back
      { echo "== $1" && timeout "$((left < $2 ? left : $2))" "${@:3}"; } >> "$out/measure.log" 2>&1 || status=$?
      echo "lease: $1: exit status $status, $((until - SECONDS)) s left"
    }
    # The most important first; the others' scripts compile for minutes, and only start if that may be enough
    part suite 130 python3 bench/speed/suite.py --device auto --rounds 1 --seconds 2 --networks mnist_vgg cifar10_resnet18 --out "$out/bench.json"
    part ours 40 python3 bench/speed/time_to_accuracy.py cifar10_fast --target 0.94 --seeds 6 --prepared "$LEASE/prepared" --out "$out/fast.json"
    part profile 90 python3 bench/speed/step_profile.py --device auto --steps 50 --out "$out/profile.json"
    part resnet18 80 python3 bench/speed/time_to_accuracy.py cifar10_resnet18 --target 0.9067 --seeds 1 --prepared "$LEASE/prepared" --out "$out/resnet18.json"
    compiled=(python3 bench/speed/time_to_accuracy.py cifar10_fast --target 0.94 --compile --prepared "$LEASE/prepared" --out "$out/compiled.json")
    airbench=.gpu/speedruns/airbench94_muon.py
    if [ -f "$airbench" ] && [ $((until - SECONDS)) -ge 200 ]; then # five of ours, five of airbench's, and once more
      part compiled 600 "${compiled[@]}" --seeds 10 --block 5 --beside "$airbench"
    else
      echo "lease: airbench: needs $airbench and 200 s, $((until - SECONDS)) left"
      part compiled 75 "${compiled[@]}" --seeds 6
    fi
    record=.gpu/speedruns/cifar10_speedrun.py
    if [ -f "$record" ] && [ $((until - SECONDS)) -ge 200 ]; then
      part record 600 python3 bench/speed/time_to_accuracy.py cifar10_fast --target 0.94 --seeds 5 --prepared "$LEASE/prepared" --beside "$record" --out "$out/record.json"
    else
      echo "lease: record: needs $record and 200 s, $((until - SECONDS)) left"
    fi
    ;;
  *) echo "lease: found '${1:-}'; allowed: start, add-data, collect, collect-all, measure, checks" >&2; exit 2 ;;
esac
