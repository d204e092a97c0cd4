"""Which code computed a result: edits that change nothing keep the hash, every other edit is named."""

import ast
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT

from convlab.config import load_params
from convlab.pipeline import carried
from convlab.pipeline import identity as identities
from convlab.pipeline.identity import (
    PACKAGE,
    REGISTRIES,
    STAGES,
    Phase,
    code_of,
    dump_code,
    identity,
)
from convlab.pipeline.syntax import hash_source
from convlab.schema import Experiment, Params

SOURCE = '''"""A module."""

import math


class Thing:
    """A thing."""

    def area(self, radius: float) -> str:
        """Compute it."""
        return f"{math.pi * radius ** 2:>{10}.2f} in all"
'''
SAME = {
    "a comment": SOURCE.replace("import math", "import math  # for pi"),
    "docstrings": SOURCE.replace("A thing.", "Another word for it.").replace("Compute it.", "Return it."),
    "no docstring": SOURCE.replace('        """Compute it."""\n', ""),
    "layout": SOURCE.replace("math.pi * radius ** 2", "math.pi*radius**2").replace("\n\n\n", "\n"),
}
OTHER = {
    "an operator": SOURCE.replace("**", "*"),
    "a name": SOURCE.replace("radius", "r"),
    "a constant": SOURCE.replace("2", "3"),
    "a string": SOURCE.replace("in all", "in total"),
    "a line more": SOURCE + "print(1)\n",
}


@pytest.fixture
def hash_of(tmp_path: Path) -> Callable[[str], str]:
    def hashed(source: str) -> str:
        path = tmp_path / f"{abs(hash(source))}.py"
        path.write_text(source)
        return hash_source(path)

    return hashed


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params(ROOT / "params.yaml")


@pytest.mark.parametrize("source", SAME.values(), ids=SAME)
def test_what_changes_nothing_leaves_the_hash(source: str, hash_of: Callable[[str], str]) -> None:
    assert source != SOURCE
    assert hash_of(source) == hash_of(SOURCE)


@pytest.mark.parametrize("source", OTHER.values(), ids=OTHER)
def test_real_code_changes_it(source: str, hash_of: Callable[[str], str]) -> None:
    assert hash_of(source) != hash_of(SOURCE)


def test_the_hash_is_the_same_on_every_python(hash_of: Callable[[str], str]) -> None:
    # Computed on 3.11, 3.12 and 3.13: what ran elsewhere must be known here
    assert hash_of(SOURCE) == "5b7605edd7ec2d61"


