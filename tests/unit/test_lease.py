"""The lease (bench/gpu): what is trained and when, and that its outcome is what the pipeline would give."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import params
import pytest
import yaml
from repository import PARAMS, ROOT
from training import Make

from bench import work_tree
from bench.gpu import first_steps
from bench.gpu.background import BackgroundTasks
from bench.gpu.images import decode, encode
from bench.gpu.lease import note
from bench.gpu.pack import LARGEST, NOT_NEEDED, SMALLER, Parts, manifest_of, room_beside, worth
from bench.gpu.plan import Entry, load_items, read_plan, wanted
from bench.gpu.prepare_data import data_hash, prepare_as
from bench.gpu.schedule import Schedule, Training
from bench.gpu.worker import to_come
from bench.gpu.worker_pool import Event, WorkerPool
from convlab import files
from convlab.config.seed_counts import Item, seeds_of, with_seeds
from convlab.data.dataset import Prepared, save
from convlab.data.readers.raw import Raw
from convlab.errors import InputError
from convlab.pipeline.provenance import hash_files
from convlab.pipeline.run import fingerprint_of
from convlab.schema import Experiment
from convlab.train.history import History

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
    assert data_hash(manifest["files"]) == hash_files(parts)
    digits_raw.train_images[0, 0, 0, 0] ^= 1
    try:
        with pytest.raises(InputError, match=r"train\.safetensors has SHA-256"):
            prepare_as(manifest, digits_raw, tmp_path / "again")
    finally:
        digits_raw.train_images[0, 0, 0, 0] ^= 1
    assert not (tmp_path / "again").exists()


# ---------------------------------------------------------------------------------------------------- parts


def test_the_repositorys_tree_leaves_room_for_the_largest_file() -> None:
    needed = [name for name in work_tree.listed(ROOT) if Path(name).parts[0] not in NOT_NEEDED]
    assert room_beside(sum((ROOT / name).stat().st_size for name in needed)) >= LARGEST


def test_a_tree_that_leaves_no_room_is_refused_with_the_command_that_makes_it_smaller() -> None:
    with pytest.raises(InputError, match=r"60,000,000 bytes; allowed: .* `git sparse-checkout set .*plots"):
        room_beside(60_000_000)
    assert SMALLER in (ROOT / "bench/gpu.md").read_text()


def test_that_command_leaves_out_what_the_machine_does_not_need(tmp_path: Path) -> None:
    kept = {"src/a", "bench/plots/a", "README.md"}
    for name in (*kept, *(f"{folder}/a" for folder in NOT_NEEDED)):
        files.write_text(tmp_path / name, name)
    commit = "git init -q && git add -A && git -c user.name=a -c user.email=a@b commit -qm a"
    for command, there in (
        (f"{commit} && {SMALLER}", kept),
        ("git sparse-checkout disable", kept | {f"{folder}/a" for folder in NOT_NEEDED}),
    ):
        subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
        assert {*work_tree.listed(tmp_path)} == there


def test_a_file_goes_into_the_first_part_that_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parts = Parts(room=100, first=60)
    assert [parts.add(name, bytes(50))["file"] for name in "abcd"] == [
        "data-1/a",
        "data-2/b",
        "data-2/c",
        "data-3/d",
    ]


@pytest.mark.parametrize(
    ("first", "complaint"),
    [
        (3_900_000, r"cifar10-train: found 8,500,000 bytes; a part has room for 3,900,000"),
        (-16_000_000, r"the wheels and \.gpu/ledger take 19,900,000 bytes; allowed: 3,900,000; lower --kept"),
    ],
)
def test_what_exceeds_a_part_is_refused(
    first: int, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=complaint):
        Parts(3_900_000, first).add("cifar10-train", bytes(8_500_000))
    assert not [*tmp_path.rglob("*")]


def test_an_imported_data_set_is_packed_after_the_others() -> None:
    assert sorted(["my_shells", "cifar10", "mnist"], key=worth) == ["mnist", "cifar10", "my_shells"]


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


def test_a_lease_ends_once_nothing_can_start_any_more(
    recipe: Callable[..., Experiment], tmp_path: Path
) -> None:
    schedule = scheduled(recipe, tmp_path)
    data = schedule.data_of("large") | schedule.data_of("small")
    assert not schedule.exhausted(6, data)
    assert schedule.exhausted(4, data)
    assert not schedule.exhausted(4, set())  # its data may still come
    schedule.trainings[0].state = "running"
    assert not schedule.exhausted(4, data)
    for training in schedule.trainings:
        training.state = "done"
    assert schedule.exhausted(100, set())


def test_results_wait_for_their_data(recipe: Callable[..., Experiment], tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    files.write_json(tmp_path / "manifest.json", {"sets": {}})
    for training in scheduled(recipe, ledger).trainings:
        finished(ledger, training, 1)  # carried in from another lease
    tasks, schedule = BackgroundTasks(tmp_path, ["large", "small"]), scheduled(recipe, ledger)
    assert not tasks.run(schedule)
    for key in schedule.data_of("large"):
        (tmp_path / "prepared" / key).mkdir(parents=True)
    assert tasks.run(schedule)
    tasks.finish(schedule, 0)
    assert all(process.wait() for process in tasks.running.values())  # killed


def test_estimates_come_from_what_has_ended(recipe: Callable[..., Experiment], tmp_path: Path) -> None:
    schedule = scheduled(recipe, tmp_path)
    small, again = (one for one in schedule.trainings if "small" in one.label)
    assert schedule.estimate(again) == 5
    finished(tmp_path, small, 100)
    schedule.ended(small, 100)
    assert 200 < schedule.estimate(again) < 250  # of two epochs


def test_the_last_seconds_of_a_resumed_training_are_not_all_of_it(
    recipe: Callable[..., Experiment], tmp_path: Path
) -> None:
    schedule = scheduled(recipe, tmp_path)
    small, again = (one for one in schedule.trainings if "small" in one.label)
    finished(tmp_path, small, 100)
    schedule.ended(small, 4)  # the attempt that ended it
    assert small.seconds == 100
    assert schedule.estimate(again) > 200  # of two epochs


def test_a_further_attempt_says_nothing_of_the_speed_of_others(
    recipe: Callable[..., Experiment], tmp_path: Path
) -> None:
    schedule = scheduled(recipe, tmp_path)
    small, again = (one for one in schedule.trainings if "small" in one.label)
    small.attempts = 2
    finished(tmp_path, small, 100)
    schedule.ended(small, 100)
    assert schedule.estimate(again) == 5


@pytest.mark.parametrize(
    ("kinds", "fallback"),
    [
        (["failed"], ("CONVLAB_EAGER",)),
        (["died"], ()),
        (["failed", "failed"], ("CONVLAB_EAGER", "CONVLAB_FP32")),
        (["died", "failed"], ("CONVLAB_EAGER",)),
    ],
)
def test_what_raised_is_tried_again_without_a_graph_and_then_in_fp32(
    kinds: list[str], fallback: tuple[str, ...], recipe: Callable[..., Experiment], tmp_path: Path
) -> None:
    schedule = scheduled(recipe, tmp_path)
    large = schedule.trainings[0]
    for kind in kinds:
        large.attempts += 1
        note(Event(large, kind), schedule)
    assert (large.state, large.fallback) == ("waiting", fallback)


def test_a_daemon_resumes_from_the_ledger(recipe: Callable[..., Experiment], tmp_path: Path) -> None:
    for training in scheduled(recipe, tmp_path).trainings[:3]:
        finished(tmp_path, training, 1)
    schedule = scheduled(recipe, tmp_path)
    assert [training.state for training in schedule.trainings] == ["done", "done", "done", "waiting"]
    assert (schedule.complete("large"), schedule.complete("small"), schedule.complete("other")) == (2, 1, 0)


def test_finished_trainings_count_and_interrupted_ones_wait(
    recipe: Callable[..., Experiment], tmp_path: Path
) -> None:
    schedule = scheduled(recipe, tmp_path)
    done, cut_off, *_ = schedule.trainings
    done.state = cut_off.state = "running"
    finished(tmp_path, done, 1)
    schedule.look_up()
    assert (done.state, cut_off.state) == ("done", "waiting")


def test_a_training_that_fails_three_times_is_given_up(
    recipe: Callable[..., Experiment], tmp_path: Path
) -> None:
    schedule = scheduled(recipe, tmp_path)
    large = schedule.trainings[0]
    for state in ("waiting", "waiting", "failed"):
        large.attempts += 1
        schedule.failed(large, raised=True)
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


@pytest.mark.campaign
def test_a_worker_that_is_asked_to_stop_leaves_a_checkpoint(
    recipe: Callable[..., Experiment], digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    experiment = recipe(epochs=100_000, threads=1)
    save(digits, tmp_path / "prepared" / experiment.data_key())
    (one,) = wanted([Entry("long", 1)], {"long": experiment}, 1)
    pool, training = WorkerPool(1, tmp_path), Training("key", [one])
    events = []
    try:
        while not (idle := pool.idle()):
            list(pool.look(60))
        pool.give(idle[0], training)
        while not events or events[-1].kind == "epoch":
            events += pool.look(60)
            pool.stop(training)
        assert [event.kind for event in events][-1] == "stopped"
        assert events[0].kind == "epoch"
        assert events[0].seconds > 0
        assert events[0].to_come == 99_999
        assert list((tmp_path / "ledger/key/checkpoints").iterdir())
        assert not pool.idle()  # the next one is being started
    finally:
        pool.end()


# ------------------------------------------------------------------------------------------- the first minute


def test_a_network_that_does_not_train_there_is_named_and_the_others_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def seconds(experiment: Experiment) -> float:
        if experiment.dataset == "cifar10":
            raise RuntimeError("no kernel image")
        return 1e-4

    monkeypatch.chdir(tmp_path)
    params.write(tmp_path, {})
    monkeypatch.setattr(first_steps, "seconds_per_image", seconds)
    assert first_steps.main() == 1
    assert capsys.readouterr().out.splitlines() == [
        "first steps: digits: 100.0 µs an image",
        "first steps: cifar: failed: RuntimeError: no kernel image",
        "first steps: fashion: 100.0 µs an image",
        "first steps: 2 of 3 networks train",
    ]
