"""A real campaign on the digits: killed, blocking a second one, resumed, out of time, and with more seeds."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from clones import Clone

pytestmark = [pytest.mark.pipeline, pytest.mark.campaign]

CAMPAIGN = (sys.executable, "-c", "from convlab.cli import main; main()", "campaign", "second")


@pytest.fixture
def other(clone: Clone) -> Iterator[Clone]:
    """Add an experiment that has never run, of some seconds."""

    def add(params: dict) -> None:
        params["experiments"]["second"] = {**params["experiments"]["digits"], "epochs": 60}

    clone.edit(add)
    yield clone
    clone.run("git", "reset", "-q", "--hard")
    clone.run("git", "clean", "-fdxq", "metrics", "plots")  # -x: steps, which the next test would commit
    clone.run("git", "clean", "-fdq", "data")
    clone.run("dvc", "checkout", "-q", status=None)


def begun(
    clone: Clone, command: Sequence[str] = CAMPAIGN, says: bytes = b"second epoch"
) -> subprocess.Popen[bytes]:
    """Start a campaign, and wait until it `says` that its training is under way."""
    environment = clone.environment | {"PYTHONPATH": "src"}
    process = subprocess.Popen(
        command,
        cwd=clone.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout
    said = b""
    for line in process.stdout:
        if says in line:
            return process
        said += line
    raise AssertionError(f"it ended before its first epoch:\n{said.decode()}")


def group(clone: Clone) -> int:
    """Return the process group of the campaign's `dvc repro`."""
    return int((clone.folder / ".convlab/campaign.lock").read_text().rpartition(" ")[2])


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    assert process.stdout
    out = process.stdout.read().decode()
    return process.wait(), out


def test_it_is_interrupted_and_resumes_to_a_result_of_dvc(other: Clone) -> None:
    params = (other.folder / "params.yaml").read_text()
    running = begun(other)
    os.killpg(group(other), signal.SIGSTOP)  # on a fast machine it would be over before it is asked to end
    refused = other.run("convlab", "campaign", "second", status=2)
    assert "a campaign is running here (process" in refused.stdout
    running.send_signal(signal.SIGTERM)
    os.killpg(group(other), signal.SIGCONT)
    status, out = ended(running)
    assert status == 128 + signal.SIGTERM, out
    assert "run it again to resume" in out
    assert (other.folder / "params.yaml").read_text() == params

    running = begun(other)  # and it is killed, with all that it started
    left = group(other)
    running.kill()
    os.killpg(left, signal.SIGKILL)
    ended(running)
    assert (other.folder / "params.yaml").read_text() != params
    while True:  # a stage ends when its dvc process is gone
        try:
            os.killpg(left, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)

    done = other.run("convlab", "campaign", "second").stdout
    assert "second: resuming at epoch" in done
    assert "campaign: second: done" in done
    assert "1 done; 0 left" in done
    assert (other.folder / "params.yaml").read_text() == params
    assert "train@second" in yaml.safe_load((other.folder / "dvc.lock").read_text())["stages"]
    assert (other.folder / "metrics/second/scores.json").exists()
    (to_keep,) = re.findall(r"to keep the results: `make report`, then `(git add [^`]+)`", done)
    other.run("bash", "-c", to_keep)
    status = other.run("git", "status", "--porcelain").stdout.splitlines()
    assert any("metrics/second/scores.json" in line for line in status)
    assert all(line[1] == " " for line in status), "it names all that a campaign writes"
    assert "Running stage" not in other.run("dvc", "repro").stdout, "it has left DVC as it is after `repro`"
    assert "nothing trained; 0 left" in other.run("convlab", "campaign", "second").stdout


