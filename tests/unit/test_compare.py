"""Results side by side: what differs, by how much, and whether that may be chance."""

import re
import subprocess
from contextlib import chdir
from statistics import mean

import pytest
import results_world
from result import evaluation, put

from convlab import files, results
from convlab.book import comparison
from convlab.book.contents import load
from convlab.commands import results as commands
from convlab.config import load_params
from convlab.errors import InputError
from convlab.results import claims, compare, regressions
from convlab.results.folders import load as load_folder

ONE, OTHER = "strides/strides-1-1_l2-0.0", "strides/strides-2-1_l2-0.0"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        results_world.build(folder)
    return folder


@pytest.fixture(autouse=True)
def here(world, monkeypatch):
    monkeypatch.chdir(world)


def test_only_parameters_that_differ_are_shown():
    several = [compare.load(name) for name in (ONE, OTHER)]
    assert compare.params_that_differ(several) == {"model.strides": ["[1, 1]", "[2, 1]"]}


@pytest.mark.parametrize("metric", ["test_accuracy", "weight_norm", "gap"])
def test_the_interval_over_seeds_is_that_of_a_claim(metric):
    found = compare.difference(metric, compare.load(OTHER), compare.load(ONE))
    params = load_params(files.PARAMS)
    claim = params.claims["strides_cost"].model_copy(update={"metric": metric})
    judged = claims.judge("", claim, results.load_plans(), claims.by_result(params))
    assert (claim.a, claim.b) == (OTHER, ONE)
    assert found.value == pytest.approx(judged["difference"], rel=1e-5)
    assert found.interval == pytest.approx(judged["interval"], rel=1e-5)


def params_that_differ(tmp_path, one, other):
    several = []
    for name, changes in (("one", one), ("two", other)):
        folder = tmp_path / name
        folder.mkdir()
        with chdir(folder):
            results_world.build(folder, changes)
            several.append(compare.load("digits"))
    return compare.params_that_differ(several)


def test_a_section_that_one_leaves_empty_is_one_row_for_each_of_its_keys(tmp_path):
    found = params_that_differ(tmp_path, {}, {"early_stopping": {"patience": 7}})
    assert found == {"early_stopping.patience": ["null", "7"]}


def test_values_are_shown_as_params_yaml_has_them(tmp_path):
    flips = {"experiments/digits/iterations": False, "experiments/digits/augment": [{"name": "flip"}]}
    found = params_that_differ(tmp_path, {"experiments/digits/iterations": True}, flips)
    assert found == {"augment": ["[]", "[{name: flip}]"], "iterations": ["true", "false"]}


def test_with_two_seeds_against_three_the_interval_is_over_two():
    found = compare.difference("test_accuracy", compare.load("digits"), compare.load(ONE))
    assert found.over == "over 2 seeds"


def test_what_is_no_metric_has_a_difference_and_no_interval():
    found = compare.difference("epochs", compare.load(OTHER), compare.load(ONE))
    assert (found.value, found.interval) == (0.0, None)


def test_one_seed_against_another_is_judged_by_the_test_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path, {"sweeps/strides/seeds": 1, "experiments/digits/seeds": 1})
    a, b = compare.load(OTHER), compare.load(ONE)
    found = compare.difference("test_accuracy", a, b)
    assert found.over == "over 360 images"
    assert found.interval == pytest.approx(regressions.interval(b.scored(), a.scored())[1:3])
    assert compare.difference("weight_norm", a, b).interval is None


def test_one_seed_borrows_the_spread_of_several_on_its_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path, {"experiments/digits/seeds": 1})
    found = compare.difference("test_accuracy", compare.load("digits"), compare.load(ONE))
    assert found.over.startswith("(spread of strides/")
    assert compare.difference("test_loss", compare.load("digits"), compare.load(ONE)).interval is None


def test_a_training_and_itself_have_no_interval():
    found = compare.difference("test_accuracy", compare.load(ONE), compare.load(ONE))
    assert (found.value, found.interval) == (0.0, None)


