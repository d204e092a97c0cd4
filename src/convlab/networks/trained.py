"""A trained network by the name of its result, with all that is needed to use it: `EXPERIMENT` or
`SWEEP/TRIAL`, with `@REV` as it was at a git revision or in a DVC experiment; or `DATASET@champion`, the best
of a data set by validation accuracy, of the first seeds alone, among those whose weights are here."""

import difflib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from convlab import files, results
from convlab.config import load_params
from convlab.config.explain import nearest
from convlab.config.names import can_name_a_file
from convlab.data.catalogue import DATASETS, Dataset, card, imported
from convlab.data.dataset import Statistics, load_statistics
from convlab.data.preprocess import prepare
from convlab.data.readers.raw import DataError
from convlab.data.readers.registry import read
from convlab.errors import InputError
from convlab.models.build import load_model
from convlab.models.layers import InfeasibleGeometry
from convlab.models.weights import hash_weights
from convlab.networks import champions
from convlab.pipeline import kept
from convlab.pipeline.identity import facts_key, facts_of
from convlab.pipeline.made_from import TrainingRecord, configuration
from convlab.results import folders
from convlab.results.rerun import training
from convlab.results.revisions import checked_out
from convlab.schema import Experiment

CHAMPION = "@champion"


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with its weights, of the first seed where there are several.

    `weights`: the file that they were read from, which of a revision may be gone. `accuracy` is that on the
    validation images, 0 to 1; None if no file states it.
    """

    result: str
    experiment: Experiment
    statistics: Statistics
    weights: Path
    accuracy: float | None
    model: nn.Sequential

    @property
    def dataset(self) -> Dataset:
        """The data set that it was trained on."""
        return DATASETS[self.experiment.dataset]

    def says(self) -> str:
        """Return its name, its data set and its accuracy, in a line."""
        score = "" if self.accuracy is None else f", validation accuracy {self.accuracy:.2%}"
        return f"{self.result}, trained on {self.experiment.dataset}{score}"


def load_trained(name: str) -> TrainedNetwork:
    """Load a trained network, of the configuration that it was trained with.

    Raises:
        InputError: no such result, not trained here (names the command that trains it), its files are damaged
            or do not belong together, something needed besides the weights is gone, the weights are those of
            another training, or its data set has been imported again with another shape or other classes.
    """
    result, at, revision = name.partition("@")
    if name.endswith(CHAMPION):
        result = _champion(name.removesuffix(CHAMPION))
    elif at:
        return _of_revision(result, revision)
    record = _find(result)
    experiment, own = configuration(record), _own_weights(result, record)
    if not _is_here(result, record):
        raise InputError(f"{result}: not trained here; `{_training(result)}` trains it")
    if not _is_of_today(record, experiment):
        raise InputError(
            f"{result}: trained when the images of {experiment.dataset} had another shape or other classes "
            f"than {card(experiment.dataset)} says; `{_training(result)}` trains it again"
        )
    champion = champions.find(result, record.get("weights"))
    statistics = champion[1] if champion else _statistics(result, experiment)
    places = ([own] if own.is_file() else []) + ([champion[0]] if champion else [])
    for weights in places:
        model = _model(experiment, statistics, weights, record["weights"])
        if model is not None:
            accuracy = _accuracy(result, experiment.seed)
            return TrainedNetwork(result, experiment, statistics, weights, accuracy, model.eval())
    raise InputError(
        f"{own}: not the weights of {files.trainings(record['of'])}; `dvc checkout` or "
        f"`{_training(result)}` restores them"
    )


def _of_revision(result: str, revision: str) -> TrainedNetwork:
    """Load a network as it was at a revision, with weights from git or, by its dvc.lock, from DVC's cache."""
    here, name = Path.cwd(), result.partition("/")[0]
    with checked_out(result, revision, files.champion(name), kept.LOCK):
        if problem := folders.load(name).problem:
            what = problem.removesuffix(f"; {folders.MEND}")
            raise InputError(f"{result}@{revision}: {what}; another revision may have consistent files")
        if not _records(name):
            raise InputError(f"--model: found {result!r}, which has not run at {revision}")
        try:
            record = _find(result)
            if champions.find(result, record.get("weights")) is None:
                needed = _own_weights(result, record), _kept_statistics(result, configuration(record))
                cache = kept.cache(here)
                for path in needed:
                    if cache and (found := kept.cached(path, cache)):
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.symlink_to(found)
            if not _is_here(result, record):
                raise InputError(f"its weights are neither in {files.CHAMPIONS}/ there nor in DVC's cache")
            return replace(load_trained(result), result=f"{result}@{revision}")
        except InputError as error:
            raise InputError(f"{result}@{revision}: {error}") from None


def _model(experiment: Experiment, statistics: Statistics, weights: Path, known: str) -> nn.Sequential | None:
    """Return a network with the weights of a file; None unless their hash is the one that is known."""
    try:
        model = load_model(experiment, statistics, weights)
    except (RuntimeError, InfeasibleGeometry):
        return None
    if hash_weights(model) != known:
        return None
    assert isinstance(model, nn.Sequential)
    return model


def trained_here() -> list[str]:
    """Return the results whose weights are here, sorted; of a sweep each trial."""
    found = []
    for name in folders.finished():
        try:
            records = _records(name)
        except InputError:
            continue  # `load_trained` of it says why
        for trial, record in records.items():
            result = name if trial == name else f"{name}/{trial}"
            if _is_here(result, record):
                found.append(result)
    return found


