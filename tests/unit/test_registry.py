"""The champion: which network it is, when the alias moves, and what it predicts."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import yaml
from mirrored import put_network
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from repository import DEFAULTS
from result import evaluation

from convlab import files
from convlab.config import load_params
from convlab.data.dataset import load_statistics
from convlab.models.build import load_model
from convlab.networks import champions
from convlab.tracking import registry, server_lock, store
from convlab.tracking.records import read_run
from convlab.train.inference import logits_of


class Settings:
    """params.yaml of the current folder: what is in it is what the tests put there."""

    def __init__(self):
        self.content = {**DEFAULTS, "experiments": {}, "run": [], "run_sweeps": []}

    def put(self, name, experiment):
        self.content["experiments"][name] = experiment.model_dump(mode="json")
        self.content["run"] = [name]
        self.write()

    def write(self):
        files.write_text(files.PARAMS, yaml.safe_dump(self.content))


@pytest.fixture
def settings():
    return Settings()


@pytest.fixture
def network(mirror, recipe, digits, settings):
    """Make the files of a small network, untrained, that is said to have a validation accuracy."""

    def make(name, accuracy, **changes):
        put_network(recipe, digits, name, accuracy, **changes)
        settings.put(name, recipe(**changes))

    return make


def champion(mirror):
    return mirror.client.get_model_version_by_alias("digits", "champion")


def test_the_champion_moves_only_to_a_better_network_and_says_so(network, mirror, capsys):
    network("one", 0.9)
    assert registry.promote() == 0
    assert capsys.readouterr().out == "digits: first champion: one (validation 90.00%)\n"
    network("two", 0.8, lr=0.5)
    registry.promote()
    assert capsys.readouterr().out == "digits: champion stays one (validation 90.00%)\n"
    network("three", 0.95, lr=0.25)
    registry.promote()
    assert (
        capsys.readouterr().out
        == "digits: champion was one (validation 90.00%), now three (validation 95.00%)\n"
    )
    shutil.rmtree(files.METRICS / "three")  # the registry holds the network itself
    registry.promote()
    assert capsys.readouterr().out == "digits: champion stays three (validation 95.00%)\n"
    version = champion(mirror)
    assert version.tags["result"] == "three"
    assert version.tags["validation_accuracy"] == "0.95"
    run = mirror.client.get_run(version.run_id)
    assert run.info.run_name == "three"
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("augmentation", ["none", "flip_shift"])
def test_the_champion_answers_for_raw_images_as_it_was_evaluated(network, recipe, digits, augmentation):
    network("one", 0.9, test_time_augmentation=augmentation)
    registry.promote()
    import mlflow

    answers = mlflow.pyfunc.load_model("models:/digits@champion")
    origin = read_run("one").origin
    statistics = load_statistics(origin.prepared)
    model = load_model(origin.experiment, statistics, origin.weights)
    logits = logits_of(model, digits.test, statistics.transform(), "fp32", augmentation)
    images = digits.test.images.numpy()
    assert images.dtype == np.uint8
    np.testing.assert_allclose(answers.predict(images), logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answers.predict(images[:1]), logits[:1], rtol=1e-4, atol=1e-5)


def test_what_is_registered_holds_no_pickle(network, tmp_path, mirror):
    network("one", 0.9)
    registry.promote()
    import mlflow

    folder = tmp_path / "there"
    mlflow.artifacts.download_artifacts("models:/digits@champion", dst_path=str(folder))
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert ".pt2" in kinds
    assert not kinds & {".pkl", ".pth", ".pt"}


def test_the_best_of_several_seeds_is_named_with_its_seed(network, capsys):
    network("one", 0.9, seeds=2)
    registry.promote()
    assert capsys.readouterr().out == "digits: first champion: one seed 1 (validation 90.00%)\n"


def test_weights_that_are_not_here_are_said_and_the_next_best_is_taken(network, capsys):
    network("one", 0.9)
    network("two", 0.95, lr=0.5)
    path = files.weights("two", 1)
    path.unlink()
    assert registry.promote() == 0
    said = capsys.readouterr()
    assert said.out == "digits: first champion: one (validation 90.00%)\n"
    assert said.err == (
        f"digits: two (validation 95.00%) is the best, but {path} is not here; `dvc pull` brings "
        "it, or training it\n"
    )


def test_weights_in_git_are_promoted_where_nothing_was_trained(network, recipe, digits, capsys):
    network("one", 0.9)
    weights = files.weights("one", 1)
    (hashed,) = (run.origin.hash for run in read_run("one").trainings())
    champions.keep("one", hashed, files.read_tensors(weights), digits.statistics)
    shutil.rmtree(files.PROCESSED)
    weights.unlink()
    assert registry.promote() == 0
    assert capsys.readouterr().out == "digits: first champion: one (validation 90.00%)\n"
    import mlflow

    answers = mlflow.pyfunc.load_model("models:/digits@champion").predict(digits.test.images.numpy()[:3])
    assert answers.shape == (3, 10)


def test_where_no_weights_are_here_mlflow_is_not_asked(network, monkeypatch, capsys):
    network("one", 0.9)
    shutil.rmtree(files.weights("one", 1).parent)
    monkeypatch.setattr(registry.store, "connected", lambda: 1 / 0)
    assert registry.promote() == 0
    assert "is not here; `dvc pull`" in capsys.readouterr().err


def test_weights_of_another_training_are_named_and_not_promoted(network, capsys):
    network("one", 0.9)
    network("two", 0.95, lr=0.5)
    tensors = files.read_tensors(files.weights("two", 1))
    files.write_tensors(files.weights("two", 1), {name: torch.zeros_like(t) for name, t in tensors.items()})
    assert registry.promote() == 0
    said = capsys.readouterr()
    assert said.out == "digits: first champion: one (validation 90.00%)\n"
    assert "two is left out (data/models/two/seed-1.safetensors: not the weights that" in said.err


def test_a_damaged_result_is_named_and_left_out(network, capsys):
    network("one", 0.9)
    network("two", 0.95)
    files.write_text(files.trainings("two"), "{")
    registry.promote()
    said = capsys.readouterr()
    assert said.out == "digits: first champion: one (validation 90.00%)\n"
    assert "promote: two is left out (metrics/two/trainings.json: unreadable" in said.err


def test_an_unreachable_registry_is_one_line(network, monkeypatch, capsys):
    network("one", 0.9)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:secret@127.0.0.1:9")
    assert registry.promote() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("promote: http://127.0.0.1:9 does not answer (")
    assert "secret" not in line


def test_params_that_cannot_be_read_promote_nothing(network, convlab, mirror):
    network("one", 0.9)
    files.PARAMS.write_text("lr: [1\n")
    status, out, err = convlab("promote")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "params.yaml" in err
    assert not mirror.client.search_registered_models()


@pytest.mark.parametrize(
    ("changes", "state"),
    [({"lr": 0.5}, "stale: lr: 0.002 → 0.5"), ({"epochs": 3}, "shortened: epochs: 2 → 3")],
    ids=["stale", "shortened"],
)
def test_what_is_not_fresh_is_named_and_not_promoted(network, settings, recipe, capsys, changes, state):
    network("one", 0.9)
    network("two", 0.95, batch_size=32)
    settings.put("two", recipe(batch_size=32, **changes))
    assert registry.promote() == 0
    said = capsys.readouterr()
    assert said.out == "digits: first champion: one (validation 90.00%)\n"
    assert said.err == f"promote: two is left out ({state})\n"


def test_a_result_that_params_do_not_have_is_not_promoted(network, settings, mirror, capsys):
    network("one", 0.9)
    network("two", 0.8, lr=0.5)
    del settings.content["experiments"]["one"]
    settings.write()
    registry.promote()
    said = capsys.readouterr()
    assert said.out == "digits: first champion: two (validation 80.00%)\n"
    assert said.err == "promote: one is left out (stale: not in params.yaml)\n"


def test_only_what_the_gate_passes_is_promoted(network, settings, capsys):
    network("one", 0.9)
    network("two", 0.95, lr=0.5)
    settings.content["thresholds"] = {"two": {"test_accuracy": 0.99}, "one": {"test_accuracy": 0.9}}
    settings.write()
    registry.promote()
    said = capsys.readouterr()
    assert said.out == "digits: first champion: one (validation 90.00%)\n"
    assert said.err == ("promote: two is left out (test_accuracy is 0.9500, below its threshold of 0.9900)\n")


def test_scores_of_another_training_promote_nothing(network, settings, mirror, capsys):
    network("one", 0.9)
    (record,) = files.read_json(files.trainings("one"))
    (scores,) = files.read_json(files.scores("one"))
    code = {"code": scores["code"], "weights": "of another training"}
    files.write_json(files.scores("one"), [evaluation(record, **code)])
    registry.promote()
    said = capsys.readouterr()
    assert said.out == ""
    assert "promote: one is left out (" in said.err
    assert not mirror.client.search_registered_models()


def test_a_champion_that_is_stale_is_said_to_be_and_gives_way_to_a_fresh_one(
    network, settings, recipe, mirror, capsys
):
    network("one", 0.9)
    registry.promote()
    settings.put("one", recipe(lr=0.01))
    capsys.readouterr()
    registry.promote()
    said = capsys.readouterr()
    assert said.out == "digits: champion stays one (validation 90.00%, stale)\n"
    assert said.err == "promote: one is left out (stale: lr: 0.002 → 0.01)\n"
    network("two", 0.8, lr=0.5)
    registry.promote()
    assert capsys.readouterr().out == (
        "digits: champion was one (validation 90.00%, stale), now two (validation 80.00%)\n"
    )
    assert champion(mirror).tags["result"] == "two"


def test_a_champion_that_was_trained_again_is_replaced_by_its_successor(network, capsys):
    network("one", 0.9)
    registry.promote()
    network("one", 0.85, lr=0.01)
    capsys.readouterr()
    registry.promote()
    assert capsys.readouterr().out == (
        "digits: champion was one (validation 90.00%, stale), now one (validation 85.00%)\n"
    )


@pytest.mark.parametrize("first", ["one", "two"])
def test_of_two_clones_at_once_the_better_one_is_champion(network, mirror, monkeypatch, first):
    """The second begins just before the first makes the registered model. The database is one of a server, so
    to speak: the clones have only the server's lock in common."""
    monkeypatch.setattr(server_lock, "tracking_uri", lambda: "http://server")
    network("one", 0.9)
    network("two", 0.95, lr=0.5)
    runs = registry.candidates(load_params(files.PARAMS))["digits"]
    fresh = {run.fingerprint for run in runs}
    here = {
        name: [run for run in runs if (run.name == first) == (name == "first")]
        for name in ("first", "second")
    }
    goes_on = threading.Event()  # the second has ended, or waits for the first

    with store.connected() as client, ThreadPoolExecutor() as pool:
        other = type(client)()
        create, search = client.create_registered_model, other.search_registered_models

        def second_begins(name, **keys):
            if name == "digits":
                ended.append(pool.submit(registry._promote, other, "digits", here["second"], fresh))
                ended[0].add_done_callback(lambda _: goes_on.set())
                goes_on.wait()
            return create(name, **keys)

        def looks(filter_string, **keys):
            found = search(filter_string, **keys)
            if found and server_lock.PREFIX in filter_string:
                goes_on.set()
            return found

        ended = []
        monkeypatch.setattr(client, "create_registered_model", second_begins)
        monkeypatch.setattr(other, "search_registered_models", looks)
        said = [registry._promote(client, "digits", here["first"], fresh), ended[0].result()]
    assert champion(mirror).tags["result"] == "two"
    assert said[0].startswith(f"first champion: {first} ")
    one_after_the_other = "champion was one (validation 90.00%), now two (validation 95.00%)"
    assert said[1] == (one_after_the_other if first == "one" else "champion stays two (validation 95.00%)")
    assert [one.name for one in mirror.client.search_registered_models()] == ["digits"]


def test_an_answer_that_got_lost_makes_no_trouble(network, mirror, monkeypatch, capsys):
    network("one", 0.9)
    with store.connected() as client:
        make = type(client).create_registered_model

        def asked_twice(self, name, **keys):
            make(self, name, **keys)
            return make(self, name, **keys)

        monkeypatch.setattr(type(client), "create_registered_model", asked_twice)
    assert registry.promote() == 0
    assert capsys.readouterr().out == "digits: first champion: one (validation 90.00%)\n"


def test_what_a_registry_refuses_is_said_as_what_it_is(network, mirror, monkeypatch, capsys):
    network("one", 0.9)
    with store.connected() as client:
        pass

    def refuse(*_, **__):
        raise MlflowException("no model may be made here", error_code=PERMISSION_DENIED)

    monkeypatch.setattr(type(client), "create_registered_model", refuse)
    assert registry.promote() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"promote: {store.shown_uri()} failed: no model may be made here"
