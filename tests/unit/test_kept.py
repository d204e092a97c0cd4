"""A command that sees all that was computed leaves params.yaml as it was, however it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from repository import ROOT

from convlab import files
from convlab.config import load_params
from convlab.errors import InputError
from convlab.files import write_text
from convlab.pipeline.kept import MARK, cache, elsewhere, selecting, stages, write_timing
from convlab.pipeline.selection_lock import selection_lock

PARAMS = "run: [a]    # my own comment\nrun_sweeps: []\n"
LOCK = "stages:\n  train@b: {}\n  sweep@c: {}\n"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src")}
SEES = "import yaml; print(yaml.safe_load(open('params.yaml')))"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    Path("params.yaml").write_text(PARAMS)
    Path("dvc.lock").write_text(LOCK)


def kept(*command: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "convlab.pipeline.kept", *command]
    return subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True)


def killed_by(number: signal.Signals) -> int:
    """Send a signal while the command runs; return how the process ended."""
    waits = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]
    arguments = [sys.executable, "-m", "convlab.pipeline.kept", *waits]
    with subprocess.Popen(arguments, env=ENVIRONMENT, stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdout
        process.stdout.readline()  # the command runs
        assert Path("params.yaml").read_bytes().startswith(MARK)
        process.send_signal(number)
        ended = process.wait()
        if number == signal.SIGKILL:
            os.killpg(process.pid, signal.SIGKILL)  # the command, which keeps running
    return ended


def test_the_command_sees_everything_and_params_are_as_before() -> None:
    done = kept(sys.executable, "-c", SEES)
    assert done.stdout.strip() == "{'run': ['a', 'b'], 'run_sweeps': ['c']}"
    assert Path("params.yaml").read_text() == PARAMS
    assert kept(sys.executable, "-c", "raise SystemExit(3)").returncode == 3
    assert Path("params.yaml").read_text() == PARAMS


def test_a_lock_file_with_conflicts_is_one_line() -> None:
    Path("dvc.lock").write_text("schema: '2.0'\n<<<<<<< HEAD\nstages: {}\n")
    with pytest.raises(InputError, match=r"dvc.lock: not what DVC writes; resolve the conflicts in it"):
        stages()


def test_dvc_is_that_of_this_environment_whatever_is_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "PATH", "")
    done = kept("dvc", "version")
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["DVC", "version:"])
    assert Path("params.yaml").read_text() == PARAMS


def test_a_command_that_cannot_be_run_is_one_line() -> None:
    for name, why in (("nonsense", "No such file or directory"), ("./params.yaml", "Permission denied")):
        done = kept(name)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"found the command '{name}', which cannot be run: {why}" in done.stderr
        assert Path("params.yaml").read_text() == PARAMS


def test_without_a_repository_of_dvc_there_is_no_cache(tmp_path: Path) -> None:
    assert cache(tmp_path) is None
    assert elsewhere() == set()


def test_what_another_machine_computed_is_no_question_of_dvc_gc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`a` is here, `b` is not but for data that it shares with `a`, of `c` is a part here that is its own."""
    outs = {
        "preprocess@a": ["00a1.dir"],
        "train@a": ["00a2.dir"],
        "preprocess@b": ["00a1.dir"],
        "train@b": ["00b2.dir"],
        "preprocess@c": ["00c1.dir"],
        "train@c": ["00c2.dir"],
    }
    stages = {name: {"outs": [{"md5": md5} for md5 in found]} for name, found in outs.items()}
    Path("dvc.lock").write_text(json.dumps({"stages": stages}))
    write_text(tmp_path / ".dvc/config", "[core]\nno_scm = true\nanalytics = false\ncheck_update = false\n")
    for md5 in ("a1.dir", "a2.dir", "c1.dir"):
        write_text(tmp_path / ".dvc/cache/files/md5/00" / md5, "[]")
    monkeypatch.setenv("PATH", "")
    assert elsewhere() == {"b"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_asked_to_end_it_puts_params_back(number: signal.Signals) -> None:
    assert killed_by(number) == 128 + number
    assert Path("params.yaml").read_text() == PARAMS


def test_after_a_kill_the_next_one_puts_params_back() -> None:
    assert killed_by(signal.SIGKILL) == -signal.SIGKILL
    assert Path("params.yaml").read_text() != PARAMS
    assert kept("true").returncode == 0
    assert Path("params.yaml").read_text() == PARAMS


def test_while_a_campaign_runs_nothing_changes_its_selection() -> None:
    with selecting(["a"], []):
        marked = Path("params.yaml").read_bytes()
        with selection_lock():
            done = kept("true")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "a campaign is running here (process" in done.stderr
        assert Path("params.yaml").read_bytes() == marked


def test_while_it_runs_no_campaign_begins() -> None:
    waits = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]
    arguments = [sys.executable, "-m", "convlab.pipeline.kept", *waits]
    with subprocess.Popen(arguments, env=ENVIRONMENT, stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(InputError, match=r"python.* is running here \(process \d+\)"), selection_lock():
            pass
        os.killpg(process.pid, signal.SIGTERM)
    with selection_lock():
        pass


def test_params_edited_in_the_meantime_stay() -> None:
    killed_by(signal.SIGKILL)
    Path("params.yaml").write_text("run: [mine]\nrun_sweeps: []\n")
    kept("true")
    assert Path("params.yaml").read_text() == "run: [mine]\nrun_sweeps: []\n"


def test_params_are_put_back_on_a_full_disk(full_disk: Callable[[], None]) -> None:
    Path("params.yaml").write_text(PARAMS)
    with selecting(["b"], []):
        assert Path("params.yaml").read_bytes().startswith(MARK)
        full_disk()
    assert Path("params.yaml").read_text() == PARAMS
    Path("ballast").unlink()
    full_disk()
    with pytest.raises(OSError, match="No space left"), selecting(["b"], []):
        raise AssertionError("it began without a copy")
    assert Path("params.yaml").read_text() == PARAMS


def test_on_a_full_disk_a_command_ends_with_one_line(full_disk: Callable[[], None]) -> None:
    Path("params.yaml").write_text(PARAMS)
    Path("dvc.lock").write_text(LOCK)
    full_disk()
    done = kept("true")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no space left on the disk; make room, then run it again" in done.stderr
    assert Path("params.yaml").read_text() == PARAMS


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize("experiment", ["quick-lark", None])
def test_the_commit_of_a_dvc_experiment_has_the_clock_of_a_new_result(
    experiment: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if experiment is None:
        monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    else:
        monkeypatch.setenv("DVC_EXP_NAME", experiment)
    git("init", "-q")
    write_timing("new", {"seconds": 1.5})
    assert files.read_json(Path("metrics/new/timing.json")) == {"seconds": 1.5}
    # DVC commits what git's index knows: without an experiment the index is its user's own
    assert git("ls-files") == ("metrics/new/timing.json\n" if experiment else "")


def test_outside_of_git_a_clock_is_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "quick-lark")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(Path.cwd().parent))
    write_timing("new", {})
    assert files.read_json(Path("metrics/new/timing.json")) == {}


def test_params_are_as_before_after_a_selection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(text)
    Path("studies.yaml").write_text((ROOT / "studies.yaml").read_text())

    def interrupted() -> None:
        with selecting(["mnist_vgg"], []):
            assert load_params().run == ["mnist_vgg"]
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert Path("params.yaml").read_text() == text
