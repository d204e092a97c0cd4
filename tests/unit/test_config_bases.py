"""`base`: an experiment inherits another's keys; every kind of wrong base is refused."""

from pathlib import Path
from typing import Any

import pytest
from params import REPOSITORYS, Changes, load, refusal
from test_params_form import after

from convlab.config import dump_item, merge

CHILD = {"base": "digits", "epochs": 5, "model": {"dropout": 0.25}}


def child(content: Any = CHILD, **more: Any) -> Changes:
    return {"experiments/child": content, **{f"experiments/{name}": value for name, value in more.items()}}


def test_an_experiment_inherits_what_it_does_not_state(tmp_path: Path) -> None:
    found = load(tmp_path, child()).experiments
    assert (found["child"].epochs, found["child"].model.dropout) == (5, 0.25)
    rest = {"epochs": 30, "model": found["digits"].model}
    assert found["child"].model_copy(update=rest) == found["digits"]


def test_it_is_the_same_as_one_with_all_keys_written_out(tmp_path: Path) -> None:
    written = load(tmp_path, {}).experiments["digits"].model_dump(exclude_defaults=True)
    whole = merge(written, {"epochs": 5, "model": {"dropout": 0.25}})
    found = load(tmp_path, child(whole=whole)).experiments
    assert dump_item(found["child"]) == dump_item(found["whole"])


def test_of_this_repositorys_too(tmp_path: Path) -> None:
    # what an experiment is trained as, and so its fingerprint, is that of the keys written out
    stated = dict(REPOSITORYS["experiments"]["mnist_best"])
    written = merge(REPOSITORYS["experiments"][stated.pop("base")], stated)
    heir = {"base": "vgg", **stated}
    found = load(
        tmp_path, child(heir, vgg=REPOSITORYS["experiments"]["mnist_vgg"], whole=written)
    ).experiments
    assert dump_item(found["child"]) == dump_item(found["whole"])


def test_a_section_of_another_name_replaces_the_bases_whole(tmp_path: Path) -> None:
    sgd = {"name": "sgd", "momentum": 0.9, "nesterov": False, "decoupled": False}
    (found,) = (load(tmp_path, child(CHILD | {"optimizer": sgd})).experiments["child"].optimizer,)
    assert found.model_dump() == sgd


def test_a_base_may_have_a_base_and_stand_below(tmp_path: Path) -> None:
    found = load(tmp_path, child({"base": "middle", "lr": 0.1}, middle=CHILD)).experiments["child"]
    assert (found.lr, found.epochs, found.batch_size, found.dataset) == (0.1, 5, 128, "digits")


def test_a_sweep_may_vary_an_experiment_with_a_base(tmp_path: Path) -> None:
    sweep = {"experiment": "child", "grid": {"lr": [0.1, 0.2]}}
    trials = load(tmp_path, child() | {"sweeps/of_child": sweep}).sweeps["of_child"].trials
    assert [(one.experiment.lr, one.experiment.epochs) for one in trials] == [(0.1, 5), (0.2, 5)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (child({"base": "digit"}), "experiments.child.base: found 'digit' (str); allowed: digits, cifar, "),
        (child({"base": "digit"}), "fashion; did you mean `digits`?"),
        (child({"base": "strides"}), "experiments.child.base: found 'strides' (str); allowed: digits, cifar"),
        (child({"base": ["digits"]}), "experiments.child.base: found ['digits'] (list); allowed: digits, "),
        (child({"base": None}), "experiments.child.base: found nothing; allowed: digits, cifar, fashion"),
        (child({"base": "child"}), "experiments.child.base: found 'child', a cycle: child → child; allowed"),
        (
            child({"base": "a"}, a={"base": "b"}, b={"base": "a"}),
            "experiments.b.base: found 'a', a cycle: a → b → a; allowed: digits, cifar, fashion",
        ),
        (child(a="digits") | {"experiments/child/base": "a"}, "experiments.a: found 'digits' (str); allowed"),
        ({"base": "digits"}, "unknown key `base`"),
        (child(CHILD | {"epoch": 3}), "experiments.child: unknown key `epoch`"),
        (child(CHILD | {"lr": "fast"}), "experiments.child.lr: found 'fast' (str); allowed: a valid number"),
    ],
)
def test_a_wrong_base_is_refused_in_one_line(tmp_path: Path, changes: Changes, message: str) -> None:
    changes = {path: dict(value) if isinstance(value, dict) else value for path, value in changes.items()}
    assert message in refusal(tmp_path, changes)


def test_what_is_wrong_with_a_key_of_the_base_names_both(tmp_path: Path) -> None:
    cosine = {"schedule": {"name": "cosine", "warmup": 8}}
    changes = child({"base": "slow", "epochs": 5}, slow={"base": "digits", "epochs": 30, **cosine})
    told = "experiments.child: experiments.slow.schedule.warmup: found 8; allowed: fewer than the 5 epochs"
    assert refusal(tmp_path, changes) == told


def test_a_default_that_does_not_go_with_it_is_still_a_warning(tmp_path: Path) -> None:
    warmed = {"schedule": {"name": "cosine", "warmup": 8}}
    params = load(tmp_path, child({"base": "digits", "epochs": 5}, **{}) | {"schedule": warmed["schedule"]})
    (warning,) = [line for line in params.warnings if "child" in line]
    assert warning.startswith("experiments.child: schedule.warmup: found 8; allowed: fewer than the 5 epochs")


def test_s_changes_a_key_of_the_base_or_states_one(tmp_path: Path) -> None:
    assert after(tmp_path, "+experiments.mnist_best.batch_size=256") == ["+    batch_size: 256"]
    assert after(tmp_path, "+experiments.mnist_best.model.dropout=0.25") == [
        "+    model:",
        "+      dropout: 0.25",
    ]
