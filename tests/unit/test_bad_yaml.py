"""What is no params.yaml at all, and what may stand anywhere in one: it loads, or one line refuses it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from params import VALID, load

from convlab.config import load_item, load_params, read_yaml
from convlab.errors import InputError


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"lr: 1\nlr: 2\n", ["line 2: key `lr` is given twice"]),
        (b"split:\n  method: last\n  method: random\n", ["line 3: key `method` is given twice"]),
        (b"lr: 1\nrun: [digits\nseed: 3\n", ["line 3: not valid YAML"]),
        (b"lr: 1\n\tseed: 3\n", ["line 2: not valid YAML", "\\t"]),
        (b"lr: 1\n--- \nlr: 2\n", ["line 2: not valid YAML"]),
        (b"lr: *nowhere\n", ["line 1: not valid YAML", "nowhere"]),
        (b"lr: !!python/object/apply:os.system ['true']\n", ["line 1: not valid YAML", "python/object"]),
        (b"lr: 1\nseed: !unknown 3\n", ["line 2: not valid YAML", "!unknown"]),
        (b"name: caf\xe9\n", ["unreadable", "utf-8"]),
        (b"\x00\x01", ["unreadable"]),
        (b"day: 2020-13-45\n", ["unreadable", "month"]),
        (b"[" * 3000, ["line 1: nested more than 20 deep"]),
        (b"- " * 3000, ["line 1: nested more than 20 deep"]),
        (b"lr: " + b"9" * 5000 + b"\n", ["line 1: found 999", "…; allowed: numbers of up to 1000 digits"]),
        (
            b"seed: 1\n? 0x" + b"f" * 5000 + b"\n: 1\n",
            ["line 2: found 0xfff", "…; allowed: numbers of up to"],
        ),
        (
            b"lr: " + b":".join([b"59"] * 3000) + b"\n",
            ["line 1: found 59:59:", "…; allowed: numbers of up to"],
        ),
        (b"x" * (4 << 20) + b"\n", ["more than 4,194,304 characters"]),
        (b"a: &a [*a]\n", ["line 1: `*a` contains itself"]),
        (b"- &a [1]\n- &b\n  - [*a, *b]\n", ["line 3: `*b` contains itself"]),
        (b"", ["found nothing", "a mapping"]),
        (b"- lr\n", ["found ['lr'] (list)", "a mapping"]),
        (b"lr\n", ["found 'lr' (str)", "a mapping"]),
        (b"1: 2\n", ["unknown key `1`"]),
        (b"~: 2\n", ["unknown key `None`"]),
        # tags and keys that YAML knows and that hold nothing sensible
        (b"? [a, b]\n: 1\n", ["line 1"]),
        (b"{a: 1}: 2\n", ["line 1"]),
        (b"lr: !!bool maybe\n", ["maybe"]),
        (b"lr: !!timestamp soon\n", [""]),
        (b"lr: !!int ''\n", [""]),
        (b"lr: !!float x\n", ["unreadable"]),
    ],
)
def test_a_file_that_is_no_params_file_is_one_line_that_names_it(
    tmp_path: Path, content: bytes, parts: list[str]
) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_params(path)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(f"{path}: ")
    for part in parts:
        assert part in message


def aliases(levels: int, each: int, start: str = "a0: &a0 [1]") -> str:
    """Levels of lists, each of which holds the one before it several times."""
    rows = (f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * each)}]" for level in range(1, levels))
    return "\n".join([start, *rows]) + "\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (aliases(30, 10), "line 7: more than 500,000 values; aliases"),
        (aliases(900, 1), "line 20: nested more than 20 deep; aliases"),
        (
            aliases(30, 10, "a0: &a0 {k: 1}").replace("[*", "{<<: [*").replace("]\n", "]}\n"),
            "line 7: more than",
        ),
    ],
    ids=["a billion laughs", "a long chain", "merged mappings"],
)
def test_aliases_that_stand_for_too_much_are_refused_before_anything_is_made_of_them(
    tmp_path: Path, content: str, told: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=told):
        load_params(path)


def test_an_alias_of_something_small_is_what_it_stands_for(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: &a [1, 2]\nb: [*a, *a]\n")
    assert read_yaml(path) == {"a": [1, 2], "b": [[1, 2], [1, 2]]}


def test_a_long_key_or_tag_does_not_make_a_long_message(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    for content in ('? "' + "k" * 100_000 + '"\n: 1\n', "lr: !" + "t" * 100_000 + " 1\n"):
        path.write_text(content)
        with pytest.raises(InputError) as error:
            load_params(path)
        assert len(str(error.value)) < 1000


def test_a_yaml_tag_runs_nothing(tmp_path: Path) -> None:
    path, marker = tmp_path / "params.yaml", tmp_path / "ran"
    path.write_text(f"lr: !!python/object/apply:os.system ['touch {marker}']\n")
    with pytest.raises(InputError):
        load_params(path)
    assert not marker.exists()


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"params\.yaml: not there; run this in the repository's root"):
        load_params(tmp_path / "params.yaml")


def test_a_folder_in_the_files_place_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unreadable"):
        read_yaml(tmp_path)


@pytest.mark.parametrize(
    "content", ["3", "[]", "", "trials: 3", "experiment: digits\ntrials: [3]", "trials: [3]", "lr: 1"]
)
def test_an_altered_configuration_is_one_line_that_names_its_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "digits.yaml"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        load_item(path)
    assert len(str(error.value).splitlines()) == 1
    assert str(error.value).startswith(str(path))


def test_an_unknown_key_in_a_trial_of_a_configuration_is_named(tmp_path: Path) -> None:
    content = load(tmp_path, {}).sweeps["strides"].model_dump()
    content["trials"][1]["experiment"]["lrr"] = 1
    path = tmp_path / "strides.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="unknown key `lrr`") as error:
        load_item(path)
    assert str(error.value).startswith(str(path))


# ----------------------------------------------------------------------------------------------- any mutation


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path] * bool(path) + [leaf for key, value in inside for leaf in leaves(value, (*path, key))]


WORDS = st.sampled_from(
    [
        "digits",
        "plateau",
        "one_cycle",
        "cnn",
        "resnet",
        "sgd",
        "flip",
        "same",
        "strides/strides-1-1_l2-0.0",
        "model.strides",
        "name",
        "lr",
        "1e-05",
        "../x",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.binary(max_size=4)
    | WORDS
)
KEYS = WORDS | st.text("abc_.- /", max_size=5) | st.integers() | st.none()
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


@pytest.mark.campaign
@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,  # the same examples in every run of CI
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(where=st.sampled_from(leaves(VALID)), junk=JUNK, drop=st.integers(0, 9))
def test_any_mutation_loads_or_is_refused_in_one_line(
    tmp_path: Path, where: tuple[Any, ...], junk: Any, drop: int
) -> None:
    params = copy.deepcopy(VALID)
    section: Any = params
    for key in where[:-1]:
        section = section[key]
    if drop == 0:
        del section[where[-1]]
    else:
        section[where[-1]] = junk
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
    message = None
    try:
        load_params(path)
    except InputError as error:
        message = str(error)
    assert message is None or (message.startswith(f"{path}: ") and len(message.splitlines()) == 1)