def test_its_terminal_is_closed_and_it_resumes(other: Clone) -> None:
    # It is under way when it is asked to end, on any machine
    endless = {"epochs": 5000, "early_stopping": None}
    other.edit(lambda params: params["experiments"]["second"].update(endless))
    params = (other.folder / "params.yaml").read_text()
    process, terminal = pty.fork()
    if process == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup make test-campaigns` has it ignored
        os.chdir(other.folder)
        os.execve(CAMPAIGN[0], CAMPAIGN, other.environment | {"PYTHONPATH": "src"})
    said = b""
    while not re.search(rb"[1-9]\.\d/5000", said):  # its epochs, in a live table
        said += os.read(terminal, 1 << 16)
    os.close(terminal)
    os.waitpid(process, 0)
    assert (other.folder / "params.yaml").read_text() == params
    running = begun(other, says=b"second: resuming at epoch")
    running.send_signal(signal.SIGTERM)
    assert ended(running)[0] == 128 + signal.SIGTERM


def test_it_goes_on_in_another_clone_to_which_its_folder_is_copied(other: Clone, tmp_path: Path) -> None:
    other.edit(lambda params: params["experiments"]["second"].update(epochs=61))  # not in DVC's run cache
    other.commit("an experiment more")
    running = begun(other)
    running.send_signal(signal.SIGTERM)
    status, out = ended(running)
    assert status == 128 + signal.SIGTERM, out
    other.run("git", "clone", "-q", ".", str(tmp_path / "elsewhere"))
    shutil.copytree(other.folder / ".convlab", tmp_path / "elsewhere/.convlab")
    elsewhere = Clone(tmp_path / "elsewhere")
    done = elsewhere.run("convlab", "campaign", "second").stdout
    assert "second: resuming at epoch" in done
    assert "campaign: second: done" in done
    other.run("git", "reset", "-q", "--hard", "HEAD~1")


def test_it_starts_nothing_that_would_not_finish(other: Clone) -> None:
    done = other.run("convlab", "campaign", "second", "--for", "5s").stdout
    assert "not enough time left for second" in done
    assert "nothing trained; 1 left" in done
    assert not (other.folder / "metrics/second").exists()


def test_seeds_that_could_not_be_trained_are_not_left_in_params(other: Clone) -> None:
    params = (other.folder / "params.yaml").read_bytes()
    with (other.folder / "dvc.yaml").open("a") as file:
        file.write("stages: of two minds\n")
    done = other.run("convlab", "campaign", "second", "--seeds", "2", status=1)
    assert "experiments.second.seeds: 2" in done.stdout
    assert "campaign: second: failed" in done.stdout
    assert (other.folder / "params.yaml").read_bytes() == params


def test_more_seeds_that_are_interrupted_leave_the_result_and_the_settings(clone: Clone) -> None:
    clone.edit(lambda params: params.update(run_sweeps=[]))  # a selected one comes with `dvc repro`
    names = ("params.yaml", "studies.yaml", "metrics/digits_l2/trainings.json")
    before = {name: (clone.folder / name).read_bytes() for name in names}
    running = begun(clone, (*CAMPAIGN[:-1], "digits_l2", "--seeds", "4"), b"already finished, kept")
    os.killpg(group(clone), signal.SIGSTOP)
    assert not (clone.folder / names[2]).exists(), "DVC has removed it"
    assert "seeds: 4" in (clone.folder / ".convlab/params.yaml.before").read_text()
    running.send_signal(signal.SIGTERM)
    os.killpg(group(clone), signal.SIGCONT)
    status, out = ended(running)
    assert status == 128 + signal.SIGTERM, out
    assert {name: (clone.folder / name).read_bytes() for name in names} == before
    clone.run("git", "reset", "-q", "--hard")


def test_more_seeds_are_trained_beside_those_that_are_there(clone: Clone) -> None:
    folder = clone.folder / "metrics/digits_l2"
    before = json.loads((folder / "trainings.json").read_text())
    timings = json.loads((folder / "timing.json").read_text())
    command = ("convlab", "campaign", "digits_l2", "--seeds", "4")
    plan = clone.run(*command, "--plan").stdout
    assert re.search(r"digits_l2 +n = 3 of 4 +4 of 8", plan), "first seeds record steps"
    done = clone.run(*command).stdout
    assert "campaign: digits_l2: 4 of 8 trainings kept" in done
    assert done.count("already finished, kept") == 4
    after = json.loads((folder / "trainings.json").read_text())
    assert len(after) == 8
    assert [one for one in after if one in before] == before, "the first seeds to the last bit, too"
    now = json.loads((folder / "timing.json").read_text())
    assert sum(timings[key] == now[key] for key in timings) == 4
    assert not [*(clone.folder / ".convlab/trainings").glob("digits_l2/*")]
    assert "nothing trained; 0 left" in clone.run(*command).stdout
    assert "Running stage" not in clone.run("dvc", "repro").stdout
    clone.run("git", "reset", "-q", "--hard")
