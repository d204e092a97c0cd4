"""A real Chromium without a network, and the book of the committed results opened from files."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tabs import ROOT, Tab, link_runtime

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what is committed, or staged to be; never the results of the work tree."""
    folder = tmp_path_factory.mktemp("committed")
    subprocess.run(["git", "checkout-index", "--all", f"--prefix={folder}/"], cwd=ROOT, check=True)
    link_runtime(folder)
    return folder


@pytest.fixture(scope="session")
def book(committed: Path) -> Path:
    """Return the folder of the book of the committed results, with the explore page where it can be made."""
    from convlab.book import site

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(committed)
        patch.delenv("DVC_ROOT", raising=False)
        site.write(committed / "docs/book")
    return committed / "docs/book"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Yield a browser; without one, the tests are skipped with the reason."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: `apt-get install chromium`")
    sync = pytest.importorskip("playwright.sync_api", reason="`pip install playwright` drives Chromium")
    with sync.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Tab]:
    """Yield a tab of a wide screen."""
    one = Tab(chromium, 1440, "light")
    yield one
    one.context.close()
