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
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK  # srun does not inherit --cpus-per-task since Slurm 22.05
[ -f ~/.ray/auth_token ] || ray get-auth-token --generate
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -1)
resources="--num-cpus=$SLURM_CPUS_PER_TASK --num-gpus=${SLURM_GPUS_PER_TASK:-0}"
srun --nodes=1 --ntasks=1 -w "$head" ray start --head --port=6379 $resources --block &
for _ in {1..60}; do srun --overlap --nodes=1 --ntasks=1 -w "$head" ray status >/dev/null 2>&1 && break; sleep 2; done
others=$((SLURM_JOB_NUM_NODES - 1))
if [ "$others" -gt 0 ]; then
  srun --nodes="$others" --ntasks="$others" --exclude="$head" ray start --address="$head:6379" $resources --block &
fi
export CONVLAB_EXECUTOR=ray RAY_ADDRESS="$head:6379" CONVLAB_WORKERS=$((SLURM_JOB_NUM_NODES * ${SLURM_GPUS_PER_TASK:-4} * 4))
srun --overlap --nodes=1 --ntasks=1 -w "$head" dvc repro
