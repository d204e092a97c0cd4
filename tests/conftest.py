"""How the tests are shared out between processes (`pytest -n 2`): a file to one of them."""

from typing import Any

import pytest

# Their tests share one clone, in which the pipeline ran once. A file that is missing here makes another one
# where it comes to the other process: time, and nothing else.
OF_ONE_CLONE = {
    f"tests/pipeline/test_{name}.py"
    for name in (
        "another_selection",
        "campaign_runs",
        "notebook",
        "own_code",
        "pipeline",
        "remote",
        "same_bytes",
    )
}


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist, all of them run in this process
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return what deals out the files, those of one clone as if they were one file."""
    from xdist.scheduler import LoadFileScheduling

    class ByClone(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            return "of one clone" if file in OF_ONE_CLONE else file

    return ByClone(config, log)
