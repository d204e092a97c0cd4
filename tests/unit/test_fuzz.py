"""Random damage to what is read, a little of it in every run: robustness/fuzz.py does the same at length."""

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from params import REPOSITORYS, ROOT, stage

from convlab import files
from convlab.config import dump_item, load_params
from convlab.files import read_json
from robustness import bad_inputs, fuzz, fuzz_readers
from robustness.fuzz import READERS, attempt
from robustness.mutations import TOKENS

REAL = (ROOT / "params.yaml").read_text(encoding="utf-8")
NAMES = [*REPOSITORYS["experiments"], *REPOSITORYS["sweeps"], "datasets"]
LINES = REAL.splitlines()
SEEDED = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,  # the same examples in every run of CI
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused_in_one_line(name: str) -> None:
    inputs = 20 if name == "params" else 150
    assert {attempt(name, random.Random(f"test/{name}/{number}")) for number in range(inputs)} <= {
        "read",
        "refused",
    }


@pytest.mark.parametrize("name", READERS)
def test_the_files_are_read_while_they_are_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_readers, "damaged", lambda content, chance: content)
    monkeypatch.setattr(fuzz_readers, "damaged_text", lambda content, chance: content)
    assert attempt(name, random.Random(3)) == "read"


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_readers, "BOMBS", 1.0)
    assert attempt("idx", random.Random(0)) == "refused"


def test_anything_but_one_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(chance: random.Random, folder: Path) -> Any:
        raise KeyError("data")

    monkeypatch.setitem(READERS, "broken", broken)
    assert attempt("broken", random.Random(0)) == "KeyError: 'data'"


# ---------------------------------------------------------------- params.yaml as it is, through the stage


def refused_or_whole(folder: Path, content: bytes) -> None:
    """Run the resolve stage: every file it makes, or one line, exit status 2 and nothing."""
    (folder / "params.yaml").write_bytes(content)
    shutil.copy(ROOT / "studies.yaml", folder)
    status, message = stage(folder, "resolve")
    made = sorted(path.name for path in folder.glob("data/configs/*"))
    if status == 0:
        assert "datasets.yaml" in made
    else:
        assert status == 2, message
        assert len(message.splitlines()) == 1
        assert message.startswith(("resolve: params.yaml: ", "resolve: studies.yaml: "))
        assert made == []


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return lambda: tmp_path_factory.mktemp("resolve")


def test_the_file_as_it_is_makes_every_configuration(folder: Any) -> None:
    where = folder()
    refused_or_whole(where, REAL.encode())
    assert sorted(path.name for path in where.glob("data/configs/*")) == sorted(
        f"{name}.yaml" for name in NAMES
    )


@pytest.mark.campaign
@SEEDED
@given(
    line=st.integers(0, len(LINES) - 1),
    text=st.sampled_from(TOKENS) | st.text(max_size=20),
    kind=st.sampled_from(["value", "line", "before", "gone", "twice", "indented"]),
)
def test_any_line_of_it_may_be_anything(folder: Any, line: int, text: str, kind: str) -> None:
    lines = list(LINES)
    old = lines[line]
    new = {
        "value": [f"{old.partition(':')[0]}: {text}"],
        "line": [text],
        "before": [text, old],
        "gone": [],
        "twice": [old, old],
        "indented": [f"  {old}"],
    }
    lines[line : line + 1] = new[kind]
    refused_or_whole(folder(), "\n".join(lines).encode("utf-8", "surrogatepass"))


@pytest.mark.campaign
@SEEDED
@given(at=st.integers(0, len(REAL)), gone=st.integers(0, 200), new=st.binary(max_size=40))
def test_any_bytes_may_stand_anywhere_in_it(folder: Any, at: int, gone: int, new: bytes) -> None:
    content = REAL.encode()
    refused_or_whole(folder(), content[:at] + new + content[at + gone :])


@pytest.mark.campaign
@SEEDED
@given(
    content=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_may_be_all_of_it(folder: Any, content: bytes) -> None:
    refused_or_whole(folder(), content)


# ---------------------------------------------------------------------------------------- what the tables say


def test_the_table_is_that_of_the_committed_campaign() -> None:
    results = read_json(fuzz.RESULTS)
    assert fuzz.table(results) in fuzz.PAGE.read_text(encoding="utf-8")
    assert set(results["readers"]) == set(READERS)
    for found in results["readers"].values():
        assert found["inputs"] == found["read"] + found["refused"] + len(found["problems"])


def test_the_table_of_bad_inputs_has_every_one_and_each_ended_as_it_should() -> None:
    text = fuzz.PAGE.read_text(encoding="utf-8")
    assert len(bad_inputs.CASES) >= 20
    for case in bad_inputs.CASES:
        row = next(line for line in text.splitlines() if line.startswith(f"| {case.title} | "))
        assert row.endswith(("| 2 |", "| 255 |"))


@pytest.mark.parametrize("case", bad_inputs.CASES, ids=lambda case: case.title)
def test_each_bad_input_can_still_be_made_of_what_is_committed(case: bad_inputs.Case, tmp_path: Path) -> None:
    for name in ("params.yaml", "studies.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    experiment = load_params(ROOT / "params.yaml").experiments["digits"]
    files.write_text(tmp_path / files.config("digits"), dump_item(experiment))
    for path in ("data/processed/digits/key/train.safetensors", "metrics/digits/evaluate.json"):
        files.write_text(tmp_path / path, "content")
    case.change(tmp_path)
