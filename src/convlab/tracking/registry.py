"""The champion of each data set: the best network by validation accuracy, in MLflow's registry.

Only a fresh result that the gate would pass can be champion. The test accuracy is shown and chooses nothing.
"""

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlab import files
from convlab.config import load_params
from convlab.errors import InputError
from convlab.results import gate
from convlab.results.folders import finished
from convlab.results.states import StateKind, state_of
from convlab.schema import Params, Sweep
from convlab.tracking import descriptions, failures, models, records, store, writer
from convlab.tracking.run import Run
from convlab.tracking.server_lock import ServerLock

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "champion"
SCORE, LOSS = "best_validation_accuracy", "best_validation_loss"
# What is shortened has not had the epochs that params.yaml gives it: another training than the one it names
ELIGIBLE: tuple[StateKind, ...] = ("fresh", "other hardware")


def promote() -> int:
    """Move each data set's champion to a better network, if there is one whose weights are here, and say so.

    A champion whose result is no longer eligible is replaced by the best that is.

    Return the exit status: 1 if MLflow does not answer, or fails.

    Raises:
        InputError: params.yaml is wrong, so that nothing is known to be fresh.
    """
    networks = candidates(load_params(files.PARAMS))
    here = {name: [run for run in found if _missing(run) is None] for name, found in networks.items()}
    for name, found in networks.items():
        if ahead := _ahead(found, here[name]):
            print(f"{name}: {ahead}", file=sys.stderr)
    # Of a data set without any candidate, the champion may have to be called stale
    if not any(here[name] or not found for name, found in networks.items()):
        return 0
    try:
        with store.connected() as client:
            for name, found in networks.items():
                fresh = {run.fingerprint for run in found}
                if told := _promote(client, name, here[name], fresh):
                    print(f"{name}: {told}", flush=True)
    except ImportError:
        print("promote: MLflow is not installed here; no champion has moved", file=sys.stderr)
        return 1
    except Exception as error:  # whatever a registry may raise
        print(f"promote: {failures.explain(error)}", file=sys.stderr)
        return 1
    return 0


def candidates(params: Params) -> dict[str, list[Run]]:
    """List the trainings of each data set that may be champion, the best first; a data set may have none.

    A result that is not fresh, that the gate would refuse, or whose files are damaged is named on stderr.
    """
    known = descriptions.load()
    found: dict[str, list[Run]] = {}
    for name in finished():
        try:
            trainings = records.read_run(name, known).trainings()
            refusal = ineligible(name, params)
        except InputError as error:
            trainings, refusal = [], str(error)
        for run in trainings:
            of_its_data = found.setdefault(run.dataset, [])
            if SCORE in run.metrics and not refusal:
                of_its_data.append(run)
        if refusal:
            print(f"promote: {name} is left out ({refusal})", file=sys.stderr)
    for runs_of in found.values():
        runs_of.sort(key=lambda run: (-run.metrics[SCORE], run.metrics[LOSS], run.name))
    return dict(sorted(found.items()))


def ineligible(name: str, params: Params) -> str:
    """Return why no training of an experiment or a sweep may be champion; empty where one may.

    Raises:
        InputError: a file of it is damaged.
    """
    item = params.experiments.get(name) or params.sweeps.get(name)
    state = state_of(name, item)
    if state.kind not in ELIGIBLE:
        return str(state)
    if isinstance(item, Sweep):  # its scores are in the records of its trainings, and have no thresholds
        return ""
    if problem := gate.unfounded(name):
        return problem
    checks = gate.check({name: params.thresholds.get(name, {})})
    failed = [f"{one.metric} {one.problem} of {one.threshold:.4f}" for one in checks if one.problem]
    return ", ".join(failed)


