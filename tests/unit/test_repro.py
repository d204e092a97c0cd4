"""`convlab repro` finds changed what DVC finds changed, and lets DVC compute it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from params import ROOT

from convlab.pipeline import repro

pytestmark = pytest.mark.pipeline
PIPELINE = """
stages:
  resolve:
    cmd: cp source shared
    deps: [source]
    outs: [shared]
  train:
    foreach: ${run}
    do:
      cmd: mkdir -p models/${item} && cp shared models/${item}/weights && cp shared ${item}.json
      deps: [shared, code]
      outs:
      - models/${item}
      metrics:
      - ${item}.json: {cache: false}
  visualize:
    foreach: ${run}
    do:
      cmd: mkdir -p figures/${item} && cp models/${item}/weights figures/${item}/curve
      deps:
      - models/${item}
      plots:
      - figures/${item}: {cache: false}
"""
DATA_SET = Path("imported/images.dvc")
CONVLAB_REPRO = [sys.executable, "-m", "convlab.cli", "repro"]
CALLBACK = "  note:\n    cmd: echo noted >> notes\n"


def dvc(*arguments: str, **options: Any) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments, "--quiet"], check=True, **options)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small pipeline of two experiments, reproduced, and a data set that DVC tracks."""
    folder = tmp_path_factory.mktemp("reproduced")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("run: [a, b]\n")
    (folder / "source").write_text("1")
    (folder / "code").write_text("1")
    environment = {**os.environ, "DVC_SITE_CACHE_DIR": str(folder / "site")}
    (folder / "imported/images").mkdir(parents=True)
    (folder / "imported/images/1").write_text("image")
    for command in (["init", "--no-scm"], ["add", "imported/images"], ["repro"]):
        dvc(*command, cwd=folder, env=environment)
    return folder


