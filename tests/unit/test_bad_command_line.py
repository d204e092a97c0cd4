"""What is typed wrongly: `convlab` and the stages end with one line and exit status 2."""

import sys
from pathlib import Path

import pytest
from params import stage

from convlab import cli

STAGES = ["preprocess", "train", "sweep", "evaluate", "visualize"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required: COMMAND; see --help"),
        (["chek"], "invalid choice: 'chek' (choose from"),
        (["summary"], "the following arguments are required: EXPERIMENT"),
        (["validate", "digits"], "unrecognized arguments: digits"),
        (["check", "--agianst", "main"], "unrecognized arguments: --agianst main"),
        (["check", "--against"], "argument --against: expected one argument"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["convlab", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("convlab: ")
    assert words in err


@pytest.mark.parametrize("script", STAGES)
@pytest.mark.parametrize("arguments", [[], ["digits", "mnist_vgg"]])
def test_a_stage_wants_one_name(tmp_path: Path, script: str, arguments: list[str]) -> None:
    status, message = stage(tmp_path, script, *arguments)
    assert status == 2
    assert message == (
        f"{script}: found {len(arguments)} arguments; allowed: one, an experiment's or a sweep's name\n"
    )


@pytest.mark.parametrize("script", STAGES)
@pytest.mark.parametrize("name", ["x" * 300, "../../params", ""])
def test_a_stage_wants_a_name_that_can_be_one(tmp_path: Path, script: str, name: str) -> None:
    status, message = stage(tmp_path, script, name)
    assert status == 2
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("script", STAGES)
def test_a_stage_of_an_unknown_name_says_which_there_are(tmp_path: Path, script: str) -> None:
    (tmp_path / "data/configs").mkdir(parents=True)
    for name in ("digits", "mnist_vgg", "datasets"):
        (tmp_path / f"data/configs/{name}.yaml").write_text("[]")
    status, message = stage(tmp_path, script, "digts")
    assert status == 2
    assert message == (
        f"{script}: data/configs/digts.yaml: not there; `dvc repro resolve` writes it; "
        "allowed: digits, mnist_vgg; did you mean `digits`?\n"
    )
