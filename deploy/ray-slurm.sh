#!/bin/bash
# Ray in a Slurm allocation: a head on the first node, a worker on every other node, and dvc repro on the head.
#   sbatch deploy/ray-slurm.sh        (in the repository, on a file system that all nodes share)
# Follows Ray's documentation; it has not been run on a cluster.
#SBATCH --job-name=convlab
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-task=4
#SBATCH --time=4:00:00
set -euo pipefail
. .venv/bin/activate
export RAY_worker_niceness=0 RAY_AUTH_MODE=token
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:?give sbatch --cpus-per-task}  # srun does not inherit --cpus-per-task since Slurm 22.05
[ -f ~/.ray/auth_token ] || ray get-auth-token --generate
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
gpus=${SLURM_GPUS_PER_TASK:-0}
gpus=${gpus##*:}  # Slurm may name their type: a100:4
resources="--num-cpus=$SLURM_CPUS_PER_TASK --num-gpus=$gpus"
srun --nodes=1 --ntasks=1 -w "$head" ray start --head --port=6379 $resources --block &
await() {  # until so many nodes have joined, for two minutes at most
  for _ in {1..60}; do
    joined=$(srun --overlap --nodes=1 --ntasks=1 -w "$head" ray status 2>/dev/null | grep -c ' node_') || true
    [ "$joined" -ge "$1" ] && return
    sleep 2
  done
  return 1
}
await 1 || { echo "ray-slurm.sh: Ray's head on $head does not answer" >&2; exit 1; }
others=$((SLURM_JOB_NUM_NODES - 1))
if [ "$others" -gt 0 ]; then
  srun --nodes="$others" --ntasks="$others" --exclude="$head" ray start --address="$head:6379" $resources --block &
  await "$SLURM_JOB_NUM_NODES" || echo "ray-slurm.sh: going on with the $joined nodes that joined" >&2
fi
export CONVLAB_EXECUTOR=ray RAY_ADDRESS="$head:6379"  # as many trainings at once as the joined nodes have room for
srun --overlap --nodes=1 --ntasks=1 -w "$head" dvc repro
