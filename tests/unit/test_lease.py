"""The lease (bench/gpu): what is trained and when, and that its outcome is what the pipeline would give."""

import hashlib
import json
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import PARAMS, ROOT
from training import Make

from convlab import files, trainings
from convlab.config import load_params
from convlab.data.dataset import Prepared, save
from convlab.data.readers import Raw
from convlab.errors import InputError
from convlab.identity import code_by_phase
from convlab.ledger import Ledger
from convlab.schema import Experiment, Sweep
from convlab.train.history import History
from convlab.train.run import fingerprint_of
from convlab.trainings import Job, Trainings
from gpu.bring import EXPERIMENT, SWEEP, altered, unpack
from gpu.collect import collect, for_the_next
from gpu.crew import Crew
from gpu.finish import lay_out
from gpu.images import decode, encode
from gpu.kept import pack_kept
from gpu.lock import hash_of, selection
from gpu.pack import manifest_of
from gpu.plan import Entry, Item, load_items, read_plan, seeds_of, wanted, with_seeds
from gpu.schedule import Schedule, Training
from gpu.seeds_in_params import edited, set_seeds
from gpu.splits import data_hash, prepare_as
from gpu.worker import to_come

PLAN = ROOT / "bench/gpu/plan.yaml"
NAMES = [entry.name for entry in read_plan(PLAN).entries]

# ----------------------------------------------------------------------------------------------------- data


@pytest.mark.parametrize("shape", [(120, 3, 32, 32), (50, 1, 28, 28), (1, 1, 8, 8)])
@pytest.mark.parametrize("kind", ["noise", "smooth"])
def test_packed_images_come_back_to_the_last_bit(shape: tuple[int, int, int, int], kind: str) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, shape, np.uint8)
    if kind == "smooth":
        images[:] = np.add.outer(np.arange(shape[2]), np.arange(shape[3])).astype(np.uint8)
        images += np.arange(shape[0], dtype=np.uint8)[:, None, None, None]
    content, how = encode(images)
    assert np.array_equal(decode(content, how, shape), images)


def test_prepared_data_is_the_same_there_or_refused(
    digits_raw: Raw, digits: Prepared, recipe: Callable[..., Experiment], tmp_path: Path
) -> None:
    manifest = json.loads(json.dumps(manifest_of(recipe(), digits)))
    prepare_as(manifest, digits_raw, tmp_path / "there")
    save(digits, tmp_path / "here")
    assert fingerprint_of(recipe(), tmp_path / "there") == fingerprint_of(recipe(), tmp_path / "here")
    parts = [
        tmp_path / "here" / part
        for part in ("train.safetensors", "validation.safetensors", "statistics.json")
    ]
    assert data_hash(manifest["files"]) == trainings.hash_files(parts)
    digits_raw.train_images[0, 0, 0, 0] ^= 1
    try:
        with pytest.raises(InputError, match=r"train\.safetensors has SHA-256"):
            prepare_as(manifest, digits_raw, tmp_path / "again")
    finally:
        digits_raw.train_images[0, 0, 0, 0] ^= 1
    assert not (tmp_path / "again").exists()


# ----------------------------------------------------------------------------------------------------- plan


def test_the_plan_names_what_params_has() -> None:
    assert set(load_items(NAMES, ROOT / "params.yaml")) == set(NAMES)
    assert set(read_plan(PLAN).champions) <= set(NAMES)


@pytest.mark.parametrize("seeds", [1, 3])
def test_items_with_seeds_are_what_params_would_resolve(seeds: int, tmp_path: Path) -> None:
    params = json.loads(json.dumps(PARAMS))
    for name in NAMES:
        params["experiments" if name in params["experiments"] else "sweeps"][name]["seeds"] = seeds
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    resolved = load_items(NAMES, tmp_path / "params.yaml")
    for name, item in load_items(NAMES, ROOT / "params.yaml").items():
        assert with_seeds(item, seeds) == resolved[name]
        assert seeds_of(resolved[name]) == seeds


