"""The order in which test files are distributed over processes (`pytest -n 2 --dist loadfile`)."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Files that take minutes: started last, they would keep one process busy after the others have ended
LONG = (
    "pipeline/test_pipeline.py",
    "pipeline/test_every_experiment.py",
    "pipeline/test_lease_simulated.py",
    "faults/test_faults.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; last, those that wait for the clone that the first one makes."""

    def turn(item: pytest.Item) -> int:
        name = item.path.relative_to(HERE).as_posix()
        if name in LONG:
            return LONG.index(name)
        return len(LONG) + name.startswith("pipeline/")

    items.sort(key=turn)
