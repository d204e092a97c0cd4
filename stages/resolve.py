"""resolve: params.yaml → a resolved configuration per experiment and sweep, and the code behind each phase.

All of them, selected or not: later stages depend on their own files alone, so an edit reruns what it reaches.
Results in git that DVC removed, because something else is selected now, are restored.
"""

import sys

from convlab import files
from convlab.config import dump_item, load_params
from convlab.errors import run
from convlab.networks.feasible import check_selected
from convlab.pipeline.identity import dump_code
from convlab.pipeline.kept import bring_back
from convlab.pipeline.links import exclude_results


def main() -> None:
    """Check everything that can be checked before any work, then write data/configs/ and data/code/."""
    params = load_params(files.PARAMS)
    for warning in params.warnings:
        print(f"resolve: warning: {warning}", file=sys.stderr)
    check_selected(params)
    items = params.experiments | params.sweeps
    texts = {files.config(name): dump_item(item) for name, item in items.items()}
    texts[files.CONFIGS / "datasets.yaml"] = "".join(f"- {name}\n" for name in params.datasets())
    for name, item in items.items():
        chosen = params.feature_maps.get(name, [])
        texts |= {files.code(name, phase): text for phase, text in dump_code(item, chosen).items()}
    for path in {*files.CONFIGS.glob("*"), *files.CODE.glob("*/*")} - set(texts):
        path.unlink()  # of a name or a phase that no longer exists
    for path, text in texts.items():
        files.write_text(path, text)
    exclude_results()
    if back := bring_back({*params.run, *params.run_sweeps}):
        print(f"resolve: restored from git, though not selected now: {', '.join(back)}")
    counts = f"{len(params.experiments)} experiments, {len(params.sweeps)} sweeps"
    print(f"resolve: {counts} → {files.CONFIGS}/, {files.CODE}/")


if __name__ == "__main__":
    run(main)
