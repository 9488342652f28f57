"""The agent's small store: what must be known again after a crash.

Documents by kind and name, as JSON. Unless it says otherwise, a document is on the disk when the
call that writes it returns: a fencing token that was seen is never forgotten, and what is about to
be started is known before it is.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID
"""


class Store:
    """Documents in one SQLite file, for one process."""

    def __init__(self, path: Path) -> None:
        self._database = open_database(path, "FULL")
        self._database.execute(_SCHEMA)

    def get(self, kind: str, name: str) -> Any:
        """Return a document, or ``None``."""
        row = self._database.execute(
            "SELECT body FROM documents WHERE kind = ? AND name = ?", (kind, name)
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def all(self, kind: str) -> dict[str, Any]:
        """Return all documents of a kind by their names, sorted."""
        rows = self._database.execute(
            "SELECT name, body FROM documents WHERE kind = ? ORDER BY name", (kind,)
        )
        return {name: json.loads(body) for name, body in rows}

    def put(self, kind: str, name: str, body: Any, *, durable: bool = True) -> None:
        """Write a document over what was there.

        :param durable: wait for the disk; without, a power cut may bring the one before back.
        """
        row = (kind, name, json.dumps(body))
        if not durable:
            self._database.execute("PRAGMA synchronous = NORMAL")
        try:
            self._database.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", row)
        finally:
            if not durable:
                self._database.execute("PRAGMA synchronous = FULL")

    def remove(self, kind: str, name: str) -> None:
        """Remove a document, if it is there."""
        self._database.execute("DELETE FROM documents WHERE kind = ? AND name = ?", (kind, name))

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def open_database(path: Path, synchronous: str) -> sqlite3.Connection:
    """Return a connection that commits each statement, in WAL mode.

    :param synchronous: ``FULL`` survives a power cut; ``NORMAL`` may lose the last commits then.
    """
    path.touch(mode=0o600, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    return database
