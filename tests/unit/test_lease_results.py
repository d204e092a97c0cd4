"""What a lease returns: results, the ledger for the next one, the hashes in dvc.lock."""

import hashlib
import json
import random
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from repository import ROOT
from training import Make

from bench.gpu import completed
from bench.gpu.carried import pack_kept
from bench.gpu.collect import collect, for_the_next
from bench.gpu.dvc_lock import hash_of
from bench.gpu.finish import lay_out
from bench.gpu.pack import manifest_of
from bench.gpu.plan import Entry, read_plan, wanted
from convlab import files
from convlab.config.seed_counts import Item, with_seeds
from convlab.data.dataset import Prepared, save
from convlab.pipeline.executors.job import Job, train_job
from convlab.pipeline.ledger import Ledger
from convlab.pipeline.run import fingerprint_of
from convlab.pipeline.trainings import Trainings
from convlab.schema import Experiment, Sweep

PLAN = ROOT / "bench/gpu/plan.yaml"
NAMES = [entry.name for entry in read_plan(PLAN).entries]


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
