"""Importing the package changes nothing: what a process needs is set by the function that needs it."""

import json
import os
import subprocess
import sys

from repository import ROOT

# Twice: what other libraries do when they are imported is done in the first pass. Each module of ours is then
# imported again, in surroundings that are as they were.
CODE = """
import importlib.util, json, os, pkgutil, sys
import matplotlib.pyplot

before = dict(os.environ)
defaults = dict(matplotlib.rcParams)

def import_all():
    import convlab
    for found in pkgutil.walk_packages(convlab.__path__, "convlab."):
        if importlib.util.find_spec("ray") or not found.name.endswith((".on_ray", ".ray_cluster")):
            importlib.import_module(found.name)

import_all()
ours = [name for name in sys.modules if name.split(".")[0] == "convlab"]
for name in ours:
    del sys.modules[name]
os.environ.clear()
os.environ.update(before)
dict.update(matplotlib.rcParams, defaults)
read = []

def note(event, what):
    if event == "open" and str(what[0]).startswith("/proc"):
        read.append(str(what[0]))

sys.addaudithook(note)
import_all()
changed = {key for key in before.keys() | os.environ.keys() if before.get(key) != os.environ.get(key)}
changed |= {key for key, value in defaults.items() if matplotlib.rcParams._get(key) != value}
print(json.dumps([len(ours), sorted(changed), read]))
"""


def test_no_import_changes_the_environment_or_the_look_of_figures_or_asks_the_kernel() -> None:
    kept = {key: value for key, value in os.environ.items() if key not in ("MPLBACKEND", "PYTHONPATH")}
    kept.pop("CUBLAS_WORKSPACE_CONFIG", None)
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**kept, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    count, changed, read = json.loads(done.stdout.splitlines()[-1])
    assert count > 150
    assert changed == []
    assert read == []
