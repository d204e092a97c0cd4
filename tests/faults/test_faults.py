"""Rounds of the fault campaign (robustness/faults.py): a sweep, its two workers, its checkpoints, MLflow.

Where the fault strikes differs from run to run; nothing may ever be lost.
"""

import random
import subprocess
import sys

import pytest

from robustness import fault_clone
from robustness.fault_clone import Clone, own_disk
from robustness.fault_kinds import KINDS
from robustness.faults import inject_once, undisturbed

pytestmark = [pytest.mark.pipeline, pytest.mark.campaign]

STAGE = "sweep@digits_l2"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "clone"
    with own_disk(folder) as mounts:
        clone = Clone(folder, targets=STAGE)
        yield clone, undisturbed(clone), mounts


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("SIGTERM, all", 0.5),
        ("checkpoints truncated", 0.0),
        ("mlflow.db corrupt", 0.0),
        ("disk full", 0.6),
    ],
)
def test_the_next_repro_recovers_the_undisturbed_results(pipeline, name, share):
    clone, wanted, mounts = pipeline
    if KINDS[name].mounts and not mounts:
        pytest.skip("no disk can be mounted here")
    row = inject_once(clone, wanted, name, STAGE, share * wanted.seconds[STAGE], random.Random(name))
    assert row["recovered"], row


def test_a_round_that_does_not_recover_is_detected(pipeline):
    """The checks themselves: a result that differs in one byte, a run that is marked as running."""
    clone, wanted, _ = pipeline
    clone.restore(STAGE)
    assert clone.state() != wanted.state
    clone.copy(clone.kept, clone.folder)
    assert clone.state() == wanted.state
    weights = next((clone.folder / "data/models").rglob("*.safetensors"))
    weights.chmod(0o644)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert clone.state() != wanted.state


@pytest.mark.parametrize(
    ("code", "hanging"), [("import time; time.sleep(600)", True), ("sum(range(10**8))", False)]
)
def test_a_slow_process_that_computes_does_not_count_as_hung(monkeypatch, code, hanging):
    monkeypatch.setattr(fault_clone, "QUIET", 3.0)
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    assert fault_clone.hangs(process) == hanging
    fault_clone.end(process)