def _promote(client: "MlflowClient", name: str, here: Sequence[Run], fresh: Collection[str]) -> str:
    """Move the alias of one data set if a training found is better than it; return a line on the outcome.

    `here`: the candidates whose weights are here, the best first; `fresh`: the fingerprints of all. The line
    is empty where there is neither a champion nor a candidate.
    """
    for run in here:
        if not _is_better(run, _champion(client, name), fresh):
            break
        try:
            run_id, address = _exported(client, run)
        except InputError as error:
            print(f"promote: {run.name} is left out ({error})", file=sys.stderr)
            continue
        with ServerLock(client) as lock:
            before = _champion(client, name)  # again: another clone may have promoted meanwhile
            if not _is_better(run, before, fresh):
                break
            lock.check()
            client.set_registered_model_alias(name, ALIAS, _version(client, name, run, run_id, address))
        now = f"{_title(run)} (validation {run.metrics[SCORE]:.2%})"
        return f"champion was {_shown(before, fresh)}, now {now}" if before else f"first champion: {now}"
    if champion := _champion(client, name):
        return f"champion stays {_shown(champion, fresh)}"
    return "no champion: none of the networks could be exported" if here else ""


def _is_better(run: Run, champion: Any, fresh: Collection[str]) -> bool:
    """Return whether a training replaces a champion (None: there is none yet)."""
    if champion is None or _is_stale(champion.tags, fresh):
        return True
    return run.metrics[SCORE] > float(champion.tags.get("validation_accuracy", -1.0))


def _shown(champion: Any, fresh: Collection[str]) -> str:
    """Return a champion's title, its accuracy, and whether it is stale."""
    tags = champion.tags
    stale = ", stale" if _is_stale(tags, fresh) else ""
    return f"{tags.get('title')} (validation {float(tags.get('validation_accuracy', -1.0)):.2%}{stale})"


def _is_stale(champion: Mapping[str, str], fresh: Collection[str]) -> bool:
    """Return whether a champion's result is here, and none of the candidates is the training that it is of.

    Of a result that only another clone has, nothing is known.
    """
    here = champion.get("result", "").partition("/")[0] in finished()
    return here and champion.get("fingerprint") not in fresh


def _exported(client: "MlflowClient", run: Run) -> tuple[str, str]:
    """Mirror a training with its network; return its run and the network's address in MLflow.

    Raises:
        InputError: the weights are damaged, or of another training.
    """
    assert run.origin is not None
    mirrored = writer.put(client, records.read_run(run.origin.item, descriptions.load()))
    run_id = mirrored[run.result, run.fingerprint]
    address = client.get_run(run_id).data.tags.get(writer.MODEL)
    return run_id, address or writer.export(client, run_id, run)


def _version(client: "MlflowClient", name: str, run: Run, run_id: str, address: str) -> str:
    """Return the version of the registered model that is a training's network; it is made if there is none.

    To be called under the server's lock, since this looks and then creates.
    """
    if not client.search_registered_models(f"name = '{name}'"):
        store.create_model(client, name, f"{name}: raw uint8 images [N, C, H, W] in, logits out")
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.source == address:  # it was champion before, and somebody moved the alias
            return str(version.version)
    assert run.origin is not None
    tags = {
        "title": _title(run),
        "result": run.result,
        "seed": str(run.origin.experiment.seed),
        "fingerprint": run.fingerprint,
        "validation_accuracy": str(run.metrics[SCORE]),
        "test_accuracy": str(run.metrics["test_accuracy"]),
    }
    made = client.create_model_version(
        name, address, run_id, tags, description=run.description, model_id=address.removeprefix("models:/")
    )
    return str(made.version)


def _champion(client: "MlflowClient", name: str) -> Any:
    """Return the version that is champion now, or None."""
    found = client.search_registered_models(f"name = '{name}'")
    number = found[0].aliases.get(ALIAS) if found else None
    return client.get_model_version(name, number) if number else None


def _title(run: Run) -> str:
    """Return the name of a training: its result, and the seed where there are several."""
    assert run.origin is not None
    return f"{run.result} seed {run.origin.experiment.seed}" if run.kind == "seed" else run.result


def _missing(run: Run) -> Path | None:
    assert run.origin is not None
    return models.missing(run.origin)


def _ahead(found: Sequence[Run], here: Sequence[Run]) -> str:
    """Return which training would be champion if its weights were here; empty if those of the best are."""
    if not found or (here and found[0].metrics[SCORE] <= here[0].metrics[SCORE]):
        return ""
    first = found[0]
    ahead = f"{_title(first)} (validation {first.metrics[SCORE]:.2%}) is the best"
    return f"{ahead}, but {_missing(first)} is not here; `dvc pull` brings it, or training it"
