"""Run the stages on finished trainings of the lease, as the pipeline would, in a folder of its own.

    python3 bench/gpu/finish.py LEASE NAME SEEDS [--figures]

LEASE/ledger → LEASE/finished/NAME/SEEDS/, complete or absent: metrics/, plots/, data/ as in the repository,
and outputs.json with the MD5 and the size of each file. --figures draws them there; figures.json is the last.
"""

import os
import runpy
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.gpu.plan import items_of
from bench.gpu.prepare_data import facts_of
from bench.options import count
from convlab import files
from convlab.config import dump_item, load_params
from convlab.config.seed_counts import Item, with_seeds
from convlab.errors import InputError, Parser, run
from convlab.pipeline.executors.job import Job
from convlab.pipeline.identity import dump_code
from convlab.pipeline.ledger import Finished, Ledger
from convlab.pipeline.trainings import Trainings
from convlab.schema import SPLITS, Sweep

STAGES = Path("stages").resolve()
GIVEN = (files.PROCESSED, files.CONFIGS, files.CODE)  # what the stages start from


def main() -> None:
    """Finish one item."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("lease", type=Path, metavar="LEASE")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("seeds", type=count, metavar="SEEDS")
    parser.add_argument("--figures", action="store_true", help="draw the figures of what is finished")
    options = parser.parse_args()
    os.nice(10)  # trainings need a core each to keep the GPU busy
    lease, name = options.lease.resolve(), options.name
    done = lease / "finished" / name / str(options.seeds)
    if options.figures:
        os.chdir(done)
        stage("visualize", name)
        files.write_json(Path("figures.json"), listed(files.PLOTS / name / "figures"))
        return
    params = load_params()
    item = with_seeds(items_of(params, [name])[name], options.seeds)
    folder = lease / "finishing" / f"{name}-{options.seeds}-{os.getpid()}"
    lay_out(name, item, lease, folder, params.feature_maps.get(name, []))
    for script in ("sweep",) if isinstance(item, Sweep) else ("train", "evaluate"):
        stage(script, name)
    shutil.rmtree(".convlab", ignore_errors=True)
    files.write_json(Path("outputs.json"), listed(Path(".")))
    done.parent.mkdir(parents=True, exist_ok=True)
    if not done.exists():  # a process of an earlier daemon may have been faster
        folder.rename(done)
    print(f"finish: {name}, seeds: {options.seeds}", flush=True)


def lay_out(name: str, item: Item, lease: Path, folder: Path, chosen: Sequence[str] = ()) -> None:
    """Set up a folder for the stages, with the configuration, the data and the trainings; go there.

    `chosen`: test images whose feature maps are drawn, too.

    Raises:
        InputError: a training is not in the lease's ledger.
    """
    files.write_text(folder / files.config(name), dump_item(item))
    files.write_text(folder / files.code(name, "draw"), dump_code(item, chosen)["draw"])
    (folder / files.PROCESSED).mkdir(parents=True)
    (folder / files.PROCESSED / name).symlink_to(lease / "prepared")
    os.chdir(folder)
    for job in Trainings(name, item, files.PROCESSED / name, files.ledger(name)).jobs:
        copy(job, Ledger(lease / "ledger"), files.ledger(name))


def copy(job: Job, ledger: Ledger, own: Path) -> None:
    """Copy a training from the lease's ledger into that of a stage."""
    finished = ledger.find(job.fingerprint)
    if finished is None:
        raise InputError(f"{job.label}: not in {ledger.folder}")
    if finished.weights:
        (own / job.key).mkdir(parents=True)
        os.link(finished.weights, own / job.key / "model.safetensors")
    Ledger(own).add(job.key, without_scores(finished) if not job.scored else finished, None)


def without_scores(finished: Finished) -> Finished:
    """Return a training as that of an experiment: the lease scores all, the train stage does not."""
    results = {key: value for key, value in finished.results.items() if key not in SPLITS}
    content = {**vars(finished), "results": results}
    return Finished(**content)


def stage(script: str, name: str) -> None:
    """Run a stage in this process: another one would need seconds to import the same."""
    sys.argv = [f"stages/{script}.py", name]
    try:
        runpy.run_path(str(STAGES / f"{script}.py"), run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise


def listed(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the MD5 and the size of each result in a folder, by its path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(given) for given in GIVEN):
            facts = facts_of(path)
            found[str(path)] = {"md5": facts["md5"], "size": facts["size"]}
    return found


if __name__ == "__main__":
    run(main)
