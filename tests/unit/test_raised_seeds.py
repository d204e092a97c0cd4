"""The seeds that a campaign writes stay only once the result has them; what a user writes meanwhile stays."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import params
import pytest
import yaml
from training import Command

from convlab.campaign.raised_seeds import lower_left, raised_seeds
from convlab.errors import InputError

STUDIES = ("sweeps", "claims")


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lay_out()


def lay_out() -> None:
    """Write params.yaml and studies.yaml into the working directory."""
    params.write(Path(), {key: params.GONE for key in STUDIES})
    Path("studies.yaml").write_text(
        yaml.safe_dump({key: params.VALID[key] for key in STUDIES}, sort_keys=False)
    )


def texts() -> dict[str, str]:
    return {name: Path(name).read_text() for name in ("params.yaml", "studies.yaml")}


def test_they_stay_once_they_are_trained() -> None:
    before = texts()
    with raised_seeds({"named": 3}) as raised:
        raised.stay = True
    assert raised.lines == ["sweeps.named.seeds: 3"]
    after = texts()
    assert after["params.yaml"] == before["params.yaml"]
    assert after["studies.yaml"] == before["studies.yaml"].replace("    seeds: 2\n", "    seeds: 3\n")
    assert not [*Path(".convlab").iterdir()]


def interrupted(edit: Callable[[], None]) -> None:
    with raised_seeds({"digits": 3}):
        assert "    seeds: 3\n" in Path("params.yaml").read_text()
        edit()
        raise KeyboardInterrupt


def test_they_are_taken_back_after_an_interruption() -> None:
    before = texts()
    with pytest.raises(KeyboardInterrupt):
        interrupted(lambda: None)
    assert texts() == before
    assert not [*Path(".convlab").iterdir()]


def test_what_a_user_writes_meanwhile_stays(capsys: pytest.CaptureFixture[str]) -> None:
    before = texts()
    mine = "  my_lr: {experiment: digits, grid: {lr: [0.1]}}\nclaims:\n"

    def edit() -> None:
        text = Path("studies.yaml").read_text()
        assert "    seeds: 1\n" in text, "of the sweep over what has more now"
        Path("studies.yaml").write_text(text.replace("claims:\n", mine))

    with pytest.raises(KeyboardInterrupt):
        interrupted(edit)
    expected = before["studies.yaml"].replace("claims:\n", mine)
    assert texts() == {"params.yaml": before["params.yaml"], "studies.yaml": expected}
    assert not capsys.readouterr().err


def test_where_a_user_has_edited_the_same_line_it_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    def edit() -> None:
        path = Path("params.yaml")
        path.write_text(path.read_text().replace("    seeds: 3\n", "    seeds: 4\n"))

    with pytest.raises(KeyboardInterrupt):
        interrupted(edit)
    assert "    seeds: 4\n" in Path("params.yaml").read_text()
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "params.yaml: edited where `seeds` was raised; undo that by hand"


def killed() -> None:
    """Raise them in a process that is killed."""
    code = "import os, signal; from convlab.campaign.raised_seeds import raised_seeds as r\n"
    code += "with r({'digits': 3}): os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", code])
    assert done.returncode == -signal.SIGKILL
    assert "    seeds: 3\n" in Path("params.yaml").read_text()


def test_what_a_killed_campaign_left_is_taken_back_by_the_next_command(convlab: Command) -> None:
    before = texts()
    killed()
    status, _, err = convlab("validate")
    assert status == 0
    told = "`seeds` is as it was before a campaign that was killed\n"
    assert err == f"params.yaml: {told}studies.yaml: {told}"
    assert texts() == before
    assert not Path(".convlab/before").exists()


def test_after_a_kill_too_what_a_user_writes_stays() -> None:
    before = texts()
    killed()
    mine = "# mine\n"
    Path("params.yaml").write_text(mine + Path("params.yaml").read_text())
    lower_left()
    assert texts() == {**before, "params.yaml": mine + before["params.yaml"]}


def test_after_a_kill_what_a_user_has_committed_stays() -> None:
    """The user has trained them with `dvc repro`."""
    killed()
    for command in ("init -q", "add .", "-c user.name=me -c user.email=me@example.org commit -qm mine"):
        subprocess.run(["git", *command.split()], check=True)
    committed = texts()
    lower_left()
    assert texts() == committed
    assert not Path(".convlab/before").exists()


def test_a_file_that_a_user_has_removed_stays_removed() -> None:
    before = texts()
    with pytest.raises(KeyboardInterrupt):
        interrupted(Path("studies.yaml").unlink)
    assert not Path("studies.yaml").exists()
    assert Path("params.yaml").read_text() == before["params.yaml"]


def test_they_are_taken_back_on_a_full_disk(full_disk: Callable[[], None]) -> None:
    lay_out()
    before = texts()
    with raised_seeds({"named": 3}):
        full_disk()
    assert texts() == before


def test_they_are_taken_back_from_another_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    before = texts()
    replace = os.replace

    def across(source: Path | str, target: Path) -> None:
        if Path(source).parent.name == "before" and Path(target).parent.name != "before":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(source, target)

    with raised_seeds({"named": 3}):
        monkeypatch.setattr(os, "replace", across)
    assert texts() == before


def test_what_cannot_be_edited_fails_alone_and_the_next_is_trained(
    convlab: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a repository of DVC both fail, but the second one because of that."""
    monkeypatch.setattr(os, "nice", lambda _: 0)
    path = Path("studies.yaml")
    path.write_text(path.read_text().replace("  named:\n", '  "named":\n'))
    before = texts()
    with (
        pytest.raises(InputError, match=r"sweeps\.named: found no line that begins with `named:`"),
        raised_seeds({"named": 3}),
    ):
        raise AssertionError
    status, out, err = convlab("campaign", "named", "look", "--seeds", "3")
    assert status == 1
    assert "campaign: named: sweeps.named: found no line" in err
    assert "campaign: look: sweeps.look.seeds: 3" not in out
    assert "campaign: sweeps.look.seeds: 3\n" in out, "trained after it, or before"
    assert "campaign: named: failed\n" in out
    assert "2 failed; 2 left" in out
    assert texts() == before