@pytest.fixture
def copy(reproduced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the pipeline, as the current folder."""
    shutil.copytree(reproduced, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    return tmp_path / "copy"


def found_by_dvc() -> set[str]:
    from dvc.repo import Repo

    with Repo() as repo:
        return set(repo.status())


def cached(name: str) -> Path:
    """The file of the cache that is an output."""
    entries = yaml.safe_load(Path("dvc.lock").read_text())["stages"].values()
    outs = [out for entry in entries for out in entry["outs"]]
    outs += [{**out, "path": "imported/images"} for out in yaml.safe_load(DATA_SET.read_text())["outs"]]
    (md5,) = (out["md5"] for out in outs if out["path"] == name)
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


def replace(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def append(path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(text)


CASES: dict[str, tuple[Callable[[], object], list[str]]] = {
    "nothing": (lambda: None, []),
    "a file was only touched": (lambda: os.utime("models/a/weights", (0, 0)), []),
    "a dependency of all": (lambda: Path("source").write_text("2"), ["resolve"]),
    "a dependency of two": (lambda: Path("code").write_text("2"), ["visualize@a", "visualize@b"]),
    "a dependency is gone": (lambda: Path("code").unlink(), ["visualize@a", "visualize@b"]),
    "an output": (lambda: Path("a.json").write_text("2"), ["visualize@a"]),
    "a file in an output": (lambda: Path("figures/b/curve").write_text("2"), ["visualize@b"]),
    "one file more": (lambda: Path("models/a/more").write_text("2"), ["visualize@a"]),
    "an output is gone": (lambda: shutil.rmtree("figures/b"), ["visualize@b"]),
    "the cache lacks a file": (lambda: cached("shared").unlink(), ["resolve", "visualize@a", "visualize@b"]),
    "the cache lacks a folder": (
        lambda: cached("models/b").unlink(),
        ["visualize@a", "visualize@b"],
    ),  # the same one
    "a command": (lambda: replace("dvc.yaml", "cmd: cp source", "cmd: cp -f source"), ["resolve"]),
    "one dependency more": (lambda: replace("dvc.yaml", "[source]", "[source, code]"), ["resolve"]),
    "one dependency fewer": (lambda: replace("dvc.yaml", "[shared, code]", "[shared]"), []),
    "one experiment more": (lambda: replace("params.yaml", "a, b", "a, b, c"), ["visualize@c"]),
    "one experiment fewer": (lambda: replace("params.yaml", "a, b", "b"), []),
    "no lock": (lambda: Path("dvc.lock").unlink(), ["resolve", "visualize@a", "visualize@b"]),
    "always": (
        lambda: replace("dvc.yaml", "    deps: [source]", "    deps: [source]\n    always_changed: true"),
        ["resolve"],
    ),
    "always, as it neither reads nor writes": (
        lambda: (append("dvc.yaml", CALLBACK), dvc("repro", "note")),
        ["note"],
    ),
    "two that experiments share": (
        lambda: (append("dvc.yaml", CALLBACK), Path("source").write_text("2")),
        ["resolve", "note"],
    ),
}
# What DVC has to tell, as the files beside dvc.yaml concern it, or as it fails
NOT_TOLD: dict[str, tuple[Callable[[], object], set[str] | str]] = {
    "a data set": (lambda: append("imported/images/1", "2"), {str(DATA_SET)}),
    "a data set is gone": (lambda: shutil.rmtree("imported/images"), {str(DATA_SET)}),
    "the cache lacks a data set": (lambda: cached("imported/images").unlink(), {str(DATA_SET)}),
    "a stage of another folder": (
        lambda: (Path("other").mkdir(), Path("other/dvc.yaml").write_text(f"stages:\n{CALLBACK}")),
        {"other/dvc.yaml:note"},
    ),
    "an output is ignored": (lambda: append(".dvcignore", "shared\n"), "is ignored by"),
    "an output's folder is ignored": (lambda: append(".dvcignore", "models/*\n"), "is ignored by"),
    "ignored within a folder": (
        lambda: Path("models/a/.dvcignore").write_text("x\n"),
        "should not be in collected dir path",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_dvc_finds_changed_is_reproduced(copy: Path, case: str) -> None:
    change, targets = CASES[case]
    change()
    assert repro.to_reproduce() == targets
    assert {one.partition("@")[2] for one in found_by_dvc()} == {one.partition("@")[2] for one in targets}


@pytest.mark.parametrize("case", NOT_TOLD)
def test_what_only_dvc_can_tell_is_left_to_it(copy: Path, case: str) -> None:
    change, found = NOT_TOLD[case]
    assert repro.to_reproduce() == []
    change()
    assert repro.to_reproduce() is None
    match found:
        case set():
            assert found_by_dvc() == found
        case str():
            with pytest.raises(Exception, match=found):
                found_by_dvc()


def convlab_repro(status: int = 0) -> str:
    done = subprocess.run(CONVLAB_REPRO, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == status, done.stdout
    return done.stdout


def test_the_command_runs_what_changed_and_nothing_else(copy: Path) -> None:
    assert convlab_repro() == "Data and pipelines are up to date.\n"
    Path("models/b/weights").write_text("another")
    said = convlab_repro()
    assert re.findall("Running stage '(.*)'|Stage '(train@b)' is cached", said) == [("", "train@b")]
    assert "@a" not in said
    assert Path("models/b/weights").read_text() == "1"
    Path("source").write_text("2")
    said = convlab_repro()
    ran = re.findall("Running stage '(.*)'", said)
    assert ran[0] == "resolve"
    assert sorted(ran[1:]) == ["train@a", "train@b", "visualize@a", "visualize@b"]
    assert found_by_dvc() == set()


def test_if_all_depend_on_a_change_without_effect_only_that_stage_runs(copy: Path) -> None:
    replace("dvc.yaml", "cmd: cp source", "cmd: cp -f source")
    said = convlab_repro()
    assert "Running stage 'resolve'" in said
    assert "@" not in said
    assert said.endswith("Data and pipelines are up to date.\n")


def test_many_changed_experiments_are_no_targets(copy: Path) -> None:
    names = [f"e{number}" for number in range(repro.FEW + 1)]
    replace("params.yaml", "a, b", ", ".join(["a", *names]))
    said = convlab_repro()
    assert "Stage 'train@a' didn't change, skipping" in said
    assert said.count("Running stage 'visualize@e") == len(names)


def test_a_failure_keeps_dvcs_words_and_status(copy: Path) -> None:
    replace("dvc.yaml", "cmd: cp source shared", "cmd: cp nowhere shared")
    assert "failed to reproduce 'resolve'" in convlab_repro(status=255)
    Path("dvc.yaml").write_text("stages: [")
    assert "dvc.yaml' is invalid" in convlab_repro(status=255)


def test_a_stage_that_always_runs_does_so_once(copy: Path) -> None:
    append("dvc.yaml", CALLBACK)
    assert convlab_repro().endswith("Data and pipelines are up to date.\n")
    assert Path("notes").read_text() == "noted\n"


def test_data_that_the_cache_lacks_is_not_up_to_date(copy: Path) -> None:
    append("imported/images/1", "2")
    replace("dvc.yaml", "deps: [source]", "deps: [source, imported/images]")
    assert "Verifying data sources in stage: 'imported/images.dvc'" in convlab_repro()
    assert repro.to_reproduce() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_to_it_alone_ends_it_and_its_stage(copy: Path, number: signal.Signals) -> None:
    replace("dvc.yaml", "cmd: cp source shared", "cmd: echo $$ > started && exec sleep 1000")
    started = Path("started")
    with subprocess.Popen(CONVLAB_REPRO, stderr=subprocess.PIPE, text=True) as process:
        while not (started.exists() and started.read_text()):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate()
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    assert process.returncode == 128 + number
    assert said.splitlines()[-1] == f"cli: {number.name}: `dvc repro` stopped; run it again to resume"


def test_the_last_stage_of_a_name_depends_on_all_others_of_it() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for selected in ("${run}", "${run_sweeps}"):
        of_a_name = {name: stage["do"] for name, stage in stages.items() if stage.get("foreach") == selected}
        needed, *others = reversed(of_a_name)
        found = {needed}
        for name in others:
            outs = [out for key in repro.WRITTEN for out in of_a_name[name].get(key, ())]
            written = {out if isinstance(out, str) else next(iter(out)) for out in outs}
            if any(written & set(of_a_name[one]["deps"]) for one in found):
                found.add(name)
        assert found == of_a_name.keys()
