"""What a lease returns: results, the ledger for the next one, seeds in params.yaml, dvc.lock."""

import hashlib
import json
import random
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import params
import pytest
import yaml
from conftest import ROOT
from training import Make

from bench.gpu import completed
from bench.gpu.carried import pack_kept
from bench.gpu.collect import collect, for_the_next
from bench.gpu.dvc_lock import hash_of
from bench.gpu.finish import lay_out
from bench.gpu.import_results import EXPERIMENT, SWEEP, accept, altered, check, unpack
from bench.gpu.pack import manifest_of
from bench.gpu.plan import Entry, load_items, read_plan, wanted
from bench.gpu.prepare_data import data_hash
from convlab import files
from convlab.config import load_params, trials_of
from convlab.config.seed_counts import Item, edited, seeds_of, set_seeds, with_seeds
from convlab.data.dataset import Prepared, save
from convlab.errors import InputError
from convlab.pipeline.executors.job import Job, train_job
from convlab.pipeline.identity import code_by_phase
from convlab.pipeline.kept import selecting
from convlab.pipeline.ledger import Ledger
from convlab.pipeline.provenance import fingerprint
from convlab.pipeline.run import fingerprint_of
from convlab.pipeline.trainings import Trainings
from convlab.schema import Experiment, Sweep

PLAN = ROOT / "bench/gpu/plan.yaml"
NAMES = [entry.name for entry in read_plan(PLAN).entries]

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
        train_job(Job(one.label, one.trial, folder, key, key, scored=True), Ledger(tmp_path / "ledger"), 1)
    capsys.readouterr()
    items: dict[str, Item] = {"alone": experiment, "study": study}
    for name, item in items.items():
        monkeypatch.chdir(tmp_path)
        lay_out(name, item, tmp_path, tmp_path / name)
        ended = Trainings(name, item, files.PROCESSED / name, files.ledger(name)).run()
        assert capsys.readouterr().out.count("already finished, kept\n") == 2
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


def test_a_collection_counts_bytes_as_compressed_and_says_what_it_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("bench.gpu.collect.ROOM", 500_000)
    files.write_json(tmp_path / "manifest.json", {"data": {}})
    files.write_json(tmp_path / "status.json", {"trainings": []})
    for key in "abcd":  # numbers that compress well, as in the ledger
        files.write_text(tmp_path / f"ledger/{key}/finished.json", "0" * 200_000)
    (tmp_path / "ledger/e").mkdir()
    (tmp_path / "ledger/e/finished.json").write_bytes(random.Random(1).randbytes(600_000))
    collect(tmp_path, tmp_path / "out")
    with tarfile.open(next((tmp_path / "out").iterdir())) as tar:
        assert {f"ledger/{key}.json" for key in "abcd"} <= set(tar.getnames())
    assert "no room for 1 files" in capsys.readouterr().out


def test_what_came_from_an_earlier_lease_or_diverged_is_not_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = [
        {"key": key, "state": "done", "label": key, "items": [], "seconds": 3.0}
        for key in ("old", "bad", "new")
    ]
    about = ("device_name", "driver", "cuda", "cudnn", "torch", "python")
    results: dict[str, Any] = {"epochs": 1, "running_accuracy": 0.5, "precision": "bf16"}
    results |= {split: {"accuracy": 0.5} for split in ("test", "validation")}
    done = {"status": "finished", "timing": dict.fromkeys(about, "x") | {"seconds": 2.0}, "results": results}
    contents = {"old": done, "bad": {"status": "diverged", "timing": {}}, "new": done}
    texts = {f"ledger/{key}.json": json.dumps(content) for key, content in contents.items()}
    texts |= {"status.json": json.dumps({"trainings": trainings}), "kept.csv": "old\n"}
    with tarfile.open(tmp_path / "lease-01.tar.gz.00", "w:gz") as tar:
        for name, text in texts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, BytesIO(text.encode()))
    monkeypatch.setattr("sys.argv", ["x", str(tmp_path / "lease.json"), str(tmp_path)])
    completed.main()
    assert [row["training"] for row in files.read_json(tmp_path / "lease.json")["trainings"]] == ["new"]


