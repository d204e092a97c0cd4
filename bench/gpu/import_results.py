"""Copy the results of a lease into metrics/, plots/ and dvc.lock, as if they had been computed here.

    python bench/gpu/import_results.py FOLDER …    the folders that `lease.sh collect` filled, in their order

A result that this checkout's params.yaml, code and data would not give is refused by name. params.yaml and
studies.yaml get the number of seeds that each result has. The ledger goes to .convlab/lease/, as do weights
that are not complete.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.gpu.carried import KEPT
from bench.gpu.collect import LARGE
from bench.gpu.dvc_lock import record
from bench.gpu.prepare_data import data_hash
from convlab import files
from convlab.config import load_params, trials_of
from convlab.config.seed_counts import Item, seeds_of, set_seeds, with_seeds
from convlab.errors import InputError, Parser, run
from convlab.pipeline.identity import Phase, code_by_phase
from convlab.pipeline.kept import put_back, selecting
from convlab.pipeline.provenance import fingerprint
from convlab.pipeline.selection_lock import selection_lock
from convlab.schema import Sweep

PHASES: dict[str, tuple[Phase, ...]] = {  # of whose code dvc.yaml lets a stage depend
    "preprocess": ("prepare",),
    "preprocess_sweep": ("prepare",),
    "train": ("train",),
    "evaluate": ("evaluate",),
    "visualize": ("draw",),
    "sweep": ("train", "evaluate"),
    "visualize_sweep": ("draw",),
}
EXPERIMENT = ("preprocess", "train", "evaluate", "visualize")
SWEEP = ("preprocess_sweep", "sweep", "visualize_sweep")


def main() -> int:
    """Copy everything, print the outcome; exit status 1 if anything was refused, or is not in dvc.lock."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--fewer", action="store_true", help="accept results with fewer seeds than params.yaml has"
    )
    options = parser.parse_args()
    with selection_lock("bench/gpu/import_results.py"):
        put_back()  # params.yaml, after a campaign that was killed
        return import_all(options.folders, options.fewer)


def import_all(folders: Sequence[Path], fewer: bool) -> int:
    """Take each result that this checkout would give, then record all of them in dvc.lock."""
    params = load_params(files.PARAMS)
    with tempfile.TemporaryDirectory() as folder:
        came = Path(folder)
        for one in folders:
            unpack(one, came)
        manifest = files.read_json(came / "manifest.json")
        taken, ended = accept({**params.experiments, **params.sweeps}, manifest, came, fewer)
        shutil.copytree(came / "ledger", KEPT / "ledger", dirs_exist_ok=True)
    subprocess.run([sys.executable, "stages/resolve.py"], check=True)
    stages = {
        name: stages_of(name, item, manifest, params.feature_maps.get(name, []))
        for name, item in taken.items()
    }
    known = {name: outputs_of(name, item, manifest) for name, item in taken.items()}
    sweeps = [name for name, item in taken.items() if isinstance(item, Sweep)]
    reasons: dict[str, dict[str, str]] = {}
    with selecting([name for name in taken if name not in sweeps] or ["digits"], sweeps):
        for name, own in stages.items():
            reasons[name] = record(own, known[name])
            ended[name] = "; ".join(f"{stage}: {why or 'recorded'}" for stage, why in reasons[name].items())
            if not manifest["items"][name]["figures"]:
                ended[name] += "; no figures returned"
    reasons["resolve"] = record(["resolve"], {})
    print(f"import: resolve: {reasons['resolve']['resolve'] or 'recorded'}")
    for name, how in ended.items():
        print(f"import: {name}, seeds: {manifest['items'][name]['seeds']}: {how}")
    missing = [stage for own in reasons.values() for stage, why in own.items() if why]
    return int(ended.keys() != taken.keys() or bool(missing))


def accept(
    items: Mapping[str, Item], manifest: Mapping[str, Any], came: Path, fewer: bool
) -> tuple[dict[str, Item], dict[str, str]]:
    """Replace results by those that came, and set their seeds; return what was taken, and why others were
    refused, of which nothing has changed."""
    taken, refused = dict[str, Item](), dict[str, str]()
    for name, facts in manifest["items"].items():
        try:
            if name not in items:
                raise InputError("params.yaml has no such experiment or sweep")
            if facts["seeds"] < (asked := seeds_of(items[name])) and not fewer:
                raise InputError(f"params.yaml asks for {asked} seeds; --fewer takes it all the same")
            item = with_seeds(items[name], facts["seeds"])
            check(name, item, manifest, came)
            for line in set_seeds(files.PARAMS, {name: facts["seeds"]}):
                print(f"import: {line}")
        except InputError as error:
            refused[name] = f"refused: {error}"
            continue
        taken[name] = item
        take(name, facts, came)
    return taken, refused


