"""A module has one job: one that has grown beyond 300 lines has two."""

from repository import ROOT

MOST = 300  # as CONTRIBUTING.md says


def test_no_module_is_longer_than_300_lines() -> None:
    modules = [
        path for root in ("src", "stages", "bench", "robustness") for path in (ROOT / root).rglob("*.py")
    ]
    lines = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in modules}
    assert len(lines) > 100
    assert {name: count for name, count in lines.items() if count > MOST} == {}
