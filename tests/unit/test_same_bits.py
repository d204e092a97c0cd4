"""The comparison of two commits' trainings refuses what it could not compare."""

import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "COMMIT: found 'nowhere'; allowed: a commit of this repository"),
        (["HEAD", "digit"], "NAME: found 'digit'"),
        (["HEAD", "digits_l2/l2-7"], "NAME: found 'digits_l2/l2-7'"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_exit_status_2(arguments: list[str], said: str) -> None:
    command = [sys.executable, "bench/same_bits.py", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"same_bits: {said}")
