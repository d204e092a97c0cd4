"""DVC remotes in use and in trouble: a folder, SSH and S3 on this machine; the table of docs/scale.md.

    python robustness/remotes.py                         all of them, and writes the table
    python robustness/remotes.py --only S3 --out FILE    one of them

The pipeline computes the digits with one epoch, once. For each remote: a push whose connection is cut in the
middle, and the next one; a second clone that pulls, and whose `dvc repro` has nothing to compute; and two
clones that push different experiments of the same name. SSH needs Debian's `openssh-server` and
`pip install dvc-ssh`, S3 `pip install dvc-s3 'moto[server]'`; what is not installed is not run, and says so.
"""

import hashlib
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench import work_tree
from bench.options import Parser
from convlab import markdown
from convlab.errors import InputError, run
from convlab.files import write_json
from convlab.pipeline.provenance import environment, run_context
from robustness.remote_servers import S3, Folder, Remote, Ssh

ROOT = Path(__file__).parents[1]
OUT, PAGE = Path("robustness/results/remotes.json"), Path("docs/scale.md")
KINDS: dict[str, type[Remote]] = {"folder": Folder, "SSH": Ssh, "S3": S3}
EXPERIMENT = "same"
# Of a CI that pulls: fails if something is to be computed, or if DVC fails
GATE = "plan=$(dvc repro --dry) && ! grep 'Running stage' <<< \"$plan\""
COMPARED = ("data/processed/*/*/*", "data/models/*/*", "data/predictions/*", "metrics/digits/*.json")
NOBODY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {"NAME": "nobody", "EMAIL": "nobody@example.org"}.items()
}


