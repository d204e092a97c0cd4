"""Keep DVC from deleting results in git when something else is selected.

DVC records each output that it writes, those in git too (its run cache does), and `dvc checkout`, and with it
`dvc exp run` and `dvc exp apply`, delete what is on record and no longer in `dvc.yaml`. No option excludes a
path. The records are a table of SQLite, so a trigger there can.
"""

import sqlite3
from contextlib import closing, suppress

from convlab import files

# Once for each table: DVC creates another where its site cache was cleared
EXCLUDE = """
CREATE TRIGGER IF NOT EXISTS convlab_keeps_results BEFORE INSERT ON Cache
WHEN {condition} BEGIN SELECT RAISE(IGNORE); END;
DELETE FROM Cache WHERE {recorded};
"""


def exclude_results() -> None:
    """Have DVC record no output under metrics/ and plots/ in this working copy, and forget those it has.

    Without a DVC repository, or with another table than DVC 3's, nothing is done: `bring_back` remains.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo  # takes a quarter of a second: only where it is needed

    with suppress(NotDvcRepoError, sqlite3.DatabaseError):
        with closing(Repo()) as repo:
            database = f"{repo.state.links.directory}/cache.db"
        with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
            connection.executescript(EXCLUDE.format(condition=_results("NEW.key"), recorded=_results("key")))


def _results(key: str) -> str:
    return " OR ".join(f"{key} LIKE '{folder}/%'" for folder in (files.METRICS, files.PLOTS))
