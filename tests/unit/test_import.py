"""`convlab import`: folders, .npz files and torchvision's sets become data sets, or are refused in a line."""

import hashlib
import io
import json
import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from params import changed
from PIL import Image
from safetensors.numpy import load_file
from shapes import draw_into

from convlab import cli
from convlab.config import load_params
from convlab.data.catalogue import DATASETS, imported
from convlab.data.readers import DataError, read
from convlab.data.sources import fetch, md5
from convlab.errors import InputError
from convlab.identity import identity

Run = Callable[..., tuple[int, str, str]]
COUNTS = {"circle": 12, "square": 10, "triangle": 5}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run({"folder": …})`: declare a data set `own` and import it, in an empty folder; the exit status, what
    was printed, and the complaint."""
    monkeypatch.chdir(tmp_path)

    def call(declaration: Any, name: str = "own", **more: Any) -> tuple[int, str, str]:
        params = changed(more) | {"datasets": {"own": declaration}}
        Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        monkeypatch.setattr(sys, "argv", ["convlab", "import", name])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """The one line with which an import is refused, before anything is written."""

    def call(declaration: Any, **more: Any) -> str:
        status, out, err = run(declaration, **more)
        assert (status, out) == (2, "")
        assert err.startswith("convlab: ")
        assert len(err.splitlines()) == 1
        assert not imported()
        assert not list(Path().glob("data/imported/*/*"))
        return err

    return call


def arrays() -> dict[str, np.ndarray]:
    return load_file("data/imported/own/images.safetensors")


def card() -> dict[str, Any]:
    return json.loads(Path("datasets/own.json").read_text())


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


def test_importing_again_gives_the_same_bytes_and_a_picture_more_moves_no_other(
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
    assert "test images are equal to a training image" in out


def broken(tmp_path: Path, name: str, content: bytes = b"no picture") -> str:
    draw_into(tmp_path / "shapes", {"circle": 5, "square": 5})
    (tmp_path / "shapes" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "shapes" / name).write_bytes(content)
    return "shapes"


def test_a_folder_that_is_not_there(refused: Callable[..., str]) -> None:
    assert "datasets.own.folder: found 'shapes' (str), which is no folder here" in refused(
        {"folder": "shapes", "size": 8}
    )


def test_a_folder_without_classes(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    assert "shapes holds nothing; allowed: one folder per class" in refused({"folder": "shapes", "size": 8})
    Image.new("L", (9, 9)).save(tmp_path / "shapes/a.png")
    assert "holds images, but no classes" in refused({"folder": "shapes", "size": 8})


def test_one_class_only(refused: Callable[..., str], tmp_path: Path) -> None:
    draw_into(tmp_path / "shapes", {"circle": 9})
    assert "found one class, 'circle'; allowed: two or more" in refused({"folder": "shapes", "size": 8})


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
    "name", ["<b>bold", "a&b", 'quo"te', "it's", "back\\slash", "new\nline", " blank", "x" * 61]
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
    assert "train/ and test/ have other classes: square is in one alone" in refused(
        {"folder": "shapes", "size": 8}
    )
    draw_into(tmp_path / "shapes/validation", {"circle": 5})
    assert "holds test, train, validation; allowed: one folder per class" in refused(
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


# -------------------------------------------------------------------------------------------------------- npz

CHANCE = np.random.default_rng(1)
GREY = CHANCE.integers(0, 256, (30, 10, 10), dtype=np.uint8)
LABELS = np.arange(30) % 3


def npz(tmp_path: Path, **content: Any) -> dict[str, Any]:
    np.savez_compressed(tmp_path / "own.npz", **content)
    return {"npz": "own.npz", "size": 10, "greyscale": True}


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_test", "y_test"),
    ],
)
def test_arrays_with_test_images(run: Run, tmp_path: Path, names: tuple[str, ...]) -> None:
    content = dict(zip(names, (GREY[:24], LABELS[:24, None], GREY[24:], LABELS[24:, None]), strict=True))
    status, _, err = run(npz(tmp_path, **content))
    assert status == 0, err
    found = arrays()
    assert {image.tobytes() for image in found["train_images"]} == {image.tobytes() for image in GREY[:24]}
    for image, label in zip(found["test_images"], found["test_labels"], strict=True):
        assert any(np.array_equal(image[0], GREY[i]) and LABELS[i] == label for i in range(24, 30))
    assert DATASETS["own"].classes == ("0", "1", "2")


def test_arrays_that_are_split_by_the_seed_with_names(run: Run, tmp_path: Path) -> None:
    colour = CHANCE.integers(0, 256, (30, 12, 10, 3), dtype=np.uint8)
    declaration = npz(tmp_path, images=colour, labels=LABELS, classes=["ant", "bee", "cat"])
    assert run(declaration | {"greyscale": False, "size": 8})[0] == 0
    assert arrays()["train_images"].shape == (24, 3, 8, 8)
    assert DATASETS["own"].classes == ("ant", "bee", "cat")


def test_labels_may_be_names(run: Run, tmp_path: Path) -> None:
    assert run(npz(tmp_path, images=GREY, labels=np.array(["x", "y", "z"])[LABELS]))[0] == 0
    assert DATASETS["own"].classes == ("x", "y", "z")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"pictures": GREY}, "holds pictures; allowed: the arrays train_images, train_labels"),
        (
            {"images": GREY / 255, "labels": LABELS},
            "the train images are float64 [30, 10, 10]; allowed: uint8",
        ),
        ({"images": GREY[0], "labels": LABELS}, "the train images are uint8 [10, 10]"),
        ({"images": GREY, "labels": LABELS[:29]}, "the train labels are int64 [29] for 30 images"),
        ({"images": GREY, "labels": LABELS / 2}, "the train labels are float64"),
        (
            {"images": GREY, "labels": LABELS, "classes": ["a", "b"]},
            "labels from 0 to 2 for 2 names in `classes`",
        ),
        ({"images": GREY, "labels": LABELS, "classes": ["a", "b", "a"]}, "two classes are called 'a'"),
        ({"images": GREY, "labels": LABELS, "classes": ["a", "b/c", "d"]}, "found the class 'b/c'"),
        ({"images": GREY, "labels": LABELS * 0}, "found one class, '0'"),
        ({"images": GREY[:0], "labels": LABELS[:0]}, "found no class"),
        (
            {"images": np.array([{}] * 30), "labels": LABELS},
            "is no .npz of plain arrays (Object arrays cannot",
        ),
    ],
    ids=range(11),
)
def test_arrays_that_make_no_data_set(
    refused: Callable[..., str], tmp_path: Path, content: dict[str, Any], words: str
) -> None:
    assert words in refused(npz(tmp_path, **content))


def test_what_is_no_npz(refused: Callable[..., str], tmp_path: Path) -> None:
    declaration = {"npz": "own.npz", "size": 8}
    assert "which is not there" in refused(declaration)
    (tmp_path / "own.npz").write_bytes(b"plain text")
    assert "is no .npz of plain arrays" in refused(declaration)
    npz(tmp_path, images=GREY, labels=LABELS)
    whole = (tmp_path / "own.npz").read_bytes()
    (tmp_path / "own.npz").write_bytes(whole[: len(whole) // 2])
    assert "is no .npz of plain arrays" in refused(declaration)


# ------------------------------------------------------------------------------------------------ torchvision
# Nothing is fetched: small files lie where torchvision looks for them first.


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVLAB_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror/torchvision").mkdir(parents=True)
    return tmp_path / "mirror/torchvision"


def write_idx(
    folder: Path, prefixes: tuple[str, str], first: int = 0, classes: int = 10
) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    found = {}
    for part, prefix, count in (("train", prefixes[0], 50), ("test", prefixes[1], 20)):
        images = CHANCE.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % classes + first).astype(np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
        found[part] = images
    return found


def test_kmnist(run: Run, mirror: Path) -> None:
    images = write_idx(mirror / "KMNIST/raw", ("train", "t10k"))
    status, _, err = run({"torchvision": "KMNIST", "size": 28, "greyscale": True, "mirrors": False})
    assert status == 0, err
    found = arrays()
    assert found["train_images"].shape == (50, 1, 28, 28)
    assert {image.tobytes() for image in found["test_images"]} == {
        image.tobytes() for image in images["test"]
    }
    assert DATASETS["own"].classes[0] == "o"
    assert not DATASETS["own"].mirrors


def test_the_letters_of_emnist_stand_upright_and_have_no_empty_class(run: Run, mirror: Path) -> None:
    prefixes = ("emnist-letters-train", "emnist-letters-test")
    images = write_idx(mirror / "EMNIST/raw", prefixes, first=1, classes=5)
    assert run({"torchvision": "EMNIST-letters", "size": 28, "greyscale": True})[0] == 0
    assert DATASETS["own"].classes == ("a", "b", "c", "d", "e")
    upright = {image.T.tobytes() for image in images["train"]}
    assert {image[0].tobytes() for image in arrays()["train_images"]} == upright


def test_cifar100(run: Run, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision = pytest.importorskip("torchvision")
    folder = mirror / "cifar-100-python"
    folder.mkdir()
    names = ["apple", "bear", "cup"]
    contents = {"meta": {"fine_label_names": names}}
    for part, count in (("train", 30), ("test", 9)):
        data = CHANCE.integers(0, 256, (count, 3072), dtype=np.uint8)
        contents[part] = {"data": data, "fine_labels": [number % 3 for number in range(count)]}
    digests = {}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
        digests[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    cifar = torchvision.datasets.CIFAR100
    monkeypatch.setattr(cifar, "train_list", [["train", digests["train"]]])
    monkeypatch.setattr(cifar, "test_list", [["test", digests["test"]]])
    monkeypatch.setattr(cifar, "meta", cifar.meta | {"md5": digests["meta"]})
    status, _, err = run({"torchvision": "CIFAR100", "size": 32})
    assert status == 0, err
    assert DATASETS["own"].classes == tuple(names)
    wanted = {row.tobytes() for row in contents["train"]["data"]}
    assert {image.tobytes() for image in arrays()["train_images"]} == wanted, "red, green, blue"


def test_svhn(run: Run, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision = pytest.importorskip("torchvision")
    from scipy.io import savemat

    svhn = torchvision.datasets.SVHN
    listed = dict(svhn.split_list)
    images = {}
    for part, count in (("train", 50), ("test", 20)):
        images[part] = CHANCE.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        labels = np.arange(count)[:, None] % 10 + 1  # 10 stands for 0
        buffer = io.BytesIO()
        savemat(buffer, {"X": images[part].transpose(1, 2, 3, 0), "y": labels.astype(np.uint8)})
        url, name, _ = listed[part]
        (mirror / name).write_bytes(buffer.getvalue())
        listed[part] = [url, name, hashlib.md5(buffer.getvalue()).hexdigest()]
    monkeypatch.setattr(svhn, "split_list", listed)
    status, _, err = run({"torchvision": "SVHN", "size": 32})
    assert status == 0, err
    assert DATASETS["own"].classes == tuple("0123456789")
    wanted = {image.transpose(2, 0, 1).tobytes() for image in images["train"]}
    assert {image.tobytes() for image in arrays()["train_images"]} == wanted


@pytest.mark.usefixtures("mirror")
def test_a_set_that_cannot_be_fetched_says_where_to_lay_it(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torchvision = pytest.importorskip("torchvision")
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", ["http://127.0.0.1:9/"])
    said = refused({"torchvision": "KMNIST", "size": 28})
    assert "datasets.own.torchvision: KMNIST could not be fetched" in said
    assert "MIRROR/torchvision/…" in said


def test_the_format_of_every_published_set_is_stated() -> None:
    formats = {name: dataset.format for name, dataset in DATASETS.items()}
    assert formats == {"digits": "digits", "mnist": "idx", "fashion_mnist": "idx", "cifar10": "cifar10"}