def unpack(folder: Path, target: Path) -> None:
    """Unpack the pieces of a folder, of each collection in its order, as far as they are whole.

    Raises:
        InputError: there are none, or there is nothing in them.
    """
    archives = sorted({path.name.rsplit(".", 1)[0] for path in folder.glob("lease-*.tar.gz.[0-9]*")})
    if not archives:
        raise InputError(f"{folder}: no lease-*.tar.gz.00 there")
    for archive in archives:
        content = b"".join(path.read_bytes() for path in sorted(folder.glob(f"{archive}.[0-9]*")))
        count = 0
        try:
            with tarfile.open(fileobj=BytesIO(content)) as tar:
                for entry in tar:
                    _write(entry.name, tar.extractfile(entry), target)
                    count += 1
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            found = f"{folder / archive}: damaged, or a piece is missing ({error})"
            if not count:
                raise InputError(found) from None
            print(f"import: {found}; its first {count} files are whole", file=sys.stderr)


def check(name: str, item: Item, manifest: Mapping[str, Any], came: Path) -> None:
    """Check that this checkout would compute the same result.

    Raises:
        InputError: it is not; says in what.
    """
    outputs = manifest["items"][name]["files"]
    for path, facts in outputs.items():
        here = (came / path).is_file()
        if not here and not path.startswith(LARGE):
            raise InputError(f"{path}: missing; run `lease.sh collect-all`")
        if here and _md5(came / path) != facts["md5"]:
            raise InputError(f"{path}: does not match the manifest; run `lease.sh collect-all`")
    records = files.read_json(came / files.trainings(name))
    trials = trials_of(name, item)
    wanted = [trial.experiment.model_dump(mode="json", exclude_defaults=True) for trial in trials]
    if [one["configuration"] for one in records] != wanted:
        raise InputError("params.yaml resolves it otherwise now")
    for trial, one in zip(trials, records, strict=True):
        data = data_hash(manifest["data"][trial.experiment.data_key()])
        if one["fingerprint"] != fingerprint(trial.experiment, data):
            raise InputError("its fingerprint is another: the training code is not the one that ran there")
    for stage in _kinds(item)[:-1]:  # figures drawn by other code are redrawn, and no reason to refuse
        if path := altered(stage, item, manifest["code"][name]):
            raise InputError(f"{path} has changed since, on which {stage} depends")
    own = files.PROCESSED / name
    for path, facts in prepared_of(name, item, manifest).items() if own.exists() else ():
        if not Path(path).is_file() or _md5(Path(path)) != facts["md5"]:  # dvc.lock would have the data here
            raise InputError(f"{path}: not the data on which it was trained; if {own} is outdated, remove it")


def altered(
    stage: str, item: Item, there: Mapping[str, Mapping[str, str]], chosen: Sequence[str] = ()
) -> str | None:
    """Return a module on which a stage depends and which is not the one that ran there.

    `chosen`: the test images whose feature maps are drawn now; others have been drawn, if that differs.
    """
    here = code_by_phase(item, chosen)
    for phase in PHASES[stage]:
        for module in sorted({*here[phase], *there[phase]}):
            if here[phase].get(module) != there[phase].get(module):
                return module
    return None


def take(name: str, facts: Mapping[str, Any], came: Path) -> None:
    """Replace the former result by this one."""
    for folder in (files.METRICS / name, files.PLOTS / name):
        shutil.rmtree(folder, ignore_errors=True)
    models = [path for path in facts["files"] if Path(path).is_relative_to(files.MODELS)]
    complete = all((came / path).is_file() for path in models)
    shutil.rmtree(files.MODELS / name, ignore_errors=True)  # of an older result
    files.predictions(name).unlink(missing_ok=True)
    for path in facts["files"]:
        if (came / path).is_file():
            target = KEPT / path if path in models and not complete else Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(came / path, target)


def stages_of(name: str, item: Item, manifest: Mapping[str, Any], chosen: Sequence[str]) -> list[str]:
    """Return the stages that can be recorded; not that of figures that did not come, or of other code."""
    kinds = _kinds(item)
    there = manifest["code"][name]
    drawn = manifest["items"][name]["figures"] and not altered(kinds[-1], item, there, chosen)
    return [f"{kind}@{name}" for kind in (kinds if drawn else kinds[:-1])]


def outputs_of(name: str, item: Item, manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return MD5 and size of every output of an item, and of its prepared data, by path."""
    return {**manifest["items"][name]["files"], **prepared_of(name, item, manifest)}


def prepared_of(name: str, item: Item, manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return MD5 and size of each file of the prepared data on which an item was trained, by its path."""
    return {
        str(files.PROCESSED / name / key / file): {"md5": facts["md5"], "size": facts["size"]}
        for key in sorted({trial.experiment.data_key() for trial in trials_of(name, item)})
        for file, facts in manifest["data"][key].items()
    }


def _write(name: str, file: IO[bytes] | None, target: Path) -> None:
    """Write an archive's entry below a folder; refuse paths outside of it."""
    if file is None or Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"{name}: not of a lease")
    files.write_bytes(target / name, file.read())


def _kinds(item: Item) -> tuple[str, ...]:
    return SWEEP if isinstance(item, Sweep) else EXPERIMENT


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    run(main)
