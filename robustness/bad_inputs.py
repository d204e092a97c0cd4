"""Bad inputs to the real commands, and their messages: the table of robustness/README.md.

    python robustness/bad_inputs.py            (a minute or two)

In a temporary clone. Each has to end with exit status 2 after one line, which says what was found, where, and
what is allowed or what to do; DVC ends with 255 and has lines of its own beside a stage's.
"""

import gzip
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench import work_tree
from convlab import markdown
from convlab.errors import run

REPOSITORY, PAGE = Path(__file__).parents[1], Path("robustness/README.md")
LONGEST = 300  # characters of a line that the table shows


@dataclass(frozen=True)
class Case:
    """A bad input: in words, what is changed in the clone, and the command."""

    title: str
    command: str
    change: Callable[[Path], None] = lambda clone: None
    environment: str = ""


def edit(old: str, new: str, file: str = "params.yaml") -> Callable[[Path], None]:
    """Replace a text in a file once."""

    def change(clone: Path) -> None:
        text = (clone / file).read_text(encoding="utf-8")
        assert old in text, old
        (clone / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def write(path: str, content: bytes) -> Callable[[Path], None]:
    """Write a file."""

    def change(clone: Path) -> None:
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_bytes(content)

    return change


def cut(pattern: str) -> Callable[[Path], None]:
    """Take the second half of a file away."""

    def change(clone: Path) -> None:
        path = next(clone.glob(pattern))
        content = path.read_bytes()
        path.unlink()  # it may be a link into DVC's cache
        path.write_bytes(content[: len(content) // 2])

    return change


def on_cuda(clone: Path) -> None:
    """Ask for a GPU in the configuration of the digits."""
    for old, new in (("device: cpu", "device: cuda"), ("portable: true\n", "")):
        edit(old, new, "data/configs/digits.yaml")(clone)


VALIDATE = "convlab validate"
RESOLVE = "python stages/resolve.py"
ALIASES = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
CASES = [
    Case("a key with a typo", VALIDATE, edit("batch_size: 128 ", "batchsize: 128 ")),
    Case("text instead of a number", VALIDATE, edit("lr: 0.001 ", "lr: fast ")),
    Case("a number out of range", "dvc exp run -S lr=-1 resolve"),
    Case("a list without brackets", "dvc exp run -S run=digits resolve"),
    Case("an override of a missing key", "dvc exp run -S experiments.digits.epoch=3 resolve"),
    Case("a data set with a typo", VALIDATE, edit("dataset: mnist\n", "dataset: mnst\n")),
    Case("a threshold in percent", VALIDATE, edit("test_accuracy: 0.", "test_accuracy: 95.", "studies.yaml")),
    Case("a list of another length", VALIDATE, edit("kernels:\n", "kernels:\n      - 3\n")),
    Case("a key given twice", VALIDATE, edit("seeds: 1 ", "lr: 0.1\nseeds: 1 ")),
    Case("a tab", VALIDATE, edit("  method: last", "\tmethod: last")),
    Case("an unknown name", VALIDATE, edit("run:\n- digits", "run:\n- digit")),
    Case("aliases that expand to a billion values", VALIDATE, edit("seed:", f"{ALIASES}seed:")),
    Case(
        "a grid of a million points",
        VALIDATE,
        edit("l2: [0.0,", f"lr: {[*range(1, 1001)]}\n      l2: [0.0,", "studies.yaml"),
    ),
    Case(
        "a network too large for any machine",
        RESOLVE,
        edit("- 16\n      - 32\n", "- 160000\n      - 320000\n"),
    ),
    Case(
        "a network that reduces the image to nothing",
        RESOLVE,
        edit("strides:\n      - 1\n      - 1\n", "strides: [8, 8]\n"),
    ),
    Case("a folder that is not the repository", "cd tests && convlab validate"),
    Case("a command with a typo", "convlab chek"),
    Case("an experiment with a typo", "convlab summary digts"),
    Case("a stage for an unknown name", "python stages/train.py digts"),
    Case("an unknown revision", "convlab check --against mian"),
    Case("a mirror that is not a folder", "python stages/download.py", environment="CONVLAB_MIRROR=/nowhere"),
    Case("a number of workers in words", "python stages/train.py digits", environment="CONVLAB_WORKERS=many"),
    Case("a GPU where there is none", "python stages/train.py digits", on_cuda),
    Case("data that was not fetched", "python stages/preprocess.py fashion_preact"),
    Case(
        "a file that is not an idx file",
        "python stages/preprocess.py mnist_vgg",
        write("data/raw/mnist/train-images-idx3-ubyte.gz", gzip.compress(b"<html>not found</html>")),
    ),
    Case(
        "a pickle that is not the published one",
        "python stages/preprocess.py cifar10_simplecnn",
        write("data/raw/cifar10/cifar-10-batches-py/data_batch_1", b"\x80\x02cos\nsystem\n"),
    ),
    Case(
        "prepared data cut in half",
        "python stages/train.py digits",
        cut("data/processed/digits/*/train.safe*"),
    ),
    Case("results cut in half", "convlab results", cut("metrics/digits/evaluate.json")),
]


def main() -> int:
    """Run them all and write the table; exit status 1 if one did not end as it should."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", REPOSITORY, clone], check=True)
        for prepare in (RESOLVE, "python stages/download.py", "python stages/preprocess.py digits"):
            ended, said = typed(clone, prepare)
            assert ended == 0, said
        identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
        subprocess.run(["git", "-C", clone, "add", "--all", "--force", "data/configs"], check=True)
        subprocess.run(["git", "-C", clone, *identity, "commit", "-qam", "resolved"], check=False)
        rows = [row(clone, case) for case in CASES]
    text = table(rows)
    print(text)
    markdown.rewrite(PAGE, "bad_inputs", f"{text}\n")
    return 0 if all(good for *_, good in rows) else 1


def row(clone: Path, case: Case) -> tuple[str, str, str, int, bool]:
    """Run one, and set the clone back: title, command, what was said, exit status, whether that is right."""
    case.change(clone)
    status, said = typed(clone, f"{case.environment} {case.command}".strip())
    subprocess.run(["git", "-C", clone, "reset", "-q", "--hard"], check=True)
    dvc = case.command.startswith("dvc")
    good = bool(said) and (status == 255 if dvc else status == 2 and len(said.splitlines()) == 1)
    return case.title, f"{case.environment} {case.command}".strip(), said, status, good


def typed(clone: Path, command: str) -> tuple[int, str]:
    """Run a command as a user types it; return its exit status and its stderr."""
    environment = work_tree.environment(clone) | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        ["bash", "-c", command], cwd=clone, env=environment, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stderr.strip()


def table(rows: list[tuple[str, str, str, int, bool]]) -> str:
    """Make the table of robustness/README.md."""
    lines = ["| input | command | what is printed | exit status |", "| --- | --- | --- | ---: |"]
    for title, command, said, status, good in rows:
        shown = "<br>".join(f"`{cell(line)}`" for line in said.splitlines())
        lines.append(f"| {title} | `{cell(command)}` | {shown} | {status}{'' if good else ' **?**'} |")
    return "\n".join(lines)


def cell(line: str) -> str:
    """Return a line as a table cell; a backtick would end its code."""
    short = line if len(line) <= LONGEST else f"{line[: LONGEST - 60]} … {line[-60:]}"
    return short.replace("|", "\\|").replace("`", "'")


if __name__ == "__main__":
    run(main)
