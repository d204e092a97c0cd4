import shutil

import matplotlib.pyplot as plt
import pytest
import torch

from convlab import files
from convlab.data.dataset import load_split, load_statistics
from convlab.errors import InputError
from convlab.figures import chosen
from convlab.figures.draw import draw_experiment, draw_sweep
from convlab.models.build import build_model
from convlab.schema import Sweep, Trial

ALWAYS = ["confusion.png", "curves.png", "gradcam.png", "histograms.png", "iterations.png", "model.svg"]
RIGHT = ["correct.png", "features_correct.png"]
WRONG = ["confused.png", "features_wrong.png", "pair_distances.png", "pairs.png", "wrong.png"]
AUGMENT = [{"name": "flip"}, {"name": "mixup", "alpha": 1.0}]


def some_wrong(labels):
    """Every other 3 is taken for a 5."""
    return torch.where((labels == 3) & (torch.arange(len(labels)) % 2 == 0), 5, labels)


def curves(**more):
    quantities = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    return [{**more, "epoch": epoch, "lr": 0.1, **dict.fromkeys(quantities, 0.5 / epoch)} for epoch in (1, 2)]


@pytest.fixture
def workplace(tmp_path, monkeypatch, prepared):
    """An empty repository with the prepared digits of `net`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(prepared, files.PROCESSED / "net")
    before = plt.get_fignums()  # what another file's tests have left open
    yield
    assert plt.get_fignums() == before, "a figure that was saved is closed"


@pytest.fixture
def results(workplace, recipe):
    """Write what the earlier stages would have written for an experiment with given predictions."""

    def lay_down(predict, **changes):
        experiment = recipe(**changes)
        folder = files.PROCESSED / "net" / experiment.data_key()
        labels = load_split(folder, "test").labels
        statistics = load_statistics(folder)
        model = build_model(experiment, statistics.input_shape, 10)
        files.write_tensors(files.weights("net", experiment.seed), model.state_dict())
        probabilities = torch.nn.functional.one_hot(predict(labels), 10) * 0.9 + 0.01
        files.write_tensors(files.predictions("net"), {"probabilities": probabilities, "labels": labels})
        files.write_csv(files.PLOTS / "net" / "curves.csv", curves(seed=experiment.seed))
        steps = [
            {"iteration": n, "epoch": 1, "lr": 0.1, "loss": 1 / n, "accuracy": 0.5} for n in range(1, 20)
        ]
        files.write_csv(files.PLOTS / "net" / "iterations.csv", steps)
        return experiment

    return lay_down


@pytest.mark.parametrize(
    ("predict", "augment", "expected", "wrong"),
    [
        (
            some_wrong,
            AUGMENT,
            RIGHT + WRONG + ["augmentation.png"],
            True,
        ),
        pytest.param(lambda labels: labels, [], RIGHT, False, marks=pytest.mark.campaign),
        pytest.param(
            lambda labels: (labels + 1) % 10,
            [],
            [name for name in WRONG if "pair" not in name],
            True,
            marks=pytest.mark.campaign,
        ),
    ],
    ids=["some wrong", "all right", "all wrong"],
)
def test_an_experiment_is_drawn_whatever_it_got_right(results, predict, augment, expected, wrong):
    drawn = draw_experiment("net", results(predict, augment=augment))
    assert sorted(path.name for path in drawn) == sorted(ALWAYS + expected)
    assert all(path.stat().st_size > 1000 for path in drawn)
    pairs = files.read_json(files.PLOTS / "net/figures/pairs.json")
    assert bool(pairs["wrong_samples"]) == wrong
    assert bool(pairs["layers"]) == ("pairs.png" in expected)
    cells = files.read_json(files.PLOTS / "net/figures/cells.json")["cells"]
    assert any(cell["actual"] != cell["predicted"] for cell in cells) == wrong


def test_chosen_images_have_their_feature_maps(results, monkeypatch):
    experiment = results(some_wrong)
    folder = files.PROCESSED / "net" / experiment.data_key()
    labels = load_split(folder, "test").labels
    seen = []
    monkeypatch.setattr(
        chosen, "feature_maps", lambda title, model, image: seen.append((title, image)) or plt.figure()
    )
    drawn = chosen.draw_chosen("net", experiment, ["3/1", "0/0"])
    assert [path.name for path in drawn] == ["features_3_1.png", "features_0_0.png"]
    assert all(path.is_file() for path in drawn)
    inputs = load_statistics(folder).transform()(load_split(folder, "test").images)
    for (title, image), (label, index) in zip(seen, [(3, 1), (0, 0)], strict=True):
        position = (labels == label).nonzero().flatten()[index]
        assert torch.equal(image[0], inputs[position])
        assert title.startswith(f"net: feature maps, {label} ")


def test_an_image_that_is_not_there_is_one_line_and_nothing_is_drawn(results):
    experiment = results(some_wrong)
    with pytest.raises(
        InputError, match=r"^studies\.yaml: feature_maps\.net: found '3/999'; the test images have"
    ):
        chosen.draw_chosen("net", experiment, ["0/0", "3/999"])
    assert not (files.PLOTS / "net/figures").exists()


def test_without_a_choice_nothing_is_read(workplace, recipe):
    assert chosen.draw_chosen("never", recipe(), []) == []


@pytest.fixture
def swept(workplace, recipe):
    """Lay down a sweep: for each name the overrides, with two seeds each; `broken` never finish."""
    data = files.PROCESSED / "net"
    (data / recipe().data_key()).rename(data / recipe({"split.method": "last"}).data_key())

    def lay_down(points, broken=()):
        trials, rows, progress = [], [], []
        for name, overrides in points.items():
            for seed in (1, 2):
                experiment = recipe({**overrides, "split.method": "last"}, seed=seed)
                trials.append(Trial(name=name, overrides=overrides, experiment=experiment))
                row = {"name": name, "overrides": overrides, "seed": seed, "status": "diverged"}
                if (name, seed) not in broken:
                    scores = {"test": {"accuracy": 0.9, "loss": 0.1}, "kernel_norm": 3.0, "epochs": 2}
                    row |= {"status": "finished", **scores}
                    progress += curves(trial=name, seed=seed)
                    model = build_model(experiment, [1, 8, 8], 10)
                    files.write_tensors(files.weights("net", seed, name), model.state_dict())
                rows.append(row)
        files.write_json(files.trainings("net"), rows)
        files.write_csv(files.PLOTS / "net" / "curves.csv", progress)
        files.write_csv(files.PLOTS / "net" / "iterations.csv", [])
        return Sweep(trials=trials)

    return lay_down


@pytest.mark.parametrize(
    ("points", "histograms"),
    [
        ({"x": {"l2": 0.0}, "y": {"l2": 0.1}}, ["histograms.png"]),
        ({"x": {"lr": 0.1}, "y": {"lr": 0.2}}, []),
        ({"x": {}, "y": {"l2": 0.1, "l2_on": "kernels_and_biases"}}, ["histograms.png"]),
        ({"small": {}, "large": {"model.kernels": [5, 5]}, "small_l2": {"l2": 0.1}}, ["histograms.png"]),
        (
            {"x": {}, "x_l2": {"l2": 0.1}, "y": {"model.kernels": [5, 5]}}
            | {"y_l2": {"model.kernels": [5, 5], "l2": 0.1}},
            ["histograms_x.png", "histograms_y.png"],
        ),
    ],
    ids=["of l2", "of something else", "of l2, on biases too", "variants", "two pairs of variants"],
)
def test_what_differs_in_l2_alone_has_histograms_over_each_other(swept, points, histograms):
    drawn = sorted(path.name for path in draw_sweep("net", swept(points)))
    assert drawn == ["curves.png", "curves_train.png", *histograms, "trials.png"]
    numbers = sorted(path.name for path in (files.PLOTS / "net/figures").glob("*.json"))
    assert numbers == [name.replace(".png", ".json") for name in histograms]


def test_the_weights_of_a_study_are_counted_over_the_same_bins(swept):
    draw_sweep("net", swept({"x": {"l2": 0.0}, "y": {"l2": 0.1}}))
    layers = files.read_json(files.PLOTS / "net/figures/histograms.json")
    x, y = (files.read_tensors(files.weights("net", 1, name)) for name in ("x", "y"))
    assert layers
    for layer in layers:
        assert list(layer["counts"]) == ["x", "y"]
        own = y[f"{layer['name']}.weight"]
        reach = max(float(one[f"{layer['name']}.weight"].abs().max()) for one in (x, y))
        assert layer["reach"] == pytest.approx(reach, rel=0.01)
        assert sum(layer["counts"]["y"]) == own.numel()
        assert layer["counts"]["y"][-1] == int((own > reach * (1 - 2 / 41)).sum())


def test_the_steps_of_trials_are_drawn_where_the_recipe_records_them(swept):
    sweep = swept({"x": {"lr": 0.1}, "y": {"lr": 0.2}})
    steps = [
        {"trial": name, "iteration": n, "epoch": 1, "lr": 0.1, "loss": 1 / n, "accuracy": 0.5}
        for name in ("x", "y")
        for n in range(1, 30)
    ]
    files.write_csv(files.PLOTS / "net" / "iterations.csv", steps)
    drawn = [path.name for path in draw_sweep("net", sweep)]
    assert drawn == ["trials.png", "curves.png", "curves_train.png", "iterations.png"]


def test_where_the_first_seed_failed_another_gives_the_histograms(swept):
    sweep = swept({"x": {"l2": 0.0}, "y": {"l2": 0.1}}, broken=[("x", 1)])
    assert "histograms.png" in [path.name for path in draw_sweep("net", sweep)]


def test_histograms_are_of_the_first_seed_whose_weights_are_all_here(swept):
    sweep = swept({"x": {"l2": 0.0}, "y": {"l2": 0.1}})
    files.weights("net", 1, "y").unlink()
    draw_sweep("net", sweep)
    (layer, *_) = files.read_json(files.PLOTS / "net/figures/histograms.json")
    own = files.read_tensors(files.weights("net", 2, "x"))[f"{layer['name']}.weight"]
    assert layer["counts"]["x"][20] == int((own.abs() < layer["reach"] / 41).sum()), "of x too, the second"


def test_trainings_without_weights_have_no_histograms(swept):
    sweep = swept({"x": {"l2": 0.0}, "y": {"l2": 0.1}})
    for name in ("x", "y"):
        files.weights("net", 1, name).unlink()
    files.weights("net", 2, "y").unlink()
    assert [path.name for path in draw_sweep("net", sweep)] == [
        "trials.png",
        "curves.png",
        "curves_train.png",
    ]


def test_a_sweep_of_which_nothing_finished_is_drawn(swept):
    sweep = swept({"x": {"lr": 0.1}}, broken=[("x", 1), ("x", 2)])
    assert [path.name for path in draw_sweep("net", sweep)] == ["trials.png"]
