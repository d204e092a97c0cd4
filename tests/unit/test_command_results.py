"""`convlab results` for a program, completion for a shell, and a reader that has seen enough."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from training import Command

from convlab.results import frame


@pytest.fixture(autouse=True)
def _committed(committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(committed)


def test_results_are_rows_for_a_program_as_json_and_as_csv(convlab: Command) -> None:
    wanted = frame()
    status, out, _ = convlab("results", "--json")
    rows = json.loads(out)
    assert status == 0
    assert [row["result"] for row in rows] == list(wanted["result"])
    assert [row["test_accuracy"] for row in rows] == pytest.approx(list(wanted["test_accuracy"]))
    status, out, _ = convlab("results", "--csv")
    table = list(csv.DictReader(io.StringIO(out)))
    assert status == 0
    assert [float(row["test_accuracy"]) for row in table] == list(wanted["test_accuracy"])
    status, _, err = convlab("results", "--csv", "--json")
    assert (status, len(err.splitlines())) == (2, 1)


def test_sweeps_that_are_committed_are_shown_though_they_are_not_selected(convlab: Command) -> None:
    _, out, _ = convlab("results")
    assert "mnist_cnn_kernel" in out


@pytest.mark.parametrize(("other", "differ"), [("mnist_vgg", False), ("mnist_cnn", True)])
def test_results_side_by_side_show_the_parameters_that_differ(
    convlab: Command, other: str, differ: bool
) -> None:
    status, out, _ = convlab("compare", "mnist_vgg", other)
    assert status == 0
    assert ("Parameters that differ" in " ".join(out.split())) == differ
    assert ("Their parameters are the same." in out) != differ


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_what_completes_a_command(convlab: Command, shell: str) -> None:
    status, out, _ = convlab("--print-completion", shell)
    assert status == 0
    assert "compare" in out
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=out, text=True, check=True)


def test_a_reader_that_has_seen_enough_is_no_traceback() -> None:
    command = [sys.executable, "-m", "convlab.cli", "results", "--csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + 13
