"""Run the commands of the documentation in a clone, and record when: the table of robustness/README.md.

    python robustness/documented.py            those that have not ended well yet, of an hour for all
    python robustness/documented.py TEXT…      those that contain one of these texts, once more

documented.yaml says what is typed in place of a command with a placeholder or without an end, which commands
a test runs, and which neither runs. All others are typed as they stand, each in the committed state.
CONVLAB_MIRROR names a folder with the data sets where the internet is out of reach.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import pandas as pd
import yaml

from convlab import markdown
from convlab.errors import run
from convlab.files import write_text

REPOSITORY = Path(__file__).parents[1]
PAGE = Path("robustness/README.md")
RECORD = REPOSITORY / "robustness/results/documented.csv"
PLAN = REPOSITORY / "robustness/documented.yaml"
COLUMNS = ["command", "status", "seconds", "date", "commit"]
PROGRAMS = (
    *(
        "convlab",
        "curl",
        "dvc",
        "git",
        "helm",
        "kubectl",
        "lease.sh",
        "make",
        "mlflow",
        "pip",
        "python",
        "python3",
    ),
    *("ray", "sbatch"),
)
LIMIT = 1500  # seconds; `make test-all` is a test of its own
TIMED_OUT = 124


def pages() -> list[Path]:
    """Return the pages with commands, the README first."""
    folders = ("docs", "bench", "robustness", "deploy")
    others = [page for folder in folders for page in sorted(REPOSITORY.glob(f"{folder}/*.md"))]
    return [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *others]


def code(text: str) -> list[str]:
    """Return the lines of shell blocks and the code spans of a page, except those that are meant to fail, and
    those of the generated table of claims, which depend on what has run."""
    text = re.sub(r"<!-- (bad_inputs|claims) -->.*?<!-- /\1 -->", "", text, flags=re.S).replace("\\\n", "")
    blocks = re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", text, re.M | re.S)
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return lines + re.findall(r"`([^`\n]+)`", prose)


def documented() -> list[str]:
    """Return the commands of all pages, each once and without its comment."""
    found = []
    for page in pages():
        for line in code(page.read_text(encoding="utf-8")):
            command = re.sub(r"\s+", " ", re.sub(r"\s+#.*", "", line)).strip()
            program, _, rest = re.sub(r"^([A-Z_]+=\S* )+", "", command).partition(" ")
            if rest and program.split("/")[-1] in PROGRAMS:
                found.append(command)
    return list(dict.fromkeys(found))


def plan() -> dict[str, dict[str, str]]:
    """Return documented.yaml: `instead`, `tested`, `elsewhere` and `mentioned`, each by command."""
    contents = yaml.safe_load(PLAN.read_text(encoding="utf-8"))
    return contents | {"mentioned": dict.fromkeys(contents["mentioned"], "")}


def typed_here() -> dict[str, str]:
    """Return the line to type for each command that is for this script."""
    how = plan()
    others = how["tested"] | how["elsewhere"] | how["mentioned"]
    return {
        command: how["instead"].get(command, command) for command in documented() if command not in others
    }


def record() -> pd.DataFrame:
    """Return what was run: a row per command, the last time that it ran."""
    if not RECORD.is_file():
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(RECORD, dtype={"commit": str})


def main() -> int:
    """Run what is asked for, each command recorded when it has ended; return the exit status."""
    wanted, typed, done = sys.argv[1:], typed_here(), record()
    done = done[done.command.isin(typed)]
    ran = set(done.command[done.status == 0])
    chosen = [name for name in typed if (any(text in name for text in wanted) if wanted else name not in ran)]
    with tempfile.TemporaryDirectory() as folder:
        if chosen:
            clone = prepared(Path(folder) / "clone")
        for command in chosen:
            done = pd.concat([done[done.command != command], typing(clone, command, typed[command])])
            write_text(RECORD, done.sort_values("command").to_csv(index=False))
    write_text(RECORD, done.sort_values("command").to_csv(index=False))  # without commands that are gone
    markdown.rewrite(REPOSITORY / PAGE, "documented", table(done))
    return 0 if (done.status == 0).all() else 1


def prepared(clone: Path) -> Path:
    """Clone HEAD, install into its own environment, and run its pipeline."""
    subprocess.run(["git", "clone", "-q", REPOSITORY, clone], check=True)
    for key, value in (("user.name", "nobody"), ("user.email", "nobody@example.org")):
        subprocess.run(["git", "-C", clone, "config", key, value], check=True)
    for command in ("make setup", "dvc repro"):
        shell(clone, command, check=True)
    return clone


def typing(clone: Path, command: str, line: str) -> pd.DataFrame:
    """Type a line in the committed state; return the row of its command."""
    shell(clone, "git reset -q --hard && git clean -fdq && dvc checkout -q", check=True)
    print(f"$ {line}", flush=True)
    began = time.monotonic()
    status = shell(clone, line)
    seconds = round(time.monotonic() - began)
    print(f"exit status {status} after {seconds} s\n", flush=True)
    commit = subprocess.check_output(["git", "-C", clone, "rev-parse", "--short", "HEAD"], text=True).strip()
    return pd.DataFrame([[command, status, seconds, date.today().isoformat(), commit]], columns=COLUMNS)


def shell(clone: Path, line: str, check: bool = False) -> int:
    """Type a line into bash in the clone, with its own environment; return the exit status."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_", "PYTHON"))}
    environment = kept | {"PATH": f"{clone}/.venv/bin:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(["bash", "-c", line], cwd=clone, env=environment, check=check, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return TIMED_OUT
    return done.returncode


def table(done: pd.DataFrame) -> str:
    """Make the table of robustness/README.md: how many were run by whom, and what was not."""
    how = plan()
    tested, elsewhere = (
        [name for name in documented() if name in how[key]] for key in ("tested", "elsewhere")
    )
    dates = f"from {done.date.min()} to {done.date.max()}"
    lines = ["| commands | by |", "| ---: | --- |"]
    lines += [f"| {(done.status == 0).sum()} of {len(done)} | this script, {dates}, with exit status 0 |"]
    lines += [
        f"| {len(tested)} | a test, or CI, as documented.yaml says |",
        f"| {len(elsewhere)} | neither |",
    ]
    lines += ["", "| run by neither | why, and when it was run |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| `{name}` | {how['elsewhere'][name]} |" for name in elsewhere)])


if __name__ == "__main__":
    run(main)
