"""What comes back from a lease and does not match this checkout is refused by name; former results stay."""

import hashlib
import json
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import params
import pytest
from repository import ROOT
from training import Make

from bench.gpu.import_results import EXPERIMENT, SWEEP, accept, altered, check, unpack
from bench.gpu.pack import manifest_of
from bench.gpu.plan import load_items, read_plan
from bench.gpu.prepare_data import data_hash
from convlab import files
from convlab.config import load_params, trials_of
from convlab.config.seed_counts import Item, seeds_of, with_seeds
from convlab.data.dataset import Prepared, save
from convlab.errors import InputError
from convlab.pipeline.identity import code_by_phase
from convlab.pipeline.provenance import fingerprint
from convlab.schema import Experiment

PLAN = ROOT / "bench/gpu/plan.yaml"
NAMES = [entry.name for entry in read_plan(PLAN).entries]


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
