import csv
import json
import os
import re
import resource
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from repository import ROOT

from convlab import files
from convlab.errors import InputError, run


@contextmanager
def full_disk(left: int) -> Iterator[None]:
    """Make writes of more than `left` bytes to any file fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_rows_of_other_columns_are_not_written_as_one_table(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "curves.csv", [{"epoch": 1, "loss": 0.5}])
    with pytest.raises(ValueError, match="rows with epoch, loss and with epoch, loss, penalty"):
        files.write_csv(
            tmp_path / "curves.csv", [{"epoch": 1, "loss": 0.5}, {"epoch": 1, "loss": 0.5, "penalty": 0}]
        )
    assert (tmp_path / "curves.csv").read_text() == "epoch,loss\n1,0.5\n"


def test_a_write_creates_parent_folders_and_leaves_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "a/b/results.json"
    files.write_json(path, {"accuracy": 0.1, "name": "ü"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"accuracy": 0.1, "name": "ü"}
    assert list(path.parent.iterdir()) == [path]


def test_a_written_file_can_be_read_by_others(tmp_path: Path) -> None:
    files.write_text(tmp_path / "file", "text")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_what_json_cannot_hold_is_refused_and_the_old_file_stays(tmp_path: Path, value: object) -> None:
    path = tmp_path / "results.json"
    files.write_json(path, {"loss": 1})
    with pytest.raises((ValueError, TypeError)):
        files.write_json(path, {"loss": value})
    assert files.read_json(path) == {"loss": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fills_up_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_text(path, "old")
    with full_disk(left=100), pytest.raises(OSError, match="too large"):
        files.write_text(path, "new" * 1000)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_files_place_stays_and_leaves_no_temporary(tmp_path: Path) -> None:
    (tmp_path / "file/inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        files.write_text(tmp_path / "file", "text")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_reader_with_the_old_file_open_keeps_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_text(path, "old" * 1000)
    with path.open() as reader:
        files.write_text(path, "new")
        assert reader.read() == "old" * 1000
    assert path.read_text() == "new"


def test_a_csv_reads_back_equal_to_the_last_bit(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "loss": 0.1 + 0.2, "lr": 1e-05}, {"epoch": 2, "loss": 1 / 3, "lr": 5e-324}]
    files.write_csv(tmp_path / "curves.csv", rows)
    with (tmp_path / "curves.csv").open(newline="") as file:
        assert [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)] == rows
    assert files.read_curves(tmp_path / "curves.csv") == rows


def test_a_name_with_commas_quotes_or_lines_in_it_reads_back_equal(tmp_path: Path) -> None:
    rows = [{"actual": "a, b", "predicted": 'c "d"'}, {"actual": "e\nf", "predicted": ""}]
    files.write_csv(tmp_path / "confusion.csv", rows)
    with (tmp_path / "confusion.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == rows


def test_every_committed_csv_is_written_again_as_it_is(committed: Path, tmp_path: Path) -> None:
    paths = sorted(committed.rglob("*.csv"))
    assert len(paths) > 10
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            files.write_csv(tmp_path / "again.csv", csv.DictReader(file))
        assert (tmp_path / "again.csv").read_bytes() == path.read_bytes(), path


def test_curves_have_whole_seeds_and_named_trials(tmp_path: Path) -> None:
    rows = [
        {"trial": "1e-05", "epoch": 1, "loss": 0.5, "seed": 2**63 - 2},  # 63 bits: more than a float holds
        {"trial": "7", "epoch": 2, "loss": 0.25, "seed": 8},
    ]
    files.write_csv(tmp_path / "curves.csv", rows)
    found = files.read_curves(tmp_path / "curves.csv")
    assert found == rows
    assert [type(value) for value in found[0].values()] == [str, float, float, int]


def test_a_csv_of_no_rows_has_the_head_that_it_is_given(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "rows.csv", [], ("a", "b"))
    assert (tmp_path / "rows.csv").read_text() == "a,b\n"
    files.write_csv(tmp_path / "rows.csv", [{"a": 1}], ("a",))
    assert (tmp_path / "rows.csv").read_text() == "a\n1\n"


def test_a_csv_of_no_rows_is_written(tmp_path: Path) -> None:
    # a sweep of which every trial is infeasible has no curves
    files.write_csv(tmp_path / "curves.csv", [])
    assert files.read_curves(tmp_path / "curves.csv") == []


def test_tensors_read_back_equal(tmp_path: Path) -> None:
    tensors = {
        "floats": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "bytes": torch.arange(6, dtype=torch.uint8).view(2, 3).t(),
        "counter": torch.tensor(7),
    }
    files.write_tensors(tmp_path / "model.safetensors", tensors)
    found = files.read_tensors(tmp_path / "model.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("read", [files.read_json, files.read_tensors])
def test_a_missing_file_says_what_writes_it(tmp_path: Path, read: object) -> None:
    with pytest.raises(InputError, match=r"lost\.file: not there; `dvc repro` writes it"):
        read(tmp_path / "lost.file")  # type: ignore[operator]


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe", b'{"a": 1}{'])
@pytest.mark.parametrize("read", [files.read_json, files.read_tensors])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, read: object, content: bytes) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read(path)  # type: ignore[operator]
    assert str(error.value).startswith(f"{path}: unreadable (")
    assert str(error.value).endswith("remove it and run `dvc repro`")
    assert len(str(error.value).splitlines()) == 1


def test_a_model_cut_short_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    files.write_tensors(path, {"weight": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="unreadable"):
        files.read_tensors(path)


def test_each_training_has_weights_of_its_own() -> None:
    assert files.weights("digits", 1) == Path("data/models/digits/seed-1.safetensors")
    assert files.weights("digits", 2) == Path("data/models/digits/seed-2.safetensors")
    assert files.weights("lr", 1, "lr-0.1") == Path("data/models/lr/lr-0.1_seed-1.safetensors")
    assert files.training(1) == "seed-1"
    assert files.training(1, "lr-0.1") == "lr-0.1_seed-1"


def test_what_is_known_of_one_seed_stands_alone_and_of_several_under_seeds_too() -> None:
    first, second = {"seed": 1, "epochs": 3}, {"seed": 2, "epochs": 4}
    assert files.by_seed([first]) == first
    assert files.by_seed([first, second]) == {"seed": 1, "epochs": 3, "seeds": [first, second]}
    assert first == {"seed": 1, "epochs": 3}


def test_unfinished_work_belongs_to_the_real_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert files.scratch() == Path(".convlab")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))  # `dvc exp run --temp` works in a copy
    assert files.scratch() == tmp_path / ".convlab"


def test_an_input_error_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise InputError("lr: found -1; allowed: greater than 0")

    monkeypatch.setattr(sys, "argv", ["stages/train.py", "digits"])
    with pytest.raises(SystemExit) as exit_:
        run(main)
    assert exit_.value.code == 2
    assert capsys.readouterr().err == "train: lr: found -1; allowed: greater than 0\n"


@pytest.mark.parametrize(("result", "status"), [(None, 0), (0, 0), (1, 1)])
def test_what_a_command_returns_is_its_status(result: int | None, status: int) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(lambda: result)
    assert exit_.value.code == status


def test_a_bug_keeps_its_traceback() -> None:
    def main() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run(main)


@pytest.mark.parametrize("content", ["{", "", "[" * 100_000, '{"a": 1}}', "\x00"])
def test_damaged_json_is_one_line_that_names_the_file(tmp_path, content):
    path = tmp_path / "train.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"train\.json: unreadable .*; remove it and run `dvc repro`"):
        files.read_json(path)


@pytest.mark.parametrize(
    "content", ["epoch,loss\n1,x\n", "epoch,loss\n1\n", "epoch\n1,2\n", "seed\n1.5\n", '"a\n']
)
def test_damaged_curves_are_one_line_that_names_the_file(tmp_path, content):
    path = tmp_path / "curves.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=r"curves\.csv: unreadable .*; remove it and run `dvc repro`"):
        files.read_curves(path)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_what_links_into_a_cache_is_replaced_and_the_cache_stays(
    tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    cached, linked, new = (tmp_path / name for name in ("cached", "linked", "new"))
    cached.write_bytes(b"old")
    link(cached, linked)
    new.write_bytes(b"new")
    files.copy(new, linked)
    assert (cached.read_bytes(), linked.read_bytes()) == (b"old", b"new")
    assert not linked.is_symlink()


def test_nothing_in_the_pipeline_writes_through_a_link() -> None:
    """All writes go by `files`; the book builds a folder of its own, and puts it in place of the old."""
    writing = re.compile(r"copyfile|copy2|shutil\.copy|\.write_(text|bytes)\(|open\([^)]*[\"'][wax]")
    found = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (*ROOT.glob("stages/*.py"), *ROOT.glob("src/convlab/**/*.py"))
        if path.parent.name != "book" and path.name != "files.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if writing.search(line.replace("files.write_", ""))
    }
    into_temporary = {"src/convlab/data/sources.py"}
    into_no_output = {"src/convlab/pipeline/devices.py"}
    assert {one.split(":")[0] for one in found} == into_temporary | into_no_output, found