def test_the_first_seed_of_everything_comes_before_the_second_of_anything(
    recipe: Callable[..., Experiment], sweep: Make
) -> None:
    items: dict[str, Item] = {"a": recipe(), "b": sweep({"lr": 0.1}, {"lr": 0.2})}
    found = wanted([Entry("a", 1), Entry("b", 1)], items, 2)
    labels = [
        "a seed-1",
        "b lr-0.1_seed-1",
        "b lr-0.2_seed-1",
        "a seed-2",
        "b lr-0.1_seed-2",
        "b lr-0.2_seed-2",
    ]
    assert [one.label for one in found] == labels


@pytest.mark.parametrize(
    "text", ["items: 3", "items: [{name: a}]", "{}", "items: [{name: a, seconds: 0}]", "3"]
)
def test_what_is_no_plan_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(InputError, match=r"plan\.yaml"):
        read_plan(tmp_path / "plan.yaml")


# ------------------------------------------------------------------------------------------------- schedule


def scheduled(recipe: Callable[..., Experiment], ledger: Path) -> Schedule:
    entries = [Entry("large", 50), Entry("small", 5)]
    items: dict[str, Item] = {"large": recipe(lr=0.1), "small": recipe(lr=0.2)}
    return Schedule([Training(one.label, [one]) for one in wanted(entries, items, 2)], ledger)


def finished(ledger: Path, training: Training, seconds: float) -> None:
    content = {"status": "finished", "timing": {"seconds": seconds}, "results": {"epochs": 1}}
    files.write_json(ledger / training.key / "finished.json", content)


def test_a_training_starts_if_its_data_is_there_and_it_would_end_in_time(
    recipe: Callable[..., Experiment], tmp_path: Path
) -> None:
    schedule, data = scheduled(recipe, tmp_path), {recipe().data_key()}
    large, small, *_ = schedule.trainings
    assert schedule.next(100, data) is large
    assert schedule.next(40, data) is small
    assert schedule.next(4, data) is None
    assert schedule.next(100, set()) is None


def test_estimates_come_from_what_has_ended(recipe: Callable[..., Experiment], tmp_path: Path) -> None:
    schedule = scheduled(recipe, tmp_path)
    small, again = (one for one in schedule.trainings if "small" in one.label)
    assert schedule.estimate(again) == 5
    finished(tmp_path, small, 100)
    schedule.ended(small, 100)
    assert 200 < schedule.estimate(again) < 250  # of two epochs


def test_a_daemon_goes_on_from_the_ledger(recipe: Callable[..., Experiment], tmp_path: Path) -> None:
    for training in scheduled(recipe, tmp_path).trainings[:3]:
        finished(tmp_path, training, 1)
    schedule = scheduled(recipe, tmp_path)
    assert [training.state for training in schedule.trainings] == ["done", "done", "done", "waiting"]
    assert (schedule.complete("large"), schedule.complete("small"), schedule.complete("other")) == (2, 1, 0)


def test_what_ended_with_the_lease_counts_and_what_was_cut_off_waits(
    recipe: Callable[..., Experiment], tmp_path: Path
) -> None:
    schedule = scheduled(recipe, tmp_path)
    done, cut_off, *_ = schedule.trainings
    done.state = cut_off.state = "running"
    finished(tmp_path, done, 1)
    schedule.look_up()
    assert (done.state, cut_off.state) == ("done", "waiting")


def test_what_fails_twice_is_left(recipe: Callable[..., Experiment], tmp_path: Path) -> None:
    schedule = scheduled(recipe, tmp_path)
    large = schedule.trainings[0]
    for state in ("waiting", "failed"):
        large.attempts += 1
        schedule.failed(large)
        assert large.state == state


