"""docs/notebook.ipynb runs from its first cell to its last on what `dvc repro` leaves."""

import json

import pytest
from repository import ROOT

pytestmark = pytest.mark.pipeline

NOTEBOOK = ROOT / "docs/notebook.ipynb"
AFTER = """
assert set(frame["result"]) >= {"digits", "digits_l2/l2-0.0", "digits_l2/l2-0.001"}
assert mean["size"].tolist() == [3, 3]
assert answer.inverted and answer.framed and len(answer.best) == 10
assert len(explanation.axes) == 5
print("all cells ran")
"""


def cells() -> list[dict]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_kept_without_outputs() -> None:
    for cell in cells():
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


def test_every_cell_runs(clone) -> None:
    code = "\n".join("".join(cell["source"]) for cell in cells())
    (clone.folder / "docs").mkdir(exist_ok=True)
    started_below = "import os; os.chdir('docs')\n"
    done = clone.run(
        "python", "-c", started_below + code + AFTER, PYTHONPATH=str(clone.folder / "src"), MPLBACKEND="Agg"
    )
    assert done.stdout.endswith("all cells ran\n")
