"""Commands in unusual environments: a notebook's variables, a terminal that is not UTF-8."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from repository import ROOT
from training import Make

from convlab import files
from convlab.config import dump_item
from convlab.errors import run
from convlab.schema import Experiment


def python(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run Python as a stage does, with changes to its environment."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
        capture_output=True,
    )


# -------------------------------------------------------------------------------------------------- notebooks


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nothing_of_the_kind"])
def test_a_backend_that_is_not_there_does_not_keep_figures_from_being_drawn(backend: str) -> None:
    done = python(ROOT / "stages/visualize.py", MPLBACKEND=backend)
    assert done.returncode == 2, done.stderr.decode()
    assert done.stderr.decode().startswith("visualize: found 0 arguments; ")


@pytest.mark.campaign
def test_the_backend_of_a_notebook_that_imports_the_package_stays() -> None:
    code = "import matplotlib, convlab.figures.draw; print(matplotlib.rcParams['backend'])"
    assert python("-c", code, MPLBACKEND="svg").stdout == b"svg\n"


# -------------------------------------------------------------------------------------------------- terminals


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "ascii:strict"])
def test_what_a_terminal_has_no_letter_for_is_a_question_mark(encoding: str) -> None:
    code = """
import sys
from convlab.errors import InputError, run
def main():
    print("12 → 7 · …")
    print("é", file=sys.stderr)
    raise InputError("found 'ź'")
run(main)
"""
    done = python("-c", code, PYTHONIOENCODING=encoding)
    assert done.returncode == 2
    latin = encoding == "latin-1"
    assert done.stdout == (b"12 ? 7 \xb7 ?\n" if latin else b"12 ? 7 ? ?\n")
    assert done.stderr == (b"\xe9\n" if latin else b"?\n") + b"-c: found '?'\n"


@pytest.mark.parametrize("command", ["results", "--help"])
def test_a_command_prints_its_tables_to_such_a_terminal(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "convlab.cli", command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.campaign
def test_trainings_side_by_side_print_to_such_a_terminal(
    sweep: Make, recipe: Callable[..., Experiment], prepared: Path, tmp_path: Path
) -> None:
    # A worker is a process of its own, with streams of its own
    plan = tmp_path / "lr.yaml"
    files.write_text(plan, dump_item(sweep({"lr": 0.001}, {"lr": 0.002}, epochs=1)))
    code = """
import sys
from pathlib import Path
from convlab.config import load_sweep
from convlab.errors import run
from convlab.pipeline.trainings import Trainings
def main():
    plan, prepared, ledger = map(Path, sys.argv[1:])
    Trainings("a → b", load_sweep(plan), prepared, ledger).run()
if __name__ == "__main__":
    run(main)
"""
    script = tmp_path / "script.py"
    script.write_text(code, encoding="utf-8")
    done = python(
        *(script, plan, prepared, tmp_path / "ledger"), PYTHONIOENCODING="ascii", CONVLAB_WORKERS="2"
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"a ? b 1/2 lr-0.001 epoch 1/1 ? loss" in done.stdout
    assert b"Error" not in done.stderr


def test_control_c_outside_of_a_training_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        with pytest.raises(SystemExit) as ended:
            run(lambda: signal.raise_signal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == 128 + signal.SIGINT
    assert capsys.readouterr().err.endswith(": SIGINT\n")


# ----------------------------------------------------------------------------------- what cannot be written


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("EROFS", "metrics/a.json: the file system is read-only"),
        ("EACCES", "metrics/a.json: permission denied"),
        ("EDQUOT", "metrics/a.json: your share of the disk is used up; make room, then run it again"),
    ],
)
def test_a_file_that_cannot_be_written_is_one_line(why: str, said: str) -> None:
    script = (
        "import errno; from convlab.errors import run\n"
        f"def main(): raise OSError(errno.{why}, 'no', 'metrics/a.json')\n"
        "run(main)"
    )
    done = python("-c", script)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == [f"-c: {said}"]