def test_a_training_is_late_once_its_fastest_recent_epoch_says_so(
    recipe: Callable[..., Experiment], tmp_path: Path
) -> None:
    schedule = scheduled(recipe, tmp_path)
    large, *_, other = schedule.trainings
    assert not schedule.late(large, 100, to_come=9, left=10)  # the device warms up
    assert not schedule.late(large, 1, to_come=8, left=10)
    assert not schedule.late(large, 5, to_come=7, left=10)
    assert not schedule.late(large, 5, to_come=6, left=10)
    assert schedule.late(large, 5, to_come=5, left=10)
    assert not schedule.late(large, 5, to_come=0, left=-1)
    large.state = "running"
    schedule.stopped(large)
    again = next(one for one in schedule.trainings[1:] if "large" in one.label)
    assert schedule.next(1000, {recipe().data_key()}) is not large
    assert (schedule.estimate(again) > 10, schedule.estimate(other)) == (True, 5)  # of two epochs


def history_of(*losses: float) -> History:
    return History(records=[{"validation_loss": loss, "penalty": 1 - loss} for loss in losses])


def test_early_stopping_may_end_a_training_before_its_last_epoch(recipe: Callable[..., Experiment]) -> None:
    assert to_come(history_of(0.5, 0.4), recipe(epochs=10)) == 8
    stopping = {"epochs": 10, "early_stopping": {"patience": 3}}
    assert to_come(history_of(0.5, 0.4, 0.4, 0.6), recipe(**stopping)) == 1
    assert to_come(history_of(0.5, 0.4), recipe(**stopping)) == 3
    assert to_come(history_of(*[0.5] * 8, 0.1), recipe(**stopping)) == 1
    assert to_come(history_of(0.5, 0.4), recipe(**stopping, monitor="penalised_loss")) == 2


