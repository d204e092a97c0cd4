"""`convlab predict`: a trained network's predictions for pictures that it has never seen."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convlab import files
from convlab.data.card import fit_of
from convlab.data.dataset import Split
from convlab.data.framing import show_as
from convlab.data.pictures import SUFFIXES, open_picture
from convlab.errors import InputError
from convlab.figures.prediction import Prediction
from convlab.models.weights import hash_weights
from convlab.networks.trained import TrainedNetwork, load_trained, shown_here
from convlab.train.inference import logits_of

THEN = 2  # classes that are printed after the first
MOST_EXPLAINED = 12  # pictures in one figure


def command(
    images: list[Path], model: str | None, explain: Path | None, as_json: bool, csv: Path | None
) -> None:
    """Predict pictures, and those in folders; print lines, JSON or CSV, and draw where the network looked.

    Raises:
        InputError: anything wrong with a picture, the network or a file to write; nothing is printed before.
    """
    paths = pictures(images)
    if explain is not None and len(paths) > MOST_EXPLAINED:
        raise InputError(f"--explain: found {len(paths):,} pictures; allowed: at most {MOST_EXPLAINED}")
    if explain is not None and explain.suffix not in (".png", ".svg"):
        raise InputError(f"--explain: found {str(explain)!r}; allowed: a file that ends in .png or .svg")
    for option, path in (("--explain", explain), ("--csv", csv)):
        if path is not None and path.is_dir():
            raise InputError(f"{option}: found {str(path)!r}, which is a folder; allowed: a file to write")
    trained = load_trained(_chosen(model))
    predictions = predict(trained, paths)
    try:
        if explain is not None:
            from convlab.figures.explained import explained
            from convlab.figures.style import save, styled

            with styled():
                save(explained(trained.says(), trained.model, trained.statistics, predictions), explain)
        if csv is not None:
            files.write_csv(csv, _as_table(predictions))
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be written: {error.strerror}") from None
    except UnicodeEncodeError as error:
        named = ascii(error.object[max(0, error.start - 30) : error.end + 30])
        raise InputError(f"--csv: the name of a picture is not UTF-8, near {named}; rename it") from None
    if as_json:
        print(json.dumps(_as_json(trained, predictions), indent=2, ensure_ascii=False))
    elif csv is None and any(path.is_dir() for path in images):
        print(files.csv_text(_as_table(predictions)), end="")
    else:
        if csv is None:
            _say(trained, predictions)
        for written in filter(None, (explain, csv)):
            print(f"written: {written}")


def pictures(images: list[Path]) -> list[Path]:
    """Return the pictures that are named, and those anywhere below a folder that is named.

    Raises:
        InputError: a folder holds none.
    """
    found: list[Path] = []
    for path in images:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [one for one in sorted(path.rglob("*")) if one.suffix.lower() in SUFFIXES]
        inside = [one for one in inside if one.is_file() or one.is_symlink()]  # to nothing: not left out
        inside = [
            one for one in inside if not any(part.startswith(".") for part in one.relative_to(path).parts)
        ]
        if not inside:
            raise InputError(f"{path}: no pictures in it; allowed: {', '.join(SUFFIXES)}")
        found += inside
    return found


def predict(trained: TrainedNetwork, paths: Sequence[Path]) -> list[Prediction]:
    """Return a network's predictions for pictures, converted as its training images were.

    Raises:
        InputError: one of them is not a picture, is damaged or too large.
    """
    dataset, fit = trained.dataset, fit_of(trained.experiment.dataset)
    seen = [show_as(open_picture(path), dataset, fit) for path in paths]
    stacked = np.stack([one.pixels for one in seen]).astype(np.uint16)
    images = torch.from_numpy(((stacked * dataset.max_value + 127) // 255).astype(np.uint8))
    split = Split(images, torch.zeros(len(images), dtype=torch.int64))
    transform, views = trained.statistics.transform(), trained.experiment.test_time_augmentation
    probabilities = logits_of(trained.model, split, transform, "fp32", views).softmax(1)
    return [
        Prediction(path, image.numpy(), one.inverted, one.framed, one.blank, row, trained.statistics.classes)
        for path, image, one, row in zip(paths, images, seen, probabilities, strict=True)
    ]


def _chosen(model: str | None) -> str:
    if model is None:
        raise InputError(
            f"--model: not given; allowed: DATASET@champion, or what is trained here: {shown_here()}"
        )
    return model


def _say(trained: TrainedNetwork, predictions: list[Prediction]) -> None:
    for prediction in predictions:
        if prediction.blank:
            print(f"{prediction.path}: nothing stands out in it")
            continue
        (name, probability), *others = prediction.best[: 1 + THEN]
        then = ", ".join(f"{other} {share:.2%}" for other, share in others)
        print(f"{prediction.path}: {name} {probability:.2%} (then {then}){_done(trained, prediction)}")
    print(f"by {trained.says()}")


def _done(trained: TrainedNetwork, prediction: Prediction) -> str:
    """Return what was done to a picture before the network saw it."""
    name, ways = trained.experiment.dataset, ("dark on light", "light on dark")
    was, wanted = ways if trained.dataset.background == "dark" else ways[::-1]
    inverted = f"inverted ({was}, where {name} is {wanted})" if prediction.inverted else ""
    framed = f"cut out and centred as in {name}" if prediction.framed else ""
    return "".join(f"; {text}" for text in (inverted, framed) if text)


def _as_table(predictions: list[Prediction]) -> list[dict[str, Any]]:
    """Return the rows of a CSV; a cell is empty where a prediction has nothing to say."""
    rows = [prediction.row() for prediction in predictions]
    return [{key: "" if value is None else value for key, value in row.items()} for row in rows]


def _as_json(trained: TrainedNetwork, predictions: list[Prediction]) -> dict[str, Any]:
    return {
        "model": trained.result,
        "dataset": trained.experiment.dataset,
        "weights": hash_weights(trained.model),
        "predictions": [
            one.row() | {"probabilities": None if one.blank else {key: round(p, 6) for key, p in one.best}}
            for one in predictions
        ],
    }
