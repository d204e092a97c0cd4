"""The scripts for a GPU machine (bench/gpu.md): what they run, and what they bring back."""

import tarfile
from io import BytesIO
from os import urandom
from pathlib import Path

import pytest
import yaml
from conftest import PARAMS, ROOT

import time_to_accuracy
from convlab import files
from convlab.errors import InputError
from convlab.train.history import History
from dry_run import commands, named, reduced
from pack_results import PIECE, ROOM, main, shares, write_pieces
from peers.airbench import last_seconds
from target_table import target_table
from time_to_accuracy import seconds_to

PAGE = (ROOT / "bench/gpu.md").read_text()
LINES = commands(PAGE)


def sized(folder: Path, *megabytes: int) -> list[Path]:
    paths = [folder / f"{number}.safetensors" for number in range(len(megabytes))]
    for path, size in zip(paths, megabytes, strict=True):
        with path.open("wb") as file:
            file.truncate(size << 20)
    return paths


def test_every_row_of_the_page_has_a_command() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert len(rows) == len(LINES) > 15
    assert all("OUT=" in command for command in LINES.values())


@pytest.mark.parametrize("line", LINES)
def test_what_a_command_names_is_in_params_or_in_the_repository(line: str) -> None:
    command = LINES[line]
    if "python3" in command:
        script = command.split("python3 ")[1].split()[0]
        assert script == "-m" or (ROOT / script).is_file()
    else:
        assert named(command, yaml.safe_dump(PARAMS))


def test_all_experiments_and_sweeps_but_the_smoke_tests_are_on_the_page() -> None:
    on_page = {word for command in LINES.values() for word in command.replace(";", " ").split()}
    wanted = {*PARAMS["experiments"], *PARAMS["sweeps"]}
    assert wanted - on_page == {
        "digits_stride_kernel",
        "smoke",
        "smoke_large",
        "fashion_preact_engines",
    }


def test_a_dry_run_has_few_epochs_seeds_and_steps() -> None:
    command = "OUT=out bench/gpu.sh -S sweeps.a.overrides.epochs=40 -S sweeps.a.seeds=3 a"
    assert reduced(command) == "OUT=out bench/gpu.sh -S sweeps.a.overrides.epochs=2 -S sweeps.a.seeds=2 a"
    assert reduced("x --seeds 20 --peer .gpu/b.py --out o") == "x --seeds 2 --out o"


def test_weights_come_back_in_shares_that_fit(tmp_path: Path) -> None:
    paths = sized(tmp_path, 20, 20, 20, 43, 43, 10)
    sizes = [[path.stat().st_size >> 20 for path in share] for share in shares(paths, 30 << 20)]
    assert sizes == [[20], [20, 20], [43], [43, 10]]
    assert all(sum(share) << 20 <= ROOM for share in sizes)
    assert shares(paths[:1], 0) == [[], paths[:1]]
    assert shares([], 10) == [[]]


def test_pieces_together_are_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = (tmp_path / "weights").write_bytes(urandom(PIECE + 1000))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/results.tar.gz.07").write_bytes(b"of the last time")
    write_pieces(Path("out"), [Path("weights")])
    pieces = sorted(Path("out").iterdir())
    assert [path.name for path in pieces] == ["results.tar.gz.00", "results.tar.gz.01"]
    with tarfile.open(fileobj=BytesIO(b"".join(path.read_bytes() for path in pieces))) as tar:
        assert tar.getmember("weights").size == content


def test_what_does_not_fit_is_named_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = files.MODELS / "resnets"
    folder.mkdir(parents=True)
    sized(folder, 43, 43)
    files.write_json(files.METRICS / "resnets/trials.json", [])
    monkeypatch.setattr("sys.argv", ["pack_results.py", "out", "resnets"])
    main()
    assert capsys.readouterr().out == f"did not fit: OUT=out bench/gpu.sh bring {folder}/1.safetensors\n"
    with tarfile.open("out/results.tar.gz.00") as tar:
        assert tar.getnames() == ["metrics/resnets/trials.json", f"{folder}/0.safetensors"]


def test_without_the_data_set_nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(files, "RAW", tmp_path)
    out = tmp_path / "out.json"
    monkeypatch.setattr("sys.argv", ["x", "mnist_best", "--target", "0.9", "--out", str(out)])
    with pytest.raises(InputError, match="mnist: not there; `dvc repro download` fetches it"):
        time_to_accuracy.main()
    assert not out.exists()


def test_the_seconds_to_a_target_are_those_of_training_until_validation_reached_it() -> None:
    history = History(training_seconds=[1.0, 2.0, 4.0])
    history.records = [{"validation_accuracy": accuracy} for accuracy in (0.5, 0.9, 0.8)]
    assert seconds_to(0.9, history) == 3.0
    assert seconds_to(0.95, history) is None


def test_the_table_has_a_row_for_each_way_that_ran() -> None:
    ours = [
        {"test_accuracy": 0.94, "seconds": 3.0, "seconds_to_target": 2.0},
        {"test_accuracy": 0.95, "seconds": 5.0, "seconds_to_target": None},
    ]
    results = {"target": 0.94, "experiment": "fast", "epochs": 8, "ours": ours, "peer": []}
    results |= {"device_name": "a GPU", "python": "3.12", "torch": "2.11", "precision": "bf16"}
    row = target_table(results).splitlines()[-1]
    assert row == (
        "| convlab, `fast`, 8 epochs | 2 | 94.50 ± 0.71 % | 4.0 (3.0–5.0) | 2.0 (2.0–2.0) in 1 of 2 |"
    )
    results["peer"] = [{"test_accuracy": 0.94, "seconds": 3.0}]
    assert target_table(results).splitlines()[-1] == "| airbench94_muon | 1 | 94.00 % | 3.0 (3.0–3.0) | – |"


def test_airbenchs_seconds_are_the_last_column_of_its_last_row() -> None:
    printed = "|  0  |  1  |  0.6  |  1.2345  |\n|     |  eval  |  0.94  |  2.5900  |\n-----------\n"
    assert last_seconds(printed) == 2.59
