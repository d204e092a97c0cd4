"""What a stage does on Ctrl-C, and when the `dvc repro` that started it is killed alone."""

import os
import signal
import subprocess
import sys
import time

import pytest

from convlab.interrupt import deferred

STAGE = """
import os, pathlib, time
from convlab.errors import run

def main():
    pathlib.Path("pid").write_text(str(os.getpid()))
    while True:
        time.sleep(1)

run(main)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, 'stage.py'])"
# DVC without SHELL, where /bin/sh stays: as a child of its own it outlives whoever started it.
SHELL = """import subprocess, sys
subprocess.run(['/bin/sh', '-c', f'"{sys.executable}" stage.py; true'])"""


@pytest.mark.parametrize(
    ("started", "environment", "ends"),
    [(PARENT, {"DVC_STAGE": "train@digits"}, True), (PARENT, {}, False), (SHELL, {"DVC_STAGE": "x"}, True)],
    ids=["dvc", "by hand", "dvc with a shell between"],
)
def test_a_stage_ends_with_its_dvc_and_a_plain_command_does_not(tmp_path, started, environment, ends):
    (tmp_path / "stage.py").write_text(STAGE)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    parent = subprocess.Popen(
        [sys.executable, "-c", started], cwd=tmp_path, env=inherited | environment, stdout=subprocess.PIPE
    )
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text()):
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    try:
        parent.communicate(timeout=None if ends else 3)  # until no process holds the pipe open
    except subprocess.TimeoutExpired:
        assert not ends
        os.kill(int(pid.read_text()), signal.SIGKILL)
        parent.communicate()
    else:
        assert ends


# As a library's optional import: it takes whatever is raised for a reason to do without
SLOW = """
import pathlib, time
pathlib.Path("importing").touch()
try:
    time.sleep(0.5)
except BaseException:
    pathlib.Path("swallowed").touch()
"""
# What a shell starts in the background ignores SIGINT, and its children inherit that
IMPORTING = """
import signal, time
from convlab.errors import run

signal.signal(signal.SIGINT, signal.default_int_handler)

def main():
    import slow
    while True:
        time.sleep(1)

run(main)
"""


def test_an_import_ends_before_an_interrupt_is_raised(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "stage.py").write_text(IMPORTING)
    process = subprocess.Popen(
        [sys.executable, "stage.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (tmp_path / "importing").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "stage: SIGINT\n")
    assert not (tmp_path / "swallowed").exists()


@pytest.mark.parametrize(("before", "noted"), [(signal.SIG_DFL, signal.SIGHUP), (signal.SIG_IGN, None)])
def test_a_terminal_that_closes_asks_twice_and_nobody_under_nohup(before, noted):
    found = signal.signal(signal.SIGHUP, before)
    try:
        with deferred() as request:
            for _ in range(2):  # from the shell and from the kernel
                os.kill(os.getpid(), signal.SIGHUP)
            assert request.number == noted
        assert signal.getsignal(signal.SIGHUP) == before
    finally:
        signal.signal(signal.SIGHUP, found)
