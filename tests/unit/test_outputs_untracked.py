"""What DVC caches is not in git: DVC refuses to write an output that git tracks."""

import subprocess
from pathlib import Path

import yaml
from repository import ROOT


def test_no_cached_output_is_tracked_by_git() -> None:
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text())
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    in_git = {path for stage in stages.values() for path in _uncached(stage)}
    cached = {
        out["path"]
        for name, stage in lock["stages"].items()
        for out in stage.get("outs", ())
        if out["path"].replace(name.partition("@")[2] or "\0", "${item}") not in in_git
    }
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = {str(one) for path in listed.stdout.split("\0") for one in (Path(path), *Path(path).parents)}
    assert not cached & tracked


def _uncached(stage: dict) -> list[str]:
    """Return the outputs of a stage with `cache: false`, with `${item}` in them."""
    own = stage.get("do", stage)
    outs = [out for kind in ("outs", "metrics", "plots") for out in own.get(kind, ())]
    return [
        path
        for out in outs
        if isinstance(out, dict)
        for path, flags in out.items()
        if not flags.get("cache", True)
    ]