def test_what_is_not_true_of_all_trainings_stands_beside_each() -> None:
    found = [{"training": name, "where": {"device_name": name, "torch": "2"}} for name in ("H100", "H200")]
    rows = [{"training": name, "device_name": name} for name in ("H100", "H200")]
    assert completed.content_of(found) == {"torch": "2", "trainings": rows}
    alone = {"device_name": "H100", "torch": "2", "trainings": [{"training": "H100"}]}
    assert completed.content_of(found[:1]) == alone


def test_the_next_lease_resumes_what_one_has_trained_or_started(
    recipe: Callable[..., Experiment],
    sweep: Make,
    digits: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.gpu.carried.KEPT", tmp_path / "kept")
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
            train_job(job, Ledger(lease / "ledger"), 1)
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
    texts = {name: (ROOT / name).read_text() for name in ("params.yaml", "studies.yaml")}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    path = tmp_path / "params.yaml"
    before = load_params(path)
    set_seeds(path, {"mnist_cnn": 3, "mnist_vgg_l2": 2, "mnist_cnn_l2": 3})
    after = load_params(path)
    assert after.experiments["mnist_cnn"].seeds == 3
    assert seeds_of(after.sweeps["mnist_vgg_l2"]) == 2
    changed = {name for name in before.sweeps if before.sweeps[name] != after.sweeps[name]}
    assert changed == {"mnist_vgg_l2"}

    def others(content: str) -> list[str]:
        return [line for line in content.splitlines() if not line.startswith("    seeds: ")]

    for name, text in texts.items():
        assert others((tmp_path / name).read_text()) == others(text)


def test_a_number_of_seeds_is_replaced_where_it_stands() -> None:
    text = "sweeps:\n  a:\n    seeds: 3   # why\n    grid: {}\n  b:   # other\n    grid: {}\n"
    assert edited(text, "sweeps", "a", 2) == text.replace("3", "2")
    assert edited(text, "sweeps", "b", 2) == text.replace("other\n", "other\n    seeds: 2\n")
    with pytest.raises(InputError, match=r"sweeps\.c"):
        edited(text, "sweeps", "c", 2)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "  my_lr: {experiment: digits, grid: {lr: [0.1]}}",
            "  my_lr: {seeds: 3, experiment: digits, grid: {lr: [0.1]}}",
        ),
        ("  my_lr:   {experiment: a, seeds: 2}  # {why}", "  my_lr:   {experiment: a, seeds: 3}  # {why}"),
        ("  my_lr:  # {why}", "  my_lr:  # {why}\n    seeds: 3"),
    ],
)
def test_a_number_of_seeds_is_set_in_a_sweep_on_one_line(line: str, expected: str) -> None:
    text = "sweeps:\n{}\n  other: {{grid: {{}}}}\n"
    assert edited(text.format(line), "sweeps", "my_lr", 3) == text.format(expected)


def test_params_are_as_before_after_a_selection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(text)
    Path("studies.yaml").write_text((ROOT / "studies.yaml").read_text())

    def interrupted() -> None:
        with selecting(["mnist_vgg"], []):
            assert load_params().run == ["mnist_vgg"]
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert Path("params.yaml").read_text() == text


def test_a_folders_hash_is_dvcs(committed: Path) -> None:
    folder = "plots/digits/figures"
    outputs = yaml.safe_load((committed / "dvc.lock").read_text())["stages"]["visualize@digits"]["outs"]
    recorded = next(output for output in outputs if output["path"] == folder)
    known = {
        str(path.relative_to(committed)): {
            "md5": hashlib.md5(path.read_bytes()).hexdigest(),
            "size": path.stat().st_size,
        }
        for path in (committed / folder).iterdir()
    }
    found, meta = hash_of(folder, known)
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
        ("data.preprocess", {"preprocess", "preprocess_sweep"}),
        ("cli", set()),
    ],
)
def test_a_stage_that_ran_with_other_code_is_detected(changed: str, stages: set[str]) -> None:
    items = load_items(["mnist_vgg", "mnist_vgg_l2"], ROOT / "params.yaml").values()
    for item, kinds in zip(items, (EXPERIMENT, SWEEP), strict=True):
        there = {
            phase: {name: "of another version" if name == changed else text for name, text in modules.items()}
            for phase, modules in code_by_phase(item).items()
        }
        assert {kind for kind in kinds if altered(kind, item, there)} == stages & set(kinds)
        less = {phase: {n: t for n, t in code.items() if n != changed} for phase, code in there.items()}
        assert {kind for kind in kinds if altered(kind, item, less)} == stages & set(kinds)


