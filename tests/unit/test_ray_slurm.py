"""What deploy/ray-slurm.sh starts in an allocation, with stubs in place of Slurm, Ray and DVC."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from repository import ROOT

LOG = 'echo "{name} $* [${{CONVLAB_EXECUTOR-}} ${{RAY_ADDRESS-}} ${{CONVLAB_WORKERS-}}]" >> "$LOG"\n'
STUBS = {
    "scontrol": 'printf "n1\\nn2\\nn3\\n"\n',
    # The command is what comes after the options
    "srun": LOG + 'while [ "${{1#-}}" != "$1" ]; do [ "$1" = -w ] && shift; shift; done\n"$@"\n',
    # Those that were started have joined, but at most NODES
    "ray": LOG
    + '[ "$1" != status ] || grep "^ray start" "$LOG" | head -n "$NODES" | sed "s/.*/ 1 node_x/"\n',
    "dvc": LOG,
    "sleep": f"exec {shutil.which('sleep')} 0.02\n",
}


@pytest.fixture
def allocation(tmp_path: Path) -> dict[str, str]:
    """The environment of an allocation of two nodes; `.venv` and the token are there."""
    for name, text in STUBS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/bash\n" + text.format(name=name))
        path.chmod(0o755)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    return {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LOG": str(tmp_path / "log"),
        "NODES": "2",
        "SLURM_CPUS_PER_TASK": "16",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
    }


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(("gpus", "number"), [("4", 4), ("a100:4", 4), ("gpu:a100:2", 2), (None, 0)])
def test_it_starts_a_head_and_the_others_with_their_resources_and_dvc_once_they_joined(
    allocation: dict[str, str], tmp_path: Path, gpus: str | None, number: int
) -> None:
    environment = allocation | ({"SLURM_GPUS_PER_TASK": gpus} if gpus else {})
    command = ["bash", str(ROOT / "deploy/ray-slurm.sh")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = (tmp_path / "log").read_text().splitlines()
    own = f"--num-cpus=16 --num-gpus={number} --block [  ]"
    assert f"ray start --head --port=6379 {own}" in lines
    assert f"ray start --address=n1:6379 {own}" in lines
    assert f"srun --nodes=1 --ntasks=1 --exclude=n1 ray start --address=n1:6379 {own}" in lines
    assert lines[-1] == "dvc repro [ray n1:6379 ]"  # the executor asks for as many as there is room for
    assert "ray get-auth-token --generate [  ]" in lines


def test_where_nodes_do_not_join_it_goes_on_with_those_that_did(
    allocation: dict[str, str], tmp_path: Path
) -> None:
    command = ["bash", str(ROOT / "deploy/ray-slurm.sh")]
    subprocess.run(command, cwd=tmp_path, env=allocation | {"NODES": "1"}, check=True)
    lines = (tmp_path / "log").read_text().splitlines()
    assert (
        sum(line.startswith("ray status") for line in lines) >= 61
    )  # for the head, and all for the other node
    assert lines[-1] == "dvc repro [ray n1:6379 ]"
