"""Nothing in the source runs foreign code or opens a port to others.

How single files are refused is tested where they are read: test_readers.py (pickles),
test_sources_archive.py (archives), test_bad_yaml.py (tags).
"""

import ast
import pickle
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from repository import ROOT

from convlab import files
from convlab.errors import InputError
from convlab.pipeline import kept
from convlab.tracking import ui

SOURCES = sorted(
    path for part in ("src", "stages", "bench", "robustness") for path in (ROOT / part).rglob("*.py")
)
SCRIPTS = [ROOT / "Makefile", *(ROOT / ".ci").iterdir(), *(ROOT / "bench").rglob("*.sh"), ROOT / "dvc.yaml"]
WORKFLOW = ROOT / ".github/workflows/ci.yml"
ACCEPTED = ROOT / ".ci/accepted-vulnerabilities.txt"

# Each runs what a file or a string says
DANGEROUS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open"),
    *(
        "torch.load",
        "torch.hub.load",
        "torch.package",
        "joblib.load",
        "numpy.load",
        "np.load",
        "pd.read_pickle",
    ),
    *(
        "yaml.unsafe_load",
        "yaml.full_load",
        "yaml.load_all",
        "yaml.Loader",
        "yaml.UnsafeLoader",
        "yaml.FullLoader",
    ),
    *("shutil.unpack_archive", "tempfile.mktemp"),
}


def name_of(node: ast.AST) -> str:
    """`a.b.c` of an attribute or a name; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and name_of(node.value):
        return f"{name_of(node.value)}.{node.attr}"
    return ""


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_runs_what_a_file_or_a_string_says(path: Path) -> None:
    used = {name_of(call.func) for call in calls(path)}
    used |= {
        name_of(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
    }
    assert not used & DANGEROUS
    for call in calls(path):
        assert not (isinstance(call.func, ast.Attribute) and call.func.attr in ("extract", "extractall"))
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        assert options.get("shell") in (None, "False"), f"line {call.lineno}: a shell"
        assert options.get("allow_pickle") in (None, "False")
        if name_of(call.func) == "yaml.load":
            assert options["Loader"] in ("_StrictLoader", "_SafeLoader")


def test_the_fast_loader_builds_plain_values_alone() -> None:
    assert issubclass(kept._SafeLoader, yaml.constructor.SafeConstructor)


def test_one_module_alone_opens_pickles() -> None:
    importing = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if re.search(r"^\s*(import|from) (pickle|_pickle|dill|cloudpickle|joblib)\b", path.read_text(), re.M)
    }
    # the campaign makes one, to damage it; small data sets of the real formats hold some
    assert importing == {
        "src/convlab/data/readers/cifar10.py",
        "robustness/fuzz_readers.py",
        "bench/gpu/small_data.py",
    }


def test_nothing_listens_on_other_addresses_than_this_machines() -> None:
    for path in [*SOURCES, *SCRIPTS]:
        text = path.read_text()
        assert "0.0.0.0" not in text, path
        assert '"::"' not in text, path
        assert set(re.findall(r"--host[= ](\S+)", text)) <= {"127.0.0.1"}, path
    served = [path for path in SOURCES if '"mlflow", "server"' in path.read_text()]
    assert [path.name for path in served] == ["fault_kinds.py", "servers.py", "ui.py"]
    assert all(re.search(r'"--host", (HOST|"127.0.0.1")', path.read_text()) for path in served)
    assert ui.HOST == "127.0.0.1"
    assert "mlflow" not in re.findall(r"^\t@?(\S+)", (ROOT / "Makefile").read_text(), re.M)


def test_the_workflow_gives_a_shell_no_text_that_a_stranger_writes() -> None:
    """`${{ … }}` inside `run:` is pasted into a shell; only a number may be."""
    text = WORKFLOW.read_text()
    runs = [step["run"] for job in jobs().values() for step in job["steps"] if "run" in step]
    assert {found for run in runs for found in re.findall(r"\$\{\{ *(.*?) *\}\}", run)} <= {
        "github.event.number"
    }
    assert "pull_request_target" not in text
    assert re.search(r"^permissions:\n  contents: read$", text, re.M)


def jobs() -> dict[str, Any]:
    return dict(yaml.safe_load(WORKFLOW.read_text())["jobs"])


class Trap:
    """Pickles as a call that leaves a file behind."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_weights_that_are_a_pickle_are_refused_and_nothing_runs(tmp_path: Path, kind: str) -> None:
    path, marker = tmp_path / "seed-1.safetensors", tmp_path / "ran"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Trap(marker)))
    else:
        torch.save({"weight": Trap(marker)}, path)
    with pytest.raises(InputError, match="unreadable"):
        files.read_tensors(path)
    assert not marker.exists()


# ------------------------------------------------------------------------------------- known vulnerabilities


def accepted() -> list[tuple[str, str]]:
    lines = [line for line in ACCEPTED.read_text().splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def test_every_accepted_vulnerability_has_a_reason() -> None:
    for name, reason in accepted():
        assert re.fullmatch(r"(PYSEC|CVE|GHSA)-[\w-]+", name)
        assert len(reason) > 20, f"{name}: say why"


def test_the_audit_leaves_out_what_is_accepted_and_nothing_else() -> None:
    done = subprocess.run(["make", "-n", "audit"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"--ignore-vuln (\S+)", done.stdout)) == {name for name, _ in accepted()}
    assert "--strict" in done.stdout, "what cannot be looked up must not pass for audited"


def test_the_audit_is_no_part_of_the_tests() -> None:
    done = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "audit" not in done.stdout
    assert any("make audit" in step.get("run", "") for job in jobs().values() for step in job["steps"])
