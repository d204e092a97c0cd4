"""One name for one thing: no class or type of the package shares its name with another."""

import ast
from collections import Counter

import pytest
from repository import ROOT

PACKAGE = ROOT / "src/convlab"
# Changing these would change the code identity of results
SHARED = {
    "Muon": "the optimiser, and its section of params.yaml, which the code calls schema.training.Muon",
    "SGD": "R4's optimiser in NumPy, and the section schema.training.SGD",
    "Schedule": "what sets the learning rate, and the section schema.training.Schedule",
    "Rows": "rows of curves.csv, in two modules of figures",
}


def types_of(text: str) -> list[str]:
    """Return the classes of a module, and its names for types: assigned at the top, in capitalised words."""
    found = []
    for node in ast.parse(text).body:
        match node:
            case ast.ClassDef(name=name):
                found.append(name)
            case ast.Assign(targets=[ast.Name(id=name)]) if name[0].isupper() and not name.isupper():
                found.append(name)
    return found


def test_no_two_types_have_one_name() -> None:
    found = Counter(name for path in PACKAGE.rglob("*.py") for name in types_of(path.read_text("utf-8")))
    assert {name for name, times in found.items() if times > 1} == SHARED.keys()


@pytest.mark.parametrize(
    ("text", "types"),
    [("class SGD: ...", ["SGD"]), ("Kind = int", ["Kind"]), ("MOST = 3", []), ("text = a.b", [])],
)
def test_what_counts_as_a_type(text: str, types: list[str]) -> None:
    assert types_of(text) == types
