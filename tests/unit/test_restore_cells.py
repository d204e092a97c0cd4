"""Images of confusion matrices, for results whose figures were drawn before the stage wrote them."""

import pytest
from params import write

from bench.gpu import restore_cells
from convlab import files
from convlab.data.catalogue import DATASETS
from convlab.data.readers.registry import read
from convlab.data.sources import fetch
from convlab.errors import InputError


@pytest.fixture
def labels(tmp_path, monkeypatch):
    """Return the names of the digits' test labels, in an empty repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONVLAB_MIRROR", raising=False)
    monkeypatch.setattr("sys.argv", ["restore_cells.py"])
    write(tmp_path, {})
    fetch("digits", files.RAW, mirror=None)
    return [DATASETS["digits"].classes[label] for label in read("digits", files.RAW).test_labels]


def put_matrix(actual, predicted):
    rows = [{"actual": a, "predicted": b} for a, b in zip(actual, predicted, strict=True)]
    files.write_csv(files.PLOTS / "digits/confusion.csv", rows)


def test_each_cell_of_the_matrix_gets_its_images(labels, capsys):
    put_matrix(labels, ["3" if number == 5 else label for number, label in enumerate(labels)])
    restore_cells.main()
    (wrong,) = (
        cell
        for cell in files.read_json(files.PLOTS / "digits/figures/cells.json")["cells"]
        if cell["actual"] != cell["predicted"]
    )
    assert wrong["actual"] == labels[5]
    assert (wrong["predicted"], wrong["images"]) == ("3", [5])
    assert capsys.readouterr().out.startswith("cells: digits: ")
    restore_cells.main()
    assert not capsys.readouterr().out


def test_a_matrix_of_other_images_is_refused(labels):
    put_matrix(labels[::-1], labels)
    with pytest.raises(InputError, match=r"digits/confusion\.csv: its true classes are not those"):
        restore_cells.main()
