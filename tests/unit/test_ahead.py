"""What a stage shows of the rest of the selection: what is yet to be trained, and for how long here."""

import hashlib
from pathlib import Path

import pytest
import yaml
from params import write
from result import clock, evaluation, put, training

from convlab import files
from convlab.campaign.ahead import ahead_of, computed
from convlab.campaign.estimate import EACH, START
from convlab.config import dump_item, load_params
from convlab.pipeline.provenance import cpu_name
from convlab.train.progress import NOTHING, Ahead

SELECTED = {"run": ["digits", "fashion"], "run_sweeps": []}


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two selected experiments as `resolve` leaves them: digits was once trained here, in 12 seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("CONVLAB_EXECUTOR", raising=False)
    params = load_params(write(tmp_path, {**SELECTED, "early_stopping": None}))
    for name in SELECTED["run"]:
        files.write_text(files.config(name), dump_item(params.experiments[name]))
        files.write_text(files.code(name, "train"), f"models.{name}: abc\n")
    digits = params.experiments["digits"]
    configuration = digits.model_dump(mode="json", exclude_defaults=True)
    environment = {"device_name": cpu_name()}
    one = training("digits", digits.seed, configuration=configuration, environment=environment, epochs=30)
    put([one], [evaluation(one)], clock(one, seconds=12.0))


def train(name: str) -> None:
    """Do as DVC when a stage has ended: its dependencies into dvc.lock, its weights in place."""
    lock = Path("dvc.lock")
    stages = yaml.safe_load(lock.read_text())["stages"] if lock.exists() else {}
    paths = [files.config(name), files.code(name, "train")]
    deps = [{"path": str(path), "md5": hashlib.md5(path.read_bytes()).hexdigest()} for path in paths]
    deps.append({"path": f"data/processed/{name}", "md5": "0" * 32 + ".dir"})
    stages[f"train@{name}"] = {"cmd": "…", "deps": deps}
    prepare = files.code(name, "prepare")
    files.write_text(prepare, "data.preprocess: abc\n")
    md5 = hashlib.md5(prepare.read_bytes()).hexdigest()
    stages[f"preprocess@{name}"] = {"cmd": "…", "deps": [{"path": str(prepare), "md5": md5}]}
    lock.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    (files.MODELS / name).mkdir(parents=True)


def test_what_was_timed_here_counts_with_its_seconds() -> None:
    ahead = ahead_of("fashion")
    assert (ahead.results, ahead.untimed) == (1, 0)
    assert START + EACH + 12 < ahead.seconds < START + EACH + 15, "the training, and an evaluation"


def test_what_was_never_timed_here_is_counted_and_not_guessed() -> None:
    assert ahead_of("digits") == Ahead(1, 0.0, 1)


def test_with_another_executor_no_time_here_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVLAB_EXECUTOR", "ray")
    assert ahead_of("fashion") == Ahead(1, 0.0, 1)


def test_what_is_computed_is_not_ahead() -> None:
    train("digits")
    assert computed() == {"digits"}
    assert ahead_of("fashion") == NOTHING


@pytest.mark.parametrize("phase", ["prepare", "train"])
def test_computed_is_what_dvc_would_not_run(phase: str) -> None:
    train("digits")
    files.code("digits", phase).write_text("models.digits: edited\n")
    assert computed() == set()
    train("fashion")
    (files.MODELS / "fashion").rmdir()
    assert computed() == set(), "in a fresh clone dvc.lock is there, and no weights"


@pytest.mark.parametrize("text", ["", "run: [digits", "run: 3\nrun_sweeps: []\n"])
def test_a_file_that_is_being_edited_ends_no_training(text: str) -> None:
    Path("params.yaml").write_text(text)
    assert ahead_of("digits") == NOTHING