HASHES = """
import json, sys
from pathlib import Path
sys.path.insert(0, "src")
from convlab.pipeline.syntax import hash_source
found = {str(path): hash_source(path) for top in ("src", "stages") for path in Path(top).rglob("*.py")}
print(json.dumps([sys.version_info[:2], found]))
"""


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_every_module_has_the_same_hash_on_another_python(version: str) -> None:
    python = f"python{version}"
    try:  # one of pyenv's may be there and do nothing
        subprocess.run([python, "-c", "pass"], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip(f"no {python} here; CI has it")
    done = subprocess.run([python, "-B", "-c", HASHES], cwd=ROOT, capture_output=True, text=True, check=True)
    (major, minor), found = json.loads(done.stdout)
    assert f"{major}.{minor}" == version
    assert len(found) > 200
    assert found == {name: hash_source(ROOT / name) for name in found}


def test_an_experiment_reaches_what_it_names_and_nothing_else(params: Params) -> None:
    digits = identity("train", params.experiments["digits"])
    assert {"models.cnn", "train.fit", "train.optimizers.adam", "data.transform"} <= set(digits)
    unused = ("models.resnet", "models.preact", "models.whitening", "train.optimizers.sgd")
    assert not [name for name in digits if name in unused or name.startswith(("numpy_engine", "figures"))]
    fast = identity("train", params.experiments["cifar10_fast"])
    wanted = {"models.whitening", "train.optimizers.muon", "train.optimizers.adam", "data.augment.crop"}
    assert wanted <= set(fast)
    assert "data.augment.affine" not in fast
    preact = identity("train", params.experiments["fashion_preact"])
    assert {"models.preact", "train.optimizers.sgd", "data.augment.flip"} <= set(preact)
    assert any(
        name.startswith("numpy_engine") for name in code_of("train", params.sweeps["fashion_preact_engines"])
    )


def codes_with(
    changed: Path, experiments: Mapping[str, Experiment], monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[Phase, str]]:
    """The code of each experiment, if a line of a file were another."""
    with monkeypatch.context() as patch:
        patch.setattr(
            identities, "hash_source", lambda path: "changed" if path == changed else hash_source(path)
        )
        identities._reached.cache_clear()
        found = {name: dump_code(one) for name, one in experiments.items()}
    identities._reached.cache_clear()
    return found


def test_a_changed_line_names_itself_where_it_is_used_alone(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: dump_code(one) for name, one in params.experiments.items()}
    after = codes_with(PACKAGE / "train/optimizers/sgd.py", params.experiments, monkeypatch)
    changed = {name for name in before if before[name] != after[name]}
    users = {name for name, one in params.experiments.items() if one.optimizer.name == "sgd"}
    assert changed == users
    for name in changed:
        assert before[name]["evaluate"] == after[name]["evaluate"], "scores are of the weights"
        assert "train.optimizers.sgd: changed\n" in after[name]["train"]


RECIPES: dict[str, dict[str, Any]] = {
    "schedules/plateau": {"schedule": {"name": "plateau", "factor": 0.5, "patience": 3}},
    "schedules/constant": {"schedule": {"name": "constant"}},
    "schedules/step": {"schedule": {"name": "step", "every": 1, "factor": 0.5}},
    "schedules/multistep": {"schedule": {"name": "multistep", "milestones": [2], "factor": 0.5}},
    "schedules/cosine": {"schedule": {"name": "cosine", "warmup": 0}},
    "schedules/one_cycle": {"schedule": {"name": "one_cycle", "warmup": 0.3}},
    "averages/plain": {"average": None},
    "averages/ema": {"average": {"name": "ema", "decay": 0.9}},
    "averages/lookahead": {"average": {"name": "lookahead", "every": 5, "alpha": 0.5}},
}


@pytest.mark.parametrize("part", ["schedules/cosine", "schedules/plateau", "schedules/step", "averages/ema"])
def test_a_divided_module_is_known_as_a_whole_until_a_part_in_use_changes(
    part: str, recipe: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = {name: recipe(**changes) for name, changes in RECIPES.items()}
    whole = "train.schedules" if part.startswith("schedules") else "train.average"
    before = {name: dump_code(one)["train"] for name, one in experiments.items()}
    for text in before.values():
        known = {f"{name}: {carried.DIVIDED[name].hash}" for name in ("train.schedules", "train.average")}
        assert known <= set(text.splitlines())
        assert "train.schedules." not in text
    after = codes_with(PACKAGE / f"train/{part}.py", experiments, monkeypatch)
    changed = {name for name, code in after.items() if code["train"] != before[name]}
    assert changed == {part}
    assert f"train.{part.replace('/', '.')}: changed\n" in after[part]["train"]
    assert f"{whole}: " not in after[part]["train"]


def test_a_changed_reader_concerns_the_data_sets_of_its_format_alone(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: dump_code(one) for name, one in params.experiments.items()}
    whole = f"data.readers: {carried.DIVIDED['data.readers'].hash}\n"
    assert all(whole in code["prepare"] for code in before.values())
    after = codes_with(PACKAGE / "data/readers/idx.py", params.experiments, monkeypatch)
    changed = {
        (name, phase) for name in before for phase, code in after[name].items() if code != before[name][phase]
    }
    idx = {name for name, one in params.experiments.items() if "mnist" in one.dataset}
    assert changed == {(name, "prepare") for name in idx}
    for name in idx:
        assert "data.readers.idx: changed\n" in after[name]["prepare"]


def test_preparing_and_scoring_do_not_depend_on_the_training_loop(params: Params) -> None:
    digits = params.experiments["digits"]
    assert not [name for name in identity("prepare", digits) if name.startswith(("train", "models"))]
    for phase in ("evaluate", "draw"):
        assert "train.fit" not in identity(phase, digits), phase


def test_what_the_catalogue_says_of_a_data_set_counts_for_its_own_prepared_data(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: dump_code(one) for name, one in params.experiments.items()}
    brighter = replace(identities.DATASETS["mnist"], max_value=254)
    monkeypatch.setitem(identities.DATASETS, "mnist", brighter)
    for name, one in params.experiments.items():
        changed = {phase for phase, text in dump_code(one).items() if text != before[name][phase]}
        assert changed == ({"prepare", "draw"} if one.dataset == "mnist" else set()), name


def test_chosen_images_count_for_the_figures_of_their_own_experiment_alone(params: Params) -> None:
    digits = params.experiments["digits"]
    without, chosen = dump_code(digits), dump_code(digits, ["3/0"])
    assert {phase for phase in without if without[phase] != chosen[phase]} == {"draw"}
    assert set(chosen["draw"].splitlines()) - set(without["draw"].splitlines()) == {
        f"figures.chosen: {hash_source(PACKAGE / 'figures/chosen.py')}",
        'feature_maps: ["3/0"]',
    }
    assert dump_code(digits, ["3/1"])["draw"] != chosen["draw"], "another image is another figure"


def test_no_module_that_computes_is_forgotten(params: Params, recipe: Callable[..., Experiment]) -> None:
    mixed = recipe(augment=[{"name": "mixup", "alpha": 0.2}])
    cut = recipe(augment=[{"name": "cutmix", "alpha": 0.2}, {"name": "affine", **AFFINE}])
    trials = [trial.experiment for sweep in params.sweeps.values() for trial in sweep.trials]
    shared = params.experiments["digits"].model_copy(update={"devices": 2})
    recipes = [recipe(**changes) for changes in RECIPES.values()]
    roots = (*identities.ROOTS["train"], "pipeline.devices")
    reached = {
        name
        for one in (*params.experiments.values(), *trials, mixed, cut, shared, *recipes)
        for name in identities._reached(roots, identities.named(one), identities.unused(one))
    }
    for folder in ("models", "train", "data/augment", "numpy_engine"):
        for path in (PACKAGE / folder).rglob("*.py"):
            name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            known = name in reached or name in (*REGISTRIES, *identities.NEUTRAL)
            assert known or not ast.parse(path.read_text()).body[1:], name


AFFINE = {"rotation": 5, "shift": 0.1, "shear": 1, "zoom": 0.1, "border": "zero"}


def test_a_carried_hash_is_one_of_a_module_as_it_is_now() -> None:
    # One that is no module's any more says nothing; and an edit of a carried module counts as any other
    named = [pair for one in carried.CARRIED for pair in one.hashes.items()]
    assert len(dict(named)) == len(named), "a module twice"
    for name, (now, known) in named:
        script = name.startswith("stages/")
        path = STAGES.parent / name if script else identities._file(name)
        assert path is not None, f"{name} is gone: take it out of the list"
        assert hash_source(path) == now != known, name


def test_a_part_of_a_divided_module_is_as_it_was_made() -> None:
    for whole, divided in carried.DIVIDED.items():
        assert identities._file(whole) is None or identities._file(whole).name == "__init__.py"
        for name, made in divided.parts.items():
            path = identities._file(name)
            assert path is not None, f"{name} is gone: take it out of the list"
            assert hash_source(path) == made, f"{name} was edited: take it out of the list"


def test_a_moved_module_keeps_its_former_name() -> None:
    for now, former in carried.FORMERLY.items():
        assert identities._file(now) is not None, "gone: take it out of the list"
        assert identities._file(former) != identities._file(now)
        assert former not in carried.FORMERLY, "two modules of one name"
