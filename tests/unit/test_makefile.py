"""The Makefile and the first lines of the README: every target is listed, every tool on the path in time."""

import os
import re
import subprocess

from params import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def make(*arguments: str) -> str:
    # Not as a part of the `make test` that runs this, which would have it print the folders that it enters
    outside = {
        key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    done = subprocess.run(
        ["make", *arguments], cwd=ROOT, env=outside, check=True, capture_output=True, text=True
    )
    return done.stdout


def test_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    assert [line.split()[1] for line in make("help").splitlines()] == phony[1].split()


def test_a_quick_look_at_mnist_sets_its_epochs_and_the_whole_sets_none() -> None:
    short = "-S '++experiments.mnist_vgg.epochs=1'"
    assert short in make("--dry-run", "mnist", "EPOCHS=1")
    assert "epochs" not in make("--dry-run", "mnist")


def test_the_environment_is_activated_before_a_command_that_needs_it() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    typed = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    assert ". .venv/bin/activate" in typed
    before = README[: README.index(". .venv/bin/activate")]
    assert not re.search(r"^(dvc|convlab|mlflow|python) ", before, re.MULTILINE)
