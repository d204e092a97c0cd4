"""In which order files of tests are dealt out to processes (`pytest -n 2 --dist loadfile`)."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
# What takes minutes by itself: begun last, it would keep one process at work while the others have ended
LONG = (
    "pipeline/test_pipeline.py",
    "pipeline/test_every_experiment.py",
    "pipeline/test_lease_simulated.py",
    "faults/test_faults.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first; last, what waits for the clone that the first one makes."""

    def turn(item: pytest.Item) -> int:
        name = item.path.relative_to(HERE).as_posix()
        if name in LONG:
            return LONG.index(name)
        return len(LONG) + name.startswith("pipeline/")

    items.sort(key=turn)