def main() -> int:
    """Try all remotes, and write the table; exit status 1 if one did not end as it should."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--out", type=Path, default=OUT, help="(%(default)s)")
    options = parser.parse_args()
    if options.only and options.out == OUT:
        parser.error(f"--only {options.only} needs --out FILE: {OUT} and {PAGE} have all remotes")
    results = environment(torch.device("cpu")) | {"git_commit": run_context()["git_commit"]}
    results |= {"dvc": version("dvc"), "remotes": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clones = prepared(folder)
        for kind in [options.only] if options.only else KINDS:
            lacks = KINDS[kind].lacks()
            results["remotes"][kind] = {"lacks": lacks} if lacks else tried(kind, folder, *clones)
            print(f"{kind}: {results['remotes'][kind]}", flush=True)
    write_json(options.out, results)
    print(table(results))
    if options.out == OUT:
        markdown.rewrite(PAGE, "remotes", table(results))
    return 0 if all(good(found) for found in results["remotes"].values()) else 1


def prepared(folder: Path) -> tuple[Path, Path]:
    """Return two clones that share a commit with the digits' results, each with an experiment of its own."""
    first, other = folder / "first", folder / "other"
    call(folder, "git", "clone", "-q", str(ROOT), str(first))
    params = yaml.safe_load((first / "params.yaml").read_text(encoding="utf-8"))
    params["experiments"]["digits"]["epochs"] = 1
    params |= {"run": ["digits"], "run_sweeps": []}
    (first / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    call(first, "dvc", "repro", "--quiet")
    call(first, "git", "commit", "-q", "-a", "-m", "The digits, one epoch")
    call(folder, "git", "clone", "-q", str(first), str(other))
    for clone, rate in ((first, "0.01"), (other, "0.02")):
        call(clone, "dvc", "exp", "run", "-q", "-f", "-n", EXPERIMENT, "-S", f"lr={rate}", "resolve")
        call(clone, "git", "checkout", "-q", ".")
    call(first, "dvc", "checkout", "--quiet")
    return first, other


def tried(kind: str, folder: Path, first: Path, other: Path) -> dict[str, Any]:
    """Push, pull and share with a new remote of a kind; return what was seen."""
    own = folder / kind
    own.mkdir()
    call(own, "git", "init", "-q", "--bare", "shared")
    with closing(KINDS[kind](own)) as remote:
        for clone in (first, other):
            use(clone, remote)
            call(clone, "git", "push", "-q", str(own / "shared"), "HEAD:refs/heads/main")
        cache = first / ".dvc/cache/files/md5"
        objects = sorted(path.parent.name + path.name for path in cache.glob("*/*"))
        size = sum(path.stat().st_size for path in cache.glob("*/*"))
        remote.cut(size, objects)
        broken = call(first, "dvc", "push", "--run-cache", status=None)
        remote.mend()
        again = call(first, "dvc", "push", "--run-cache", status=None)
        whole = call(first, "dvc", "status", "--cloud", status=None)

        second = own / "second"
        call(own, "git", "clone", "-q", str(own / "shared"), str(second), "--branch", "main")
        use(second, remote)
        pulled = call(second, "dvc", "pull", "--run-cache", status=None)
        gate = call(second, "bash", "-e", "-c", GATE, status=None)
        repro = call(second, "dvc", "repro", status=None)
        pushes = [
            call(clone, "dvc", "exp", "push", str(own / "shared"), EXPERIMENT, status=None)
            for clone in (first, other)
        ]
        kept = call(own / "shared", "git", "for-each-ref", "--format=%(objectname)", "refs/exps").stdout
        mine = call(
            first, "git", "for-each-ref", "--format=%(objectname)", f"refs/exps/**/{EXPERIMENT}"
        ).stdout
        seen = {
            "server": remote.server,
            "objects": len(objects),
            "bytes": size,
            "cut_status": broken.returncode,
            "cut_says": says(broken, own),
            "again_status": again.returncode,
            "again_says": says(again, own),
            "in_sync": "in sync" in whole.stdout + whole.stderr,
            "pull_status": pulled.returncode,
            "computed": repro.stdout.count("Running stage"),
            "up_to_date": "up to date" in repro.stdout,
            "same_bytes": hashes(second) == hashes(first) != {},
            "clean": call(second, "git", "status", "--porcelain").stdout == "",
            "second_push_status": pushes[1].returncode,
            "second_push_says": says(pushes[1], own),
            "first_kept": pushes[0].returncode == 0 and kept == mine != "",
        }
        return seen | {"gates": [gate.returncode, changed(second)]}  # last: it changes a setting there


def changed(clone: Path) -> int:
    """Change a setting that is not computed yet; return the exit status of GATE."""
    params = clone / "params.yaml"
    params.write_text(
        params.read_text(encoding="utf-8").replace("epochs: 1\n", "epochs: 2\n"), encoding="utf-8"
    )
    return call(clone, "bash", "-e", "-c", GATE, status=None).returncode


def use(clone: Path, remote: Remote) -> None:
    """Make a remote the default of a clone, in place of another."""
    (clone / ".dvc/config.local").unlink(missing_ok=True)
    call(clone, "dvc", "remote", "add", "--local", "--default", "store", remote.url)
    for key, value in remote.settings.items():
        call(clone, "dvc", "remote", "modify", "--local", "store", key, value)


def good(found: dict[str, Any]) -> bool:
    """Tell whether a remote ended as it should, or was not run."""
    if "lacks" in found:
        return True
    ended = (
        found["cut_status"] != 0 and found["again_status"] == found["pull_status"] == found["computed"] == 0
    )
    ended = ended and found["gates"] == [0, 1]
    return ended and all(found[key] for key in ("in_sync", "up_to_date", "same_bytes", "clean", "first_kept"))


def table(results: dict[str, Any]) -> str:
    """Return what was found as a Markdown table, with the hardware and versions."""
    heads = (
        "remote",
        "push, cut off in the middle",
        "pushed again",
        "second clone: pulled, `dvc repro`",
        "CI's gate: as pulled, with a change",
        "two `dvc exp push` of one name",
    )
    lines = [
        f"{results['device_name']}, Python {results['python']}, DVC {results['dvc']}, "
        f"commit {results['git_commit'][:7]}.",
        "",
        markdown.row(heads),
        "|" + " --- |" * len(heads),
    ]
    for kind, found in results["remotes"].items():
        if "lacks" in found:
            cells = [kind, f"not run: {found['lacks']} not installed", *[""] * (len(heads) - 2)]
        else:
            whole = "in sync" if found["in_sync"] else "**not in sync**"
            bytes_ = "the same bytes" if found["same_bytes"] else "**other bytes**"
            computed = f"{found['computed']} stages computed, {bytes_}"
            kept = "the first is kept" if found["first_kept"] else "**the first is lost**"
            cells = [
                f"{kind} ({found['server']})",
                f"status {found['cut_status']}: `{found['cut_says']}`",
                f"status {found['again_status']}, {found['again_says']}, {whole}",
                f"status {found['pull_status']}, {computed}",
                f"status {found['gates'][0]}, {found['gates'][1]}",
                f"{kept}; the second: status {found['second_push_status']}, `{found['second_push_says']}`",
            ]
        lines.append(markdown.row(cells))
    return "\n".join(lines) + "\n"


def hashes(clone: Path) -> dict[str, str]:
    """Hash the results of a clone."""
    found = sorted(path for pattern in COMPARED for path in clone.glob(pattern))
    return {
        str(path.relative_to(clone)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
        if path.is_file()
    }


def says(done: "subprocess.CompletedProcess[str]", folder: Path) -> str:
    """Return the line in which a command says what went wrong, else its last; paths are shortened."""
    lines = (done.stdout + done.stderr).strip().splitlines()
    wrong = [line for line in lines if line.startswith("ERROR") or "diverged" in line]
    return (wrong or lines or [""])[0 if wrong else -1].replace(str(folder), "…").replace("|", "\\|")


def call(folder: Path, *command: str, status: int | None = 0) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder.

    Raises:
        InputError: its exit status is not the one expected; None: any.
    """
    site = {"DVC_SITE_CACHE_DIR": str(folder / ".dvc/tmp/site"), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=work_tree.environment(folder) | NOBODY | site, capture_output=True, text=True
    )
    if status is not None and done.returncode != status:
        raise InputError(f"{' '.join(command)}: exit status {done.returncode}: {done.stdout}{done.stderr}")
    return done


if __name__ == "__main__":
    run(main)
