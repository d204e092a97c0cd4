"""What robustness/tracking_server.py concludes from the runs that it finds. The whole needs PostgreSQL."""

import sys
from collections import Counter

import pytest

from convlab.errors import InputError
from convlab.files import read_json
from robustness import servers, tracking_server

ONE = ("digits", "run", "f1", "2026-11-26", "content", "FINISHED")
TWO = ("digits_l2", "sweep", "f2", "2026-11-26", "content", "FINISHED")
KILLED = (*TWO[:-1], "KILLED")


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ({ONE: 1, TWO: 1}, {}),
        ({ONE: 1}, {"lost": 1}),
        ({ONE: 1, KILLED: 1}, {"incomplete": 1}),
        ({ONE: 1, (*TWO[:-2], "other", "FINISHED"): 1}, {"incomplete": 1}),
        ({ONE: 2, TWO: 1}, {"duplicated": 1}),
        ({ONE: 1, TWO: 1, KILLED: 1}, {"duplicated": 1}),
    ],
)
def test_a_run_is_there_once_and_complete_or_it_is_counted(found, wrong):
    counts = tracking_server.judged(Counter([ONE, TWO]), Counter(found))
    assert counts == {"wanted": 2, "lost": 0, "incomplete": 0, "duplicated": 0} | wrong


def test_the_table_is_that_of_the_committed_run(committed):
    results = read_json(committed / tracking_server.OUT)
    assert tracking_server.table(results) in (committed / tracking_server.PAGE).read_text(encoding="utf-8")
    assert results["lost"] == results["incomplete"] == results["duplicated"] == 0


def test_without_the_driver_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r"pip install '\.\[postgres\]'"):
        servers.find_postgres()


def test_what_is_read_back_tells_a_lost_value_and_a_lost_artifact(mirror, tmp_path):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri)
    home = client.create_experiment("digits", artifact_location=(tmp_path / "artifacts").as_uri())
    run_id = client.create_run(home, tags=dict(zip(tracking_server.IDENTITY, ONE, strict=False))).info.run_id
    seen = []

    def look() -> None:
        [(*identity, content, status)] = tracking_server.contents(uri)
        assert (*identity, status) == (*ONE[: len(tracking_server.IDENTITY)], "RUNNING")
        seen.append(content)

    look()
    client.log_param(run_id, "lr", 0.1)
    look()
    client.log_metric(run_id, "loss", 0.5, timestamp=1, step=1)
    look()
    client.log_metric(run_id, "loss", 0.5, timestamp=1, step=1)  # sent again: it is there once
    look()
    client.log_metric(run_id, "loss", 0.25, timestamp=2, step=2)
    look()
    client.log_text(run_id, "a", "figures/curves.txt")
    look()
    client.log_text(run_id, "ab", "figures/curves.txt")
    look()
    assert seen[2] == seen[3]
    assert len(set(seen)) == len(seen) - 1
