"""`portable: true`: kernels pinned in every process that computes, and refused where it cannot hold."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from params import refusal
from repository import ROOT
from training import Make

from convlab import portable
from convlab.config import dump_item
from convlab.errors import InputError
from convlab.pipeline.identity import identity
from convlab.pipeline.provenance import environment, fingerprint
from convlab.pipeline.trainings import Trainings
from convlab.schema import Experiment

Recipe = Callable[..., Experiment]
needs_avx2 = pytest.mark.skipif(not portable.possible(), reason="no x86-64 with AVX2 here")
PORTABLE = {"experiments/digits/portable": True}
END = "with portable: true, or portable: false"


@pytest.fixture
def unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that was started without the variables, on a processor with AVX2."""
    monkeypatch.setattr(portable, "STARTED_WITH", {})
    monkeypatch.setattr(portable, "possible", lambda: True)


# ------------------------------------------------------------------------------------------------- the key


def test_it_sets_what_is_auto_or_null(recipe: Recipe) -> None:
    one = recipe(portable=True, device="auto", precision="auto", threads=None)
    assert (one.device, one.precision, one.threads) == ("cpu", "fp32", 1)
    other = recipe(device="auto", precision="auto", threads=None)
    assert (other.device, other.precision, other.threads) == ("auto", "auto", None)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("device", "cuda", "device: found cuda; allowed: cpu"),
        ("precision", "bf16", "precision: found bf16; allowed: fp32"),
        ("threads", 2, "threads: found 2; allowed: 1"),
        ("compile", True, "compile: found true; allowed: false"),
    ],
)
def test_incompatible_settings_are_refused_in_one_line(
    tmp_path: Path, key: str, value: Any, message: str
) -> None:
    changes = {**PORTABLE, f"experiments/digits/{key}": value}
    assert refusal(tmp_path, changes) == f"experiments.digits.{message} {END}"


def test_the_numpy_engine_is_refused(tmp_path: Path) -> None:
    changes = {"experiments/fashion/portable": True, "experiments/fashion/engine": "numpy"}
    assert refusal(tmp_path, changes) == f"experiments.fashion.engine: found numpy; allowed: torch {END}"


def test_a_sweep_in_which_it_varies_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, {"sweeps/strides/grid": {"portable": [True, False]}})
    assert said == "sweeps.strides: portable: found true and false; allowed: one of them for all trials"


def test_a_result_without_it_is_what_it_was(recipe: Recipe) -> None:
    plain, off, on = recipe(), recipe(portable=False), recipe(portable=True)
    assert fingerprint(plain, "data") == fingerprint(off, "data") != fingerprint(on, "data")
    assert dump_item(plain) == dump_item(off)
    assert "portable" not in dump_item(off)
    for phase in ("train", "evaluate"):
        assert identity(phase, on).keys() - identity(phase, off).keys() == {"portable"}
    assert identity("prepare", on) == identity("prepare", off)


# ------------------------------------------------------------------------------------------- the process


@pytest.mark.usefixtures("unpinned")
def test_a_training_in_a_process_with_other_kernels_is_refused(
    sweep: Make, prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        Trainings("one", sweep({"lr": 0.1}, portable=True, epochs=1), prepared, tmp_path).run()
    assert "portable: found true, but PyTorch was loaded without pinned kernels; start Python with" in str(
        error.value
    )
    assert "MKL_CBWR=COMPATIBLE" in str(error.value)
    assert not [*tmp_path.glob("*/finished.json")]


@pytest.mark.usefixtures("unpinned")
def test_pinning_after_pytorch_is_loaded_is_refused(recipe: Recipe) -> None:
    before = dict(os.environ)
    with pytest.raises(InputError, match="digits: portable: found true, but PyTorch was loaded"):
        portable.pin("digits", recipe(portable=True))
    portable.pin("digits", recipe())
    assert dict(os.environ) == before


def test_a_processor_without_avx2_is_a_warning(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(portable, "possible", lambda: False)
    before = dict(os.environ)
    portable.pin("digits", recipe(portable=True))
    portable.check("digits", recipe(portable=True))
    warning = "digits: warning: portable: no x86-64 with AVX2 here, so other last bits\n"
    assert capsys.readouterr().err == warning
    assert dict(os.environ) == before
    assert "kernels" not in environment(torch.device("cpu"))


@pytest.mark.parametrize("stage", ["train", "evaluate", "sweep"])
def test_a_stage_pins_before_pytorch_is_loaded(stage: str) -> None:
    code = f"import runpy, sys; runpy.run_path('stages/{stage}.py'); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# ---------------------------------------------------------------------------------------------- the bits

CHILD = """
import json, sys
from pathlib import Path
from convlab import portable
from convlab.config import load_sweep
sweep = load_sweep(Path(sys.argv[1]))
portable.pin("lr", sweep)
from convlab.pipeline.trainings import Trainings
if __name__ == "__main__":
    ended = Trainings("lr", sweep, Path(sys.argv[2]), Path(sys.argv[3])).run()
    facts = [(done.results["weights"], done.results["test"], done.timing.get("kernels")) for _, done in ended]
    print(json.dumps(facts))
"""
OTHER = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "AUTO"}


@needs_avx2
@pytest.mark.campaign
def test_the_bits_are_the_same_whatever_the_process_was_started_with(
    sweep: Make, prepared: Path, tmp_path: Path
) -> None:
    script = tmp_path / "child.py"
    script.write_text(CHILD)

    def trained(pinned: bool, place: str, **variables: str) -> str:
        item = sweep({"lr": 0.002}, {"lr": 0.003}, portable=pinned, epochs=1)
        configuration, ledger = tmp_path / f"{place}.yaml", tmp_path / place
        configuration.write_text(dump_item(item))
        command = [sys.executable, str(script), str(configuration), str(prepared), str(ledger)]
        outside = {key: value for key, value in os.environ.items() if key not in portable.PINS}
        done = subprocess.run(
            command, cwd=ROOT, env=outside | variables, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()[-1]

    found = trained(True, "plain")
    assert '"AVX2"' in found
    assert trained(True, "other", **OTHER, OMP_NUM_THREADS="2", CONVLAB_WORKERS="2") == found
    if find_spec("ray"):
        assert trained(True, "ray", **OTHER, CONVLAB_EXECUTOR="ray") == found
    assert trained(False, "unpinned", **OTHER).replace("null", '"AVX2"') != found