def came_with(folder: Path, items: dict[str, Item], prepared: Prepared) -> dict[str, Any]:
    """Write what came from a lease, in which each of these ran, and return its manifest."""
    manifest: dict[str, Any] = {"items": {}, "data": {}, "code": {}}
    for name, item in items.items():
        records = []
        for trial in trials_of(name, item):
            experiment = trial.experiment
            facts = json.loads(json.dumps(manifest_of(experiment, prepared)))["files"]
            manifest["data"][experiment.data_key()] = facts
            configuration = experiment.model_dump(mode="json", exclude_defaults=True)
            records.append(
                {"configuration": configuration, "fingerprint": fingerprint(experiment, data_hash(facts))}
            )
        files.write_json(folder / files.trainings(name), records)
        md5 = hashlib.md5((folder / files.trainings(name)).read_bytes()).hexdigest()
        outputs = {str(files.trainings(name)): {"md5": md5, "size": 1}}
        manifest["items"][name] = {"seeds": seeds_of(item), "figures": False, "files": outputs}
        manifest["code"][name] = {**code_by_phase(item)}
    return manifest


def test_a_result_of_other_data_is_refused_by_name(
    recipe: Callable[..., Experiment], digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    item = recipe()
    manifest = came_with(tmp_path / "came", {"one": item}, digits)
    check("one", item, manifest, tmp_path / "came")  # nothing is prepared here
    here = files.PROCESSED / "one" / item.data_key()
    save(digits, here)
    check("one", item, manifest, tmp_path / "came")
    images = (here / "train.safetensors").read_bytes()
    (here / "train.safetensors").write_bytes(images[:-1] + bytes([images[-1] ^ 1]))
    with pytest.raises(InputError, match=r"one/.*/train\.safetensors: not the data on which it was trained"):
        check("one", item, manifest, tmp_path / "came")
    here.rename(here.with_name("another"))
    with pytest.raises(InputError, match=r"safetensors: not the data on which it was trained"):
        check("one", item, manifest, tmp_path / "came")  # DVC would record the folder as it is


def test_a_result_of_data_that_other_code_prepared_is_refused_by_name(
    recipe: Callable[..., Experiment],
    sweep: Make,
    digits: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    items: dict[str, Item] = {"one": recipe(), "study": sweep({"lr": 0.1})}
    manifest = came_with(tmp_path / "came", items, digits)
    for name, item in items.items():
        check(name, item, manifest, tmp_path / "came")
        manifest["code"][name]["prepare"] = {"data.preprocess": "of another version"}
        with pytest.raises(InputError, match=r"has changed since, on which preprocess(_sweep)? depends"):
            check(name, item, manifest, tmp_path / "came")


def test_a_result_whose_seeds_cannot_be_set_is_refused_before_the_former_one_is_replaced(
    digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    params.write(tmp_path, {"sweeps": {}, "claims": {}, "run_sweeps": []})
    text = Path("params.yaml").read_text().replace("  fashion:\n", '  "fashion":\n')
    Path("params.yaml").write_text(text)
    items: dict[str, Item] = {**load_params().experiments}
    came = {name: with_seeds(items[name], 2) for name in ("fashion", "digits")}
    manifest = came_with(tmp_path / "came", came, digits)
    for name in came:
        files.write_text(files.trainings(name), "former")
    taken, refused = accept(items, manifest, tmp_path / "came", fewer=False)
    assert taken == {"digits": came["digits"]}
    assert refused.keys() == {"fashion"}
    assert "refused: experiments.fashion: found no line that begins with" in refused["fashion"]
    assert files.trainings("fashion").read_text() == "former"
    assert files.trainings("digits").read_text() != "former"
    assert load_params().experiments["digits"].seeds == 2
    assert capsys.readouterr().out == "import: experiments.digits.seeds: 2\n"


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
