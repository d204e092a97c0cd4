"""params.yaml is read by two parsers: ours (PyYAML, YAML 1.1) and DVC's (ruamel.yaml, YAML 1.2).

DVC's is in C where `ruamel.yaml.clib` is installed, else in Python (`pure`).
"""

import math
import platform
from pathlib import Path
from typing import Any

import pytest
from params import ROOT, load, refusal, write
from ruamel.yaml import YAML
from ruamel.yaml.parser import Parser

from convlab.config import load_params, read_yaml
from convlab.errors import InputError
from convlab.schema import number

PLAIN = """
0 00 07 0_7 010 0100 -017 +0100 08 089 0o17 0O17 0x1F 0X1F 0x_1 +0x1F 0b11 0B11 -0b1 0b2
1_000 1_000.5 1__0 1_ 1_0e3 1.0_0 12 +12 -12 20250318 1.2.3 0.0.1 1e 1e-5_0
1:30 -1:30 1:30:15 190:20:30.15 1:30. 0:30 01:30
true True TRUE tRue false False yes Yes YES no No NO on On ON off Off OFF y Y n N
null Null NULL ~ .inf -.inf +.inf .Inf .nan .NaN inf nan
1e-05 1e5 1E5 1e+5 1.e5 1.0e5 1.5e3 1.0e-5 1.0e+5 12e03 1e400 0100e1 .5 .5e3 .5e+3 5. +.5 -.5
00.1 010.5 -1.5 1_0.0e+5 ._5
2025-03-18 2025-3-8 2001-12-14t21:59:43.10-05:00 2001-12-14T21:59:43Z
"""
DIFFERENT = """
010 0100 -017 +0100 1:30 -1:30 1:30:15 190:20:30.15 1:30.
yes Yes YES no No NO on On ON off Off OFF
"""
REFUSED = [*DIFFERENT.split(), "!!int 0100"]
FORMS = [*PLAIN.split(), "2001-12-14 21:59:43", "'0100'", "'yes'", "!!int 0100", "!!float 0100", "!!str 0100"]


def ours(folder: Path, text: str) -> Any:
    path = folder / "a.yaml"
    path.write_text(text)
    return read_yaml(path)


def equal(one: Any, other: Any) -> bool:
    """Tell whether two values are one, of one type, which a time with its zone is of two libraries."""
    both_nan = all(isinstance(value, float) and math.isnan(value) for value in (one, other))
    return both_nan or (type(one) is type(other) and one == other)


@pytest.mark.skipif(platform.python_implementation() != "CPython", reason="it is an extension of CPython")
def test_dvc_reads_its_files_by_a_parser_in_c() -> None:
    assert YAML(typ="safe").Parser is not Parser, "pip install --require-hashes -r requirements.lock"


@pytest.mark.parametrize("name", ["dvc.yaml", "params.yaml"])
def test_both_parsers_of_dvc_read_the_same_of_our_files(name: str) -> None:
    text = (ROOT / name).read_text()
    assert YAML(typ="safe").load(text) == YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("pure", [False, True])
@pytest.mark.parametrize("form", [form for form in FORMS if form not in REFUSED])
def test_what_is_read_is_what_dvc_reads(tmp_path: Path, form: str, pure: bool) -> None:
    found, theirs = ours(tmp_path, f"a: {form}\n")["a"], YAML(typ="safe", pure=pure).load(f"a: {form}\n")["a"]
    if type(found) is not type(theirs):
        # Text to us: where the schema wants a fraction, it is DVC's number or none at all; nowhere an integer
        assert isinstance(found, str)
        assert isinstance(theirs, int | float)
        found = number(found)
        assert isinstance(found, str) or found == theirs
    else:
        assert equal(found, theirs)


@pytest.mark.parametrize("form", REFUSED)
@pytest.mark.parametrize("text", ["a: 1\nb: {}\n", "a: 1\n? {}\n: 1\n", "a: 1\nb: [1, {}]\n"])
def test_what_the_two_read_differently_is_refused_wherever_it_stands(
    tmp_path: Path, form: str, text: str
) -> None:
    content = text.format(form)
    assert ours(tmp_path, content.replace(form, "1")) is not None
    with pytest.raises(InputError, match=r"line 2: found .* in YAML 1.1 and .* as DVC reads it; write "):
        ours(tmp_path, content)


@pytest.mark.parametrize(
    ("key", "form", "found", "theirs", "instead"),
    [
        ("batch_size", "0100", "64", "100", "64 or 100"),
        ("lr", "1:30", "90", "text", "90 or '1:30' in quotes"),
        ("compile", "on", "true", "text", "true or 'on' in quotes"),
    ],
)
def test_the_line_says_what_to_write_instead(
    tmp_path: Path, key: str, form: str, found: str, theirs: str, instead: str
) -> None:
    path = write(tmp_path, {key: "SOMETHING"})
    lines = path.read_text().splitlines()
    line = lines.index(f"{key}: SOMETHING") + 1
    path.write_text(path.read_text().replace("SOMETHING", form))
    with pytest.raises(InputError) as error:
        load_params(path)
    told = f"found {form}, which is {found} in YAML 1.1 and {theirs} in 1.2, as DVC reads it; write {instead}"
    assert str(error.value) == f"{path}: line {line}: {told}"


def test_a_small_number_as_dvc_writes_it_is_a_number(tmp_path: Path) -> None:
    path = write(tmp_path, {"lr": "SOMETHING"})
    path.write_text(path.read_text().replace("SOMETHING", "1e-05"))
    assert load_params(path).experiments["digits"].lr == 1e-5


@pytest.mark.parametrize("text", ["08", "0o17", "1e3"])
def test_text_that_is_a_whole_number_to_dvc_is_none_to_the_schema(tmp_path: Path, text: str) -> None:
    assert "batch_size: found" in refusal(tmp_path, {"batch_size": text})


def test_a_name_that_looks_like_one_of_them_is_fine_in_quotes(tmp_path: Path) -> None:
    variants = {"on": {}, "0100": {"lr": 0.1}}
    named = load(tmp_path, {"sweeps/named/variants": variants}).sweeps["named"]
    assert [trial.name for trial in named.trials] == ["on", "on", "0100", "0100"]
