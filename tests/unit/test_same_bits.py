"""The comparison of two commits' trainings refuses what it could not compare."""

import runpy
import sys

import pytest
from repository import ROOT


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "COMMIT: found 'nowhere'; allowed: a commit of this repository"),
        (["HEAD", "digit"], "NAME: found 'digit'"),
        (["HEAD", "digits_l2/l2-7"], "NAME: found 'digits_l2/l2-7'"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_exit_status_2(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["bench/fidelity/same_bits.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path("bench/fidelity/same_bits.py", run_name="__main__")
    errors = capsys.readouterr().err
    assert ended.value.code == 2
    assert errors.count("\n") == 1
    assert errors.startswith(f"same_bits: {said}")