def test_a_worker_that_is_asked_to_stop_leaves_a_checkpoint(
    recipe: Callable[..., Experiment], digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    experiment = recipe(epochs=100_000, threads=1)
    save(digits, tmp_path / "prepared" / experiment.data_key())
    (one,) = wanted([Entry("long", 1)], {"long": experiment}, 1)
    crew, training = Crew(1, tmp_path), Training("key", [one])
    events = []
    try:
        while not (idle := crew.idle()):
            list(crew.look(60))
        crew.give(idle[0], training)
        while not events or events[-1].kind == "epoch":
            events += crew.look(60)
            crew.stop(training)
        assert [event.kind for event in events][-1] == "stopped"
        assert events[0].kind == "epoch"
        assert events[0].seconds > 0
        assert events[0].to_come == 99_999
        assert list((tmp_path / "ledger/key/checkpoints").iterdir())
        assert not crew.idle()  # the next one is being started
    finally:
        crew.end()


# -------------------------------------------------------------------------------------------------- results


def test_stages_keep_what_the_lease_trained_and_equal_trainings_are_one(
    recipe: Callable[..., Experiment],
    sweep: Make,
    digits: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    experiment, study = recipe(epochs=1, seeds=2), with_seeds(sweep({"lr": 0.002}, epochs=1), 2)
    assert isinstance(study, Sweep)
    for one in wanted([Entry("alone", 1)], {"alone": experiment}, 2):
        folder = tmp_path / "prepared" / one.trial.experiment.data_key()
        save(digits, folder)
        key = fingerprint_of(one.trial.experiment, folder)
        trainings._run(
            Job(one.label, one.trial, folder, key, key, scored=True), Ledger(tmp_path / "ledger"), 1
        )
    capsys.readouterr()
    items: dict[str, Item] = {"alone": experiment, "study": study}
    for name, item in items.items():
        monkeypatch.chdir(tmp_path)
        lay_out(name, item, tmp_path, tmp_path / name)
        ended = Trainings(name, item, files.PROCESSED / name, files.ledger(name)).run()
        assert capsys.readouterr().out.count("finished before the cut-off, kept\n") == 2
        assert [("test" in done.results) for _, done in ended] == [name == "study"] * 2
        assert all(done.weights for _, done in ended)


def test_a_collection_brings_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    lease = tmp_path / "lease"
    files.write_json(lease / "manifest.json", {"data": {}})
    files.write_json(lease / "status.json", {"trainings": []})
    done = lease / "finished/mnist_vgg/1"
    for path, content in (
        ("metrics/mnist_vgg/train.json", "{}"),
        ("data/models/mnist_vgg/seed-1.safetensors", "x"),
    ):
        files.write_text(done / path, content)
    files.write_json(
        done / "outputs.json",
        {
            str(path.relative_to(done)): {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "size": 1}
            for path in done.rglob("*.*")
        },
    )

    def names(out: Path) -> set[str]:
        with tarfile.open(next(out.iterdir())) as tar:
            return set(tar.getnames())

    collect(lease, tmp_path / "first")
    brought = {"metrics/mnist_vgg/train.json", "data/models/mnist_vgg/seed-1.safetensors"}
    assert names(tmp_path / "first") >= brought | {"manifest.json"}
    collect(lease, tmp_path / "second")
    assert not names(tmp_path / "second") & brought


def test_the_next_lease_goes_on_with_what_one_has_trained_or_begun(
    recipe: Callable[..., Experiment],
    sweep: Make,
    digits: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gpu.kept.KEPT", tmp_path / "kept")
    items: dict[str, Item] = {"one": recipe(epochs=1), "study": sweep({"lr": 0.004}, {"lr": 0.003}, epochs=1)}
    found = wanted([Entry("one", 1), Entry("study", 1)], items, 1)
    data = {recipe().data_key(): {"files": json.loads(json.dumps(manifest_of(recipe(), digits)))["files"]}}
    rows = []
    lease, prepared = tmp_path / "lease", tmp_path / "prepared" / recipe().data_key()
    save(digits, prepared)
    for one in found:
        key = fingerprint_of(one.trial.experiment, prepared)
        ended = one is not found[-1]
        if ended:
            job = Job(one.label, one.trial, prepared, key, key, scored=True)
            trainings._run(job, Ledger(lease / "ledger"), 1)
        else:
            for name in ("000002-00000000-a", "000003-00000000-b"):
                files.write_bytes(lease / "ledger" / key / f"checkpoints/{name}.safetensors", b"state")
        state = "done" if ended else "stopped"
        rows.append({"key": key, "state": state, "items": [f"{one.entry.name}:{one.level}"]})
    files.write_json(lease / "status.json", {"trainings": rows})
    (lease / "finished/one/1").mkdir(parents=True)
    keys = [row["key"] for row in rows]
    came = {name: path for name, path, _ in for_the_next(lease)}
    assert sorted(came) == sorted(
        [
            f"ledger/{keys[1]}/model.safetensors",
            f"ledger/{keys[2]}/checkpoints/000003-00000000-b.safetensors",
        ]
    )
    for name, path in came.items():
        assert isinstance(path, Path)
        files.write_bytes(tmp_path / "kept" / name, path.read_bytes())
    for key in keys[:2]:
        content = (lease / "ledger" / key / "finished.json").read_bytes()
        files.write_bytes(tmp_path / "kept/ledger" / f"{key}.json", content)
    weights = files.weights("one", found[0].trial.experiment.seed)
    files.write_bytes(weights, (lease / "ledger" / keys[1] / "model.safetensors").read_bytes())
    assert pack_kept(found, data, tmp_path / "first", 1 << 20) == 2  # those are another training's weights
    files.write_bytes(weights, (lease / "ledger" / keys[0] / "model.safetensors").read_bytes())
    assert pack_kept(found, data, tmp_path / "there", 1 << 20) == 3
    assert pack_kept(found, data, tmp_path / "small", 5) == 1
    ledger = Ledger(tmp_path / "there")
    assert [bool((done := ledger.find(key)) and done.weights) for key in keys] == [True, True, False]
    assert (ledger.checkpoints(keys[2]) / "000003-00000000-b.safetensors").read_bytes() == b"state"


# --------------------------------------------------------------------------------------------------- params


def test_seeds_are_set_and_all_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    path.write_text(text)
    before = load_params(path)
    set_seeds(path, {"mnist_cnn": 3, "mnist_vgg_l2": 2, "mnist_cnn_l2": 3})
    after = load_params(path)
    assert after.experiments["mnist_cnn"].seeds == 3
    assert seeds_of(after.sweeps["mnist_vgg_l2"]) == 2
    changed = {name for name in before.sweeps if before.sweeps[name] != after.sweeps[name]}
    assert changed == {"mnist_vgg_l2"}

    def others(content: str) -> list[str]:
        return [line for line in content.splitlines() if not line.startswith("    seeds: ")]

    assert others(path.read_text()) == others(text)


def test_a_number_of_seeds_is_replaced_where_it_stands() -> None:
    text = "sweeps:\n  a:\n    seeds: 3   # why\n    grid: {}\n  b:   # other\n    grid: {}\n"
    assert edited(text, "sweeps", "a", 2) == text.replace("3", "2")
    assert edited(text, "sweeps", "b", 2) == text.replace("other\n", "other\n    seeds: 2\n")
    with pytest.raises(InputError, match=r"sweeps\.c"):
        edited(text, "sweeps", "c", 2)


def test_params_are_as_before_after_a_selection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(text)

    def interrupted() -> None:
        with selection(["mnist_vgg"], []):
            assert load_params().run == ["mnist_vgg"]
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert Path("params.yaml").read_text() == text


def test_a_folders_hash_is_dvcs(committed: Path) -> None:
    outputs = yaml.safe_load((committed / "dvc.lock").read_text())["stages"]["resolve"]["outs"]
    recorded = next(output for output in outputs if output["path"] == "data/configs")
    # What git has of data/configs is what DVC has recorded, while resolve is up to date
    known = {
        str(path.relative_to(committed)): {
            "md5": hashlib.md5(path.read_bytes()).hexdigest(),
            "size": path.stat().st_size,
        }
        for path in (committed / "data/configs").iterdir()
    }
    found, meta = hash_of("data/configs", known)
    assert (found.value, meta.size, meta.nfiles) == (recorded["md5"], recorded["size"], recorded["nfiles"])


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_an_archive_reaches_nothing_outside_its_folder(name: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "lease-01.tar.gz.00", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(InputError, match="not of a lease"):
        unpack(tmp_path, tmp_path / "to")
    assert not (tmp_path / "outside").exists()


def test_pieces_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no lease-"):
        unpack(tmp_path, tmp_path / "to")
    (tmp_path / "lease-01.tar.gz.00").write_bytes(b"no archive")
    with pytest.raises(InputError, match="damaged, or a piece is missing"):
        unpack(tmp_path, tmp_path / "to")


@pytest.mark.parametrize(
    ("changed", "stages"),
    [
        ("figures.curves", {"visualize", "visualize_sweep"}),
        ("train.fit", {"train", "sweep"}),
        ("evaluate", {"evaluate", "sweep"}),
        ("stages/train.py", {"train"}),
        ("cli", set()),
    ],
)
def test_a_stage_that_ran_with_other_code_is_known(changed: str, stages: set[str]) -> None:
    items = load_items(["mnist_vgg", "mnist_vgg_l2"], ROOT / "params.yaml").values()
    for item, kinds in zip(items, (EXPERIMENT[1:], SWEEP[1:]), strict=True):
        there = {
            phase: {name: "of another version" if name == changed else text for name, text in modules.items()}
            for phase, modules in code_by_phase(item).items()
        }
        assert {kind for kind in kinds if altered(kind, item, there)} == stages & set(kinds)
        less = {phase: {n: t for n, t in code.items() if n != changed} for phase, code in there.items()}
        assert {kind for kind in kinds if altered(kind, item, less)} == stages & set(kinds)


def test_what_came_before_a_lost_piece_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(tmp_path / "whole", "w:gz") as tar:
        for name, size in (("manifest.json", 10), ("metrics/a", 10), ("data/models/a", 5_000_000)):
            entry = tarfile.TarInfo(name)
            entry.size = size
            tar.addfile(entry, BytesIO(np.random.default_rng(0).bytes(size)))
    (tmp_path / "lease-01.tar.gz.00").write_bytes((tmp_path / "whole").read_bytes()[:2_000_000])
    unpack(tmp_path, tmp_path / "to")
    assert "its first 2 files are whole" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "to").rglob("*") if path.is_file()) == [
        "a",
        "manifest.json",
    ]
