"""The environment of all tests, and the order in which files are distributed over processes."""

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
# Files that take minutes: started last, they would keep one process busy after the others have ended
LONG = (
    "pipeline/test_pipeline.py",
    "pipeline/test_every_experiment.py",
    "pipeline/test_lease_simulated.py",
    "faults/test_faults.py",
)


# The shell's settings, or a git hook's (whose GIT_DIR would be this very repository), mean nothing to a test
for name in [*os.environ]:
    if name.startswith(("GIT_", "DVC_", "MLFLOW_", "CONVLAB_")):
        del os.environ[name]
GIT = {
    "commit.gpgsign": "false",
    "tag.gpgsign": "false",
    "core.autocrlf": "false",
    "core.hooksPath": os.devnull,
}
os.environ |= {f"GIT_CONFIG_KEY_{index}": key for index, key in enumerate(GIT)}
os.environ |= {f"GIT_CONFIG_VALUE_{index}": value for index, value in enumerate(GIT.values())}
os.environ |= {"GIT_CONFIG_COUNT": str(len(GIT)), "MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1"}
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make test-browser` passes."""
    parser.addoption("--no-skips", action="store_true", help="a test that would be skipped fails")
    parser.addoption("--screenshots", type=Path, help="a folder for PAGE-THEME-WIDTH.png of the book")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let a skipped test fail, if so told."""
    return _without_skips((yield), item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Let a skipped file fail, if so told."""
    return _without_skips((yield), collector.config)


def _without_skips(report: Any, config: pytest.Config) -> Any:
    if report.skipped and config.getoption("no_skips"):
        report.outcome, report.longrepr = "failed", f"--no-skips: {report.longrepr[2]}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and in the middle those that wait for the clone that the first makes."""

    def turn(item: pytest.Item) -> tuple[int, int]:
        name = item.path.relative_to(HERE).as_posix()
        if name in LONG:
            return 0, LONG.index(name)
        if name.startswith("pipeline/"):
            return 2, name != "pipeline/test_another_selection.py"  # the longest of them
        return (1 if name < "unit/test_l" else 3), 0

    items.sort(key=turn)
