"""The wording for distances of feature maps."""

import pytest

from convlab import files
from convlab.results import observations


def summary(start, end, pairs=40):
    layer = lambda median: {  # noqa: E731
        "taken_for": {"median": median},
        "two_right": {"median": 0.4},
        "nearer_to_taken_for": 0.55,
    }
    return {"pairs": pairs, "layers": {"input": layer(0.1), "one": layer(start), "last": layer(end)}}


@pytest.mark.parametrize(
    ("start", "end", "moved", "met"),
    [
        (0.8, 0.2, "comes nearer to", "nearly coincides with it"),
        (0.6, 0.9, "moves away from", "does not coincide with it"),
        (0.6, 0.58, "stays as far from", "does not coincide with it"),
    ],
)
def test_the_words_follow_the_numbers(start, end, moved, met):
    said = observations.of_network(summary(start, end))
    assert f"a misclassified image {moved} the correctly classified image" in said
    assert f"({start:.2f} → {end:.2f}; 1 is typical" in said
    assert met in said
    assert "55% of 40 misclassified images" in said


def test_a_network_without_pairs_is_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert observations.text() == "Nothing has been measured.\n"
    files.write_json(files.PLOTS / "a/figures/pairs.json", {"pairs": 0, "layers": {}})
    files.write_json(files.PLOTS / "b/figures/pairs.json", summary(0.8, 0.2))
    assert observations.text().startswith("* **b**: ")
    assert observations.text().count("\n") == 1