def test_the_terminal_shows_both_tables(capsys):
    assert commands.compare([ONE, OTHER]) == 0
    printed = capsys.readouterr().out
    assert "model.strides" in printed
    assert "over 3 seeds" in printed
    assert "B − A" in printed


def test_the_page_has_the_differences_and_the_intervals_of_the_terminal():
    data = comparison.data(load())
    several = compare.subjects()
    uneven = 0
    for metric, pairs in data["intervals"].items():
        for pair, (*numbers, over) in pairs.items():
            a, b = (several[name] for name in pair.split("|"))
            found = compare.difference(metric, a, b)
            assert numbers == pytest.approx([found.value, *found.interval], rel=1e-5), pair
            assert over == found.over
            of_means = mean(a.values(metric)) - mean(b.values(metric))
            uneven += found.value != pytest.approx(of_means, rel=1e-5)
    assert uneven, "digits has two seeds and a trial three: their means are not of the same seeds"
    assert data["subjects"][ONE]["params"][data["params"].index("model.strides")] == "[1, 1]"


def test_more_results_than_letters_have_two_letters(capsys):
    assert compare.letters(3) == ["A", "B", "C"]
    assert compare.letters(703)[25:28] == ["Z", "AA", "AB"]
    assert compare.letters(703)[-2:] == ["ZZ", "AAA"]
    assert commands.compare([ONE] * 28) == 0
    printed = capsys.readouterr().out
    assert re.findall(r"^│ (\S+) +│ strides", printed, re.MULTILINE)[24:] == ["Y", "Z", "AA", "AB"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["digits"], "found one result, digits; allowed: two or more"),
        (["digits", "digit"], "did you mean `digits`?"),
        (["digits", "fashion"], "found 'fashion', which has not run"),
        (["@HEAD", "digits"], "@HEAD: found the name '' (str); allowed: letters, digits, "),
        (
            ["../digits@HEAD", "digits"],
            "../digits@HEAD: found the name '..' (str); allowed: letters, digits, ",
        ),
        (["digits", "strides/none"], f"found 'strides/none', which has not run; allowed: {ONE}"),
        (
            ["digits", "digits@nowhere"],
            "found 'nowhere' after the @; allowed: a branch, tag, commit or DVC exp",
        ),
        (["digits", "digits@--all"], "found '--all' after the @; allowed: a branch, tag, commit or DVC exp"),
    ],
)
def test_bad_names_are_one_line(names, says):
    with pytest.raises(InputError) as error:
        commands.compare(names)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_result_is_compared_with_itself_at_another_revision(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path, {"experiments/digits/seeds": 1})

    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)

    git("init")
    git("add", "-A")
    git("commit", "-m", "before")
    was = compare.load("digits").values("test_accuracy")
    (record,) = load_folder("digits").trainings
    put([record], [evaluation(record, was[0] - 0.1)])
    found = compare.difference("test_accuracy", compare.load("digits"), compare.load("digits@HEAD"))
    assert found.value == pytest.approx(-0.1)
    assert compare.load("digits@HEAD").values("test_accuracy") == was
    git("commit", "-am", "experiment")
    git("update-ref", f"refs/exps/{'a' * 2}/{'a' * 38}/fast-lark", "HEAD")
    git("reset", "--hard", "HEAD~1")
    assert compare.load("digits").values("test_accuracy") == was
    assert compare.load("digits@fast-lark").values("test_accuracy") == [pytest.approx(was[0] - 0.1)]


def test_an_inconsistent_result_is_not_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path)
    scores = files.read_json(files.METRICS / "digits/evaluate.json")
    scores["test"]["accuracy"] = 1.0
    files.write_json(files.METRICS / "digits/evaluate.json", scores)
    with pytest.raises(InputError, match=r"digits: .*evaluate\.json"):
        compare.load("digits")
