"""Chosen test images on their way: from what resolve wrote to the stage, and from the figure to the book."""

from collections.abc import Callable
from pathlib import Path

import pytest
from results_world import picture

from convlab import files
from convlab.book.images import Images
from convlab.config import load_feature_maps
from convlab.errors import InputError
from convlab.pipeline.identity import dump_code
from convlab.schema import Experiment


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("chosen", [[], ["3/0"], ["a, b/1", 'it\'s "c"/0']])
def test_the_stage_reads_what_its_drawing_depends_on(
    chosen: list[str], recipe: Callable[..., Experiment]
) -> None:
    path = files.code("digits", "draw")
    files.write_text(path, dump_code(recipe(), chosen)["draw"])
    assert load_feature_maps(path) == chosen


def test_what_resolve_did_not_write_is_one_line() -> None:
    with pytest.raises(InputError, match=r"draw\.yaml: not there; `dvc repro resolve` writes it"):
        load_feature_maps(files.code("digits", "draw"))


def test_the_book_names_a_chosen_image() -> None:
    for name in ("features_frog_0.png", "features_correct.png"):
        picture(files.PLOTS / "net/figures" / name)
    book = Path("book")
    book.mkdir()
    captions = {Path(one.address).stem: (one.caption, one.section) for one in Images(book).of("net")}
    assert captions == {
        "features_correct": ("Feature maps, layer by layer, of a correct image", "inside"),
        "features_frog_0": ("Feature maps, layer by layer, of a chosen image: frog, number 0", "inside"),
    }
