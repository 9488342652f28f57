"""What the agent recorded lately: each sample for two hours, then means of a minute for 15 days."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from foreshadow.agent.store import open_database
from foreshadow.domain.clock import WallTime

DETAIL_SECONDS = 2 * 3600.0
KEPT_SECONDS = 15 * 86400.0
MINUTE = 60

Key = tuple[str, str]
"""A resource and the name of a series."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS {table} (
    resource TEXT NOT NULL,
    series TEXT NOT NULL,
    at REAL NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (resource, series, at)
) WITHOUT ROWID
"""
_READ = """
SELECT at, value FROM minutes WHERE resource = ?1 AND series = ?2 AND at > ?3 AND at <= ?4
UNION ALL
SELECT at, value FROM samples WHERE resource = ?1 AND series = ?2 AND at > ?3 AND at <= ?4
ORDER BY at
"""
# A mean stands at the end of its minute, as every sample speaks for the time before it.
_CONDENSE = """
INSERT OR REPLACE INTO minutes
SELECT resource, series, (CAST((at - 0.000001) / 60 AS INTEGER) + 1) * 60 AS minute, avg(value)
FROM samples WHERE at <= ? GROUP BY resource, series, minute
"""


class Samples:
    """Samples by resource and series, in one SQLite file; the last ones may be lost in a crash."""

    def __init__(self, path: Path) -> None:
        self._database = open_database(path, "NORMAL")
        for table in ("samples", "minutes"):
            self._database.execute(_SCHEMA.format(table=table))

    def put(self, at: WallTime, values: Mapping[Key, float]) -> None:
        """Keep one value for each resource and series."""
        rows = [(resource, series, at, value) for (resource, series), value in values.items()]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?)", rows)

    def read(
        self, resource: str, series: str, start: float, end: float
    ) -> tuple[tuple[float, float], ...]:
        """Return the wall times and values in ``(start, end]``, earliest first."""
        return tuple(self._database.execute(_READ, (resource, series, start, end)))

    def condense(self, now: WallTime) -> None:
        """Turn old samples into means of a minute, and forget the oldest of those."""
        whole_minutes = (now - DETAIL_SECONDS) // MINUTE * MINUTE
        with self._transaction() as database:
            database.execute(_CONDENSE, (whole_minutes,))
            database.execute("DELETE FROM samples WHERE at <= ?", (whole_minutes,))
            database.execute("DELETE FROM minutes WHERE at <= ?", (now - KEPT_SECONDS,))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Give what takes all of a block or, when the disk is full in the middle, nothing of it."""
        with self._database as database:
            database.execute("BEGIN")
            yield database

    def close(self) -> None:
        """Close the file."""
        self._database.close()
