import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT


@pytest.mark.pipeline
@pytest.mark.campaign
def test_a_lease_recovers_from_all_injected_faults(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "bench/gpu/simulate.py", "--folder", str(tmp_path), "--seconds", "3600"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert not done.returncode, done.stdout
