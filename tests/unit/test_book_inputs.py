"""The book is written again when anything that it reads has changed, and only then."""

import os
import sys
from pathlib import Path

import pytest
import results_world

from convlab import files
from convlab.book import inputs, site
from convlab.commands import pages


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        results_world.build(folder)
        site.write(files.BOOK)
    return folder


@pytest.fixture(autouse=True)
def here(world, monkeypatch):
    monkeypatch.chdir(world)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def test_a_book_of_the_same_inputs_is_left_as_it_is(capsys):
    front = files.BOOK / "index.html"
    before = {path: path.stat() for path in files.BOOK.rglob("*")}
    files.write_bytes(files.PARAMS, files.PARAMS.read_bytes())
    assert pages.book(files.BOOK, fetch=False) == 0
    assert {path: path.stat() for path in files.BOOK.rglob("*")} == before
    printed = capsys.readouterr().out
    assert printed.startswith(f"{front}: up to date\nthe explore page is left out: ")


@pytest.mark.parametrize(
    "path",
    [
        *(path if path.suffix else path / "digits/more.txt" for path in inputs.READ),
        *(path / "more.bin" for path in inputs.LARGE),
        files.BOOK / "compare.html",
        files.BOOK / inputs.KEPT,
        Path(".convlab/onnxruntime-web-1.30.0/more.wasm"),
    ],
    ids=str,
)
def test_a_changed_file_makes_it_out_of_date(path):
    content = path.read_bytes() if path.is_file() else None
    assert inputs.left_out_of_current(files.BOOK)
    files.write_bytes(path, (content or b"") + b"\n# more\n")
    assert inputs.left_out_of_current(files.BOOK) is None
    path.unlink()
    assert (inputs.left_out_of_current(files.BOOK) is None) == (content is not None)
    if content is not None:
        files.write_bytes(path, content)
    assert inputs.left_out_of_current(files.BOOK)


def test_a_package_that_is_installed_makes_it_out_of_date(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    assert inputs.left_out_of_current(files.BOOK)
    (tmp_path / "onnx-9.0.dist-info").mkdir()
    assert inputs.left_out_of_current(files.BOOK) is None


def test_a_page_that_was_removed_is_written_again(capsys):
    (files.BOOK / "reports/R0.html").unlink()
    assert pages.book(files.BOOK, fetch=False) == 0
    assert (files.BOOK / "reports/R0.html").is_file()
    assert "4 pages" in capsys.readouterr().out
    assert inputs.left_out_of_current(files.BOOK)


def test_every_file_that_is_opened_is_among_the_inputs(tmp_path):
    opened, watching = set[Path](), [True]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event == "open" and isinstance(arguments[0], (str, os.PathLike)):
            opened.add(Path(os.path.abspath(arguments[0])))

    sys.addaudithook(watch)
    site.write(tmp_path / "book")
    watching.clear()
    within = {path.relative_to(Path.cwd()) for path in opened if path.is_relative_to(Path.cwd())}
    assert within > {files.PARAMS, Path("reports.yaml"), Path("docs/reports.md")}
    known = [*inputs.READ, *inputs.LARGE]
    assert not {path for path in within if not any(path.is_relative_to(one) for one in known)}
