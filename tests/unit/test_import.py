"""`convlab import`: folders of pictures become data sets, or are refused in a line."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from importing import COUNTS, Run, arrays, card
from params import changed
from PIL import Image
from shapes import draw_into

from convlab.config import load_params
from convlab.data.catalogue import DATASETS
from convlab.data.readers.raw import DataError
from convlab.data.readers.registry import read
from convlab.data.sources import fetch, md5
from convlab.errors import InputError
from convlab.own.sources import MOST_CLASSES
from convlab.pipeline.identity import identity

pytest_plugins = ["importing"]


# ----------------------------------------------------------------------------------------------------- folder


def test_a_folder_of_classes_becomes_a_data_set(run: Run, tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", COUNTS)
    status, out, err = run({"folder": "shapes", "size": 16})
    assert status == 0, err
    found = arrays()
    assert found["train_images"].shape == (22, 3, 16, 16)
    assert found["test_images"].shape == (5, 3, 16, 16)
    assert found["train_images"].dtype == np.uint8
    assert np.bincount(found["train_labels"]).tolist() == [10, 8, 4]
    assert np.bincount(found["test_labels"]).tolist() == [2, 2, 1], "a fifth of each class"
    dataset = DATASETS["own"]
    assert dataset.classes == tuple(COUNTS)
    assert dataset.shape == (3, 16, 16)
    assert dataset.train_images == 22
    assert dataset.background == "light"
    assert dataset.files == {"images.safetensors": md5(Path("data/imported/own/images.safetensors"))}
    assert "circle   │    10 │    2" in out
    assert "warning: unbalanced: 10 training images of circle, 4 of triangle" in out


def test_the_pipeline_reads_what_was_imported(run: Run, tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", COUNTS)
    run({"folder": "shapes", "size": 16})
    assert fetch("own", tmp_path / "raw", mirror=None) == ["own/images.safetensors: from data/imported/"]
    raw = read("own", tmp_path / "raw")
    for name, array in arrays().items():
        assert np.array_equal(getattr(raw, name), array)
    changes = {
        "experiments/digits/dataset": "own",
        "experiments/digits/split": {"method": "random", "validation": 4},
    }
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["experiments"]["digits"] |= {key.split("/")[2]: value for key, value in changes.items()}
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    loaded = load_params(Path("params.yaml"))
    assert loaded.experiments["digits"].input_shape == [3, 16, 16]
    assert loaded.datasets() == ["own"]
    assert [warning for warning in loaded.warnings if warning.startswith("datasets.own: unbalanced")]
    assert "data.catalogue/own" in identity("prepare", loaded.experiments["digits"])


def test_importing_again_gives_the_same_bytes_and_a_picture_more_moves_one_at_most(
    run: Run, tmp_path: Path
) -> None:
    draw_into(tmp_path / "shapes", {"circle": 20, "square": 20})
    run({"folder": "shapes", "size": 8})
    first, digest = arrays(), md5(Path("data/imported/own/images.safetensors"))
    run({"folder": "shapes", "size": 8})
    assert md5(Path("data/imported/own/images.safetensors")) == digest
    Image.new("RGB", (30, 30), "red").save(tmp_path / "shapes/circle/zzz.png")
    run({"folder": "shapes", "size": 8})
    tests = [{image.tobytes() for image in found["test_images"]} for found in (first, arrays())]
    assert len(tests[0] & tests[1]) >= len(tests[0]) - 1
    run({"folder": "shapes", "size": 8, "seed": 2})
    assert md5(Path("data/imported/own/images.safetensors")) != digest


def test_a_name_that_is_not_utf8_is_a_name(run: Run, tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", {"circle": 6, "square": 6})
    folder = os.fsencode(tmp_path / "shapes/circle")
    os.rename(folder + b"/" + sorted(os.listdir(folder))[0], folder + b"/caf\xe9.png")
    status, _, err = run({"folder": "shapes", "size": 8})
    assert status == 0, err


def test_a_background_is_that_of_all_training_images(run: Run, tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", {"circle": 12, "square": 12})
    run({"folder": "shapes", "size": 8})
    assert card()["facts"]["background"] == "light"
    for number in range(2, 7):
        Image.new("RGB", (30, 30), (number, 0, 0)).save(tmp_path / f"shapes/circle/dark{number}.png")
    run({"folder": "shapes", "size": 8})
    assert card()["facts"]["background"] == "any"


def test_a_user_who_is_not_here(refused: Callable[..., str]) -> None:
    said = refused({"folder": "~nobody-of-that-name/shapes", "size": 8})
    assert "datasets.own.folder: found '~nobody-of-that-name/shapes'; there is no such user here" in said


def test_the_classes_are_mixed_so_that_the_last_images_are_of_all(run: Run, tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", {"circle": 40, "square": 40})
    run({"folder": "shapes", "size": 8})
    assert set(arrays()["train_labels"][-12:]) == {0, 1}


def test_test_images_of_the_source_stay_test_images(run: Run, tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes/train", {"circle": 6, "square": 6})
    draw_into(tmp_path / "shapes/test", {"circle": 3, "square": 2}, seed=2)
    status, out, _ = run({"folder": "shapes", "size": 8, "greyscale": True})
    assert status == 0
    assert "warning" not in out
    found = arrays()
    assert found["train_images"].shape == (12, 1, 8, 8)
    assert np.bincount(found["test_labels"]).tolist() == [3, 2]
    assert card()["images"]["test"] == {"circle": 3, "square": 2}


def test_two_classes_may_be_called_train_and_test(run: Run, tmp_path: Path) -> None:
    shapes = draw_into(tmp_path / "things", {"circle": 5, "square": 5})
    (shapes / "circle").rename(shapes / "train")
    (shapes / "square").rename(shapes / "test")
    assert run({"folder": "things", "size": 8})[0] == 0
    assert DATASETS["own"].classes == ("test", "train")


def test_what_file_managers_leave_is_no_picture(run: Run, tmp_path: Path) -> None:
    shapes = draw_into(tmp_path / "shapes", {"circle": 5, "square": 5})
    for name in (".DS_Store", "circle/.DS_Store", "square/Thumbs.db"):
        (shapes / name).write_bytes(b"x")
    (shapes / "__MACOSX").mkdir()
    assert run({"folder": "shapes", "size": 8})[0] == 0


def test_a_test_image_that_was_trained_on_is_told(run: Run, tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes/train", {"circle": 6, "square": 6})
    draw_into(tmp_path / "shapes/test", {"circle": 2, "square": 2})
    out = run({"folder": "shapes", "size": 8})[1]
    assert "warning: " in out
    assert "test images are identical to a training image" in out


def broken(tmp_path: Path, name: str, content: bytes = b"no picture") -> str:
    draw_into(tmp_path / "shapes", {"circle": 5, "square": 5})
    (tmp_path / "shapes" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "shapes" / name).write_bytes(content)
    return "shapes"


def test_a_folder_that_is_not_there(refused: Callable[..., str]) -> None:
    assert "datasets.own.folder: found 'shapes' (str), which is not a folder here" in refused(
        {"folder": "shapes", "size": 8}
    )


def test_a_folder_without_classes(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    assert "shapes holds nothing; allowed: one folder per class" in refused({"folder": "shapes", "size": 8})
    Image.new("L", (9, 9)).save(tmp_path / "shapes/a.png")
    assert "holds images, but no classes" in refused({"folder": "shapes", "size": 8})


def test_one_class_only(refused: Callable[..., str], tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", {"circle": 9})
    assert "found one class, 'circle'; allowed: 2 to 200" in refused({"folder": "shapes", "size": 8})


def test_more_classes_than_a_matrix_can_show(refused: Callable[..., str], tmp_path: Path) -> None:
    for number in range(MOST_CLASSES + 1):
        (tmp_path / f"shapes/{number}").mkdir(parents=True)
    said = refused({"folder": "shapes", "size": 8})
    assert "datasets.own.folder: found 201 classes; allowed: 2 to 200" in said


def test_three_images(refused: Callable[..., str], tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", {"circle": 2, "square": 1})
    said = refused({"folder": "shapes", "size": 8})
    assert (
        "found 1 training and 1 test images of 'circle', 3 images in all; allowed: 5 or more of each" in said
    )


def test_a_class_without_images(refused: Callable[..., str], tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", {"circle": 9, "square": 9, "triangle": 0})
    assert "of 'triangle'" in refused({"folder": "shapes", "size": 8})


@pytest.mark.parametrize("name", ["circle/notes.txt", "circle/a.png"])
def test_a_file_that_is_no_picture(refused: Callable[..., str], tmp_path: Path, name: str) -> None:
    folder = broken(tmp_path, name)
    assert f"{folder}/{name}: not a picture; allowed: PNG" in refused({"folder": folder, "size": 8})


@pytest.mark.parametrize(
    "name", ["<b>bold", "a&b", 'quo"te', "it's", "back\\slash", "new\nline", " blank", "price_$5", "x" * 61]
)
def test_a_class_whose_name_would_be_read_as_something_else(
    refused: Callable[..., str], tmp_path: Path, name: str
) -> None:
    draw_into(tmp_path / "shapes", {"circle": 5, "square": 5})
    (tmp_path / "shapes/circle").rename(tmp_path / "shapes" / name)
    assert "found the class " in refused({"folder": "shapes", "size": 8})


def test_classes_of_any_script_are_taken(run: Run, tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", {"circle": 5, "square": 5})
    (tmp_path / "shapes/circle").rename(tmp_path / "shapes/Дом, größer (か)")
    assert run({"folder": "shapes", "size": 8})[0] == 0


def test_parts_with_other_classes(refused: Callable[..., str], tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes/train", {"circle": 5, "square": 5})
    draw_into(tmp_path / "shapes/test", {"circle": 5})
    assert "train/ and test/ have different classes: only one has square" in refused(
        {"folder": "shapes", "size": 8}
    )
    draw_into(tmp_path / "shapes/validation", {"circle": 5})
    assert "holds test, train, validation; allowed: one folder per class" in refused(
        {"folder": "shapes", "size": 8}
    )


@pytest.mark.parametrize(
    "name", ["circle/gone.png", "triangle", "train", "train/square/gone.png", "test/circle"]
)
def test_a_link_to_nothing_is_not_left_out(refused: Callable[..., str], tmp_path: Path, name: str) -> None:
    parts = ["train", "test"] if name.startswith("t") and "/" in name else ["."]
    for part in parts:
        draw_into(tmp_path / "shapes" / part, {"circle": 5, "square": 5})
    if name == "test/circle":
        shutil.rmtree(tmp_path / "shapes" / name)
    (tmp_path / "shapes" / name).symlink_to("nowhere")
    said = refused({"folder": "shapes", "size": 8})
    assert f"datasets.own.folder: found {name}, a link to nothing (nowhere); repair or remove it" in said


@pytest.mark.parametrize("name", ["loose.png", "train/loose.JPG", "test/loose.webp"])
def test_a_picture_in_no_class_is_not_left_out(
    refused: Callable[..., str], tmp_path: Path, name: str
) -> None:
    for part in ["."] if name == "loose.png" else ["train", "test"]:
        draw_into(tmp_path / "shapes" / part, {"circle": 5, "square": 5})
    (tmp_path / "shapes" / name).write_bytes((next((tmp_path / "shapes").rglob("*.png"))).read_bytes())
    (tmp_path / "shapes/README.txt").write_text("what the classes are")
    said = refused({"folder": "shapes", "size": 8})
    assert (
        f"datasets.own.folder: found {name}, a picture in no class; allowed: pictures in the folder" in said
    )
    (tmp_path / "shapes" / name).rename(tmp_path / "shapes" / f"{name}.1.png")
    (tmp_path / "shapes" / f"{name}.2.png").write_bytes(b"")
    assert f"found {name}.1.png (and 1 more), a picture in no class" in refused(
        {"folder": "shapes", "size": 8}
    )


def test_a_folder_in_a_class(refused: Callable[..., str], tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", {"circle": 5, "square": 5})
    draw_into(tmp_path / "shapes/circle", {"square": 1})
    assert "found the folder circle/square in a class" in refused({"folder": "shapes", "size": 8})


# ------------------------------------------------------------------------------------------------ declaration


@pytest.mark.parametrize(
    ("declaration", "words"),
    [
        ({"size": 8}, "datasets.own: found none of folder, npz, torchvision; allowed: exactly one of them"),
        (
            {"folder": "a", "npz": "b", "size": 8},
            "datasets.own: found folder and npz of folder, npz, torchvision",
        ),
        ({"folder": "a"}, "datasets.own.size: missing; add it"),
        ({"folder": "a", "size": 3}, "datasets.own.size: found 3 (int); allowed: greater than or equal to 4"),
        ({"folder": "a", "size": 8, "fit": "squeeze"}, "allowed: pad, crop, stretch"),
        ({"folder": "a", "size": 8, "test": 0.9}, "datasets.own.test: found 0.9"),
        ({"folder": "a", "size": 8, "grayscale": True}, "did you mean `greyscale`?"),
        ({"torchvision": "CIFAR-100", "size": 32}, "did you mean `CIFAR100`?"),
        ({"folder": "", "size": 8}, "datasets.own.folder: found '' (str)"),
        ({"npz": "", "size": 8}, "datasets.own.npz: found '' (str)"),
        ({"folder": "x" * 300, "size": 8}, "…', which cannot be used: File name too long"),
        ({"npz": "x" * 300, "size": 8}, "…', which cannot be used: File name too long"),
        ([], "datasets.own: found [] (list); allowed: a mapping of keys to values"),
    ],
)
def test_a_wrong_declaration(refused: Callable[..., str], declaration: Any, words: str) -> None:
    assert words in refused(declaration)


def test_a_name_that_is_not_declared(refused: Callable[..., str]) -> None:
    said = refused({"folder": "a", "size": 8}, name="ow")
    assert "NAME: found 'ow' (str); allowed: own; did you mean `own`?" in said


def test_a_published_name_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(changed({}) | {"datasets": {"mnist": {"folder": "a", "size": 8}}}))
    with pytest.raises(InputError, match=r"datasets\.mnist: a published data set has this name"):
        load_params(path)


def test_an_experiment_may_wait_for_its_images(run: Run, tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", COUNTS)
    waiting = {"experiments/digits/dataset": "own", "experiments/digits/split/validation": 4}
    declaration = {"folder": "shapes", "size": 16}
    params = changed(waiting) | {"datasets": {"own": declaration}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(InputError, match=r"not imported yet; run `convlab import own`"):
        load_params(tmp_path / "params.yaml")
    assert run(declaration, **waiting)[0] == 0
    assert load_params(tmp_path / "params.yaml").experiments["digits"].dataset == "own"


def test_a_declaration_that_changed_since_asks_to_import_again(run: Run, tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", COUNTS)
    run({"folder": "shapes", "size": 16})
    params = changed({}) | {"datasets": {"own": {"folder": "shapes", "size": 20}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(InputError, match=r"datasets\.own\.size: found 20, but own was imported with 16; run"):
        load_params(tmp_path / "params.yaml")


# ---------------------------------------------------------------------------------------- what may be damaged


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"facts": {"shape": [3, 8]}}', '{"facts": 3}'])
def test_a_damaged_card_is_a_line(run: Run, tmp_path: Path, content: str) -> None:
    draw_into(tmp_path / "shapes", COUNTS)
    run({"folder": "shapes", "size": 16})
    (tmp_path / "datasets/own.json").rename(tmp_path / "datasets/other.json")
    (tmp_path / "datasets/other.json").write_text(content)
    with pytest.raises(InputError, match=r"datasets/other\.json: (not what|unreadable)"):
        DATASETS["other"]


def test_images_that_are_not_the_ones_of_the_card_are_not_used(run: Run, tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", COUNTS)
    run({"folder": "shapes", "size": 16})
    path = tmp_path / "data/imported/own/images.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(InputError, match=r"corrupt or short.*`convlab import own`"):
        fetch("own", tmp_path / "raw", mirror=None)
    path.unlink()
    with pytest.raises(
        InputError, match=r"not there; bring it back with `dvc checkout data/imported/own\.dvc`"
    ):
        fetch("own", tmp_path / "raw", mirror=None)


def test_raw_images_that_do_not_fit_are_a_data_error(run: Run, tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", COUNTS)
    run({"folder": "shapes", "size": 16})
    fetch("own", tmp_path / "raw", mirror=None)
    from safetensors.numpy import save_file

    path, whole = tmp_path / "raw/own/images.safetensors", arrays()
    for damaged in (
        {name: array for name, array in whole.items() if name != "test_labels"},
        whole | {"train_labels": whole["train_labels"].astype(np.int32)},
        whole | {"train_labels": whole["train_labels"] + 1},
        whole | {"test_images": whole["test_images"][:, :1].copy()},
    ):
        save_file(damaged, path)
        with pytest.raises(DataError):
            read("own", tmp_path / "raw")


@pytest.mark.parametrize("name", ["../params", "", "a/b", "nonsense"])
def test_no_other_file_is_taken_for_a_card(name: str) -> None:
    with pytest.raises(KeyError):
        DATASETS[name]


def test_the_format_of_every_published_set_is_stated() -> None:
    formats = {name: dataset.format for name, dataset in DATASETS.items()}
    assert formats == {"digits": "digits", "mnist": "idx", "fashion_mnist": "idx", "cifar10": "cifar10"}
