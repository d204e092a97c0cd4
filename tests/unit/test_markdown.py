"""Pages with generated parts: what is between two markers is replaced, and nothing else."""

from pathlib import Path

import pytest

from convlab import markdown
from convlab.errors import InputError

TEXT = "before\n<!-- R0 -->\nold\n<!-- /R0 -->\nafter\n"
NEW = TEXT.replace("old", "new")


def test_a_page_keeps_everything_but_the_part() -> None:
    page = Path("a.md")
    assert markdown.insert(TEXT, "R0", "new\n", page) == NEW
    with pytest.raises(InputError, match=r"a\.md: .*R1"):
        markdown.insert(TEXT, "R1", "new\n", page)


def test_a_page_is_rewritten(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text(TEXT, encoding="utf-8")
    markdown.rewrite(page, "R0", "new\n")
    assert page.read_text(encoding="utf-8") == NEW


def test_a_page_without_the_markers_stays(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text(TEXT, encoding="utf-8")
    with pytest.raises(InputError, match="R1"):
        markdown.rewrite(page, "R1", "new\n")
    assert page.read_text(encoding="utf-8") == TEXT


def test_a_row_takes_numbers_too() -> None:
    assert markdown.row(["a", 1, "", "–"]) == "| a | 1 |  | – |"