def shown_here() -> str:
    """Say in a few words what is trained here: experiments by name, sweeps with how many of their trials."""
    here = trained_here()
    sweeps = Counter(result.partition("/")[0] for result in here if "/" in result)
    names = [result for result in here if "/" not in result]
    names += [f"{sweep}/… ({count})" for sweep, count in sweeps.items()]
    return ", ".join(names) or "nothing; `dvc repro` trains what params.yaml selects"


def _find(result: str) -> TrainingRecord:
    """Return the record of a result's first training.

    Raises:
        InputError: it has none; its files are damaged or do not belong together.
    """
    name, _, trial = result.partition("/")
    records = _records(name) if can_name_a_file(name) else {}
    if trial and list(records) == [name]:
        raise InputError(f"--model: found {result!r}, but {name} is an experiment and has no trials")
    if (trial or name) in records:
        return records[trial or name]
    if records:
        raise InputError(f"--model: found {result!r}{nearest(result, [f'{name}/{one}' for one in records])}")
    params = load_params(files.PARAMS)
    if name in (known := [*params.experiments, *params.sweeps]):
        raise InputError(f"{result}: not trained here; `{_training(result)}` trains it")
    close = difflib.get_close_matches(result, known, n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    raise InputError(f"--model: found {result!r}; trained here: {shown_here()}{hint}")


def _records(name: str) -> dict[str, TrainingRecord]:
    """Return the first finished training of each trial, by its name; of an experiment under its own.

    Raises:
        InputError: its files are damaged or do not belong together.
    """
    folder, found = folders.load(name), dict[str, TrainingRecord]()
    if folder.problem:
        raise InputError(folder.problem)
    for record in folder.trainings:
        if record["status"] == "finished":
            found.setdefault(record["name"], record)
    return found


def _own_weights(result: str, record: TrainingRecord) -> Path:
    """Return where a training leaves its weights, which go before those in git."""
    name, _, trial = result.partition("/")
    return files.weights(name, record["seed"], trial or None)


def _is_here(result: str, record: TrainingRecord) -> bool:
    own = _own_weights(result, record)
    return own.is_file() or champions.find(result, record.get("weights")) is not None


def _is_of_today(record: TrainingRecord, experiment: Experiment) -> bool:
    """Return whether the shape, the range and the classes of its data set are still those of a training."""
    was = record["code"].get("prepare", {}).get(facts_key(experiment.dataset))
    return was in (None, facts_of(experiment.dataset))


def _champion(dataset: str) -> str:
    """Return the best result of a data set by validation accuracy, among those whose weights are here."""
    if dataset not in (known := [*DATASETS, *imported()]):
        raise InputError(f"--model: found the data set {dataset!r}{nearest(dataset, known)}")
    found = {}
    for result in trained_here():
        record = _find(result)
        try:
            experiment = configuration(record)
        except InputError:
            continue  # not valid under the current schema
        accuracy = _accuracy(result, experiment.seed)
        ready = champions.find(result, record.get("weights")) or _can_prepare(result, experiment)
        current = experiment.dataset == dataset and _is_of_today(record, experiment)
        if current and accuracy is not None and ready:
            found[result] = accuracy
    if not found:
        params = load_params(files.PARAMS)
        names = [name for name, one in params.experiments.items() if one.dataset == dataset]
        for name in names:
            try:
                _records(name)
            except InputError as error:  # what `git checkout` brings back takes no training
                raise InputError(f"--model: no network for {dataset} is trained here; {error}") from None
        hint = f"; `{_training(names[0])}` trains {names[0]}" if names else ""
        raise InputError(f"--model: no network for {dataset} is trained here{hint}")
    return max(found, key=found.__getitem__)


def _accuracy(result: str, seed: int) -> float | None:
    own = [row for row in results.rows(result) if row["seed"] in (seed, None)]
    return results.value(own[0], "validation_accuracy") if own else None


def _statistics(result: str, experiment: Experiment) -> Statistics:
    """Return how images become the network's input: read, or computed again, mostly without any image."""
    own = _kept_statistics(result, experiment)
    if own.is_file():
        return load_statistics(own.parent)
    recipe, dataset = experiment.preprocess, DATASETS[experiment.dataset]
    if recipe.scaling == "zscore_channel":
        try:
            return prepare(read(experiment.dataset, files.RAW), experiment).statistics
        except DataError as error:
            raise InputError(
                f"{own}: not there, and neither are the training images whose mean and deviation are in it: "
                f"{error}"
            ) from None
    channels = experiment.input_shape[0]
    return Statistics(
        scale=1.0 if recipe.scaling == "none" else 1.0 / dataset.max_value,
        mean=[0.0] * channels,
        std=[1.0] * channels,
        greyscale=recipe.greyscale,
        per_image=recipe.scaling == "zscore_image",
        input_shape=experiment.input_shape,
        classes=list(dataset.classes),
    )


def _kept_statistics(result: str, experiment: Experiment) -> Path:
    return files.PROCESSED / result.partition("/")[0] / experiment.data_key() / "statistics.json"


def _can_prepare(result: str, experiment: Experiment) -> bool:
    """Return whether `_statistics` can read or compute how images become the network's input."""
    if experiment.preprocess.scaling != "zscore_channel" or _kept_statistics(result, experiment).is_file():
        return True
    raw = files.RAW / experiment.dataset
    return all((raw / file).is_file() for file in DATASETS[experiment.dataset].files)


def _training(result: str) -> str:
    return training(result, load_params(files.PARAMS))
