"""`--no-skips`, by which the browser's job in CI cannot pass without having tested anything."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TESTS = {
    "test_one.py": "import pytest\n\n\ndef test_one():\n    pytest.skip('no browser')\n",
    "test_two.py": "import pytest\n\npytest.importorskip('no_such_package')\n",
    "test_three.py": "def test_three():\n    pass\n",
}


@pytest.mark.parametrize(
    ("options", "status", "ended"),
    [((), 0, "1 passed, 2 skipped"), (("--no-skips",), 1, "--no-skips: Skipped: no browser")],
)
def test_a_skip_fails_where_none_is_allowed(tmp_path, options, status, ended):
    shutil.copy(CONFTEST, tmp_path)
    for name, text in TESTS.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == status, done.stdout
    assert ended in done.stdout
    if options:
        assert "1 passed" in done.stdout
        assert "1 failed" in done.stdout
        assert "1 error" in done.stdout
        assert "could not import 'no_such_package'" in done.stdout
