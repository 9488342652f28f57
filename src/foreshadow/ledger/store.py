"""What every store of the ledger has: the database, the wall time, and how rows are put."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table, and_, insert, update

from foreshadow.domain.clock import WallClock
from foreshadow.ledger.database import Database


class Store:
    """One subject of the ledger."""

    def __init__(self, database: Database, now: WallClock) -> None:
        self._database = database
        self._now = now


def upsert(
    connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Put a row under its key, new or not; it holds because writes are serialised."""
    where = and_(*(table.c[name] == value for name, value in key.items()))
    if connection.execute(update(table).where(where).values(**values)).rowcount == 0:
        connection.execute(insert(table).values(**key, **values))
