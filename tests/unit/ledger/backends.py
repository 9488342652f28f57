"""Both kinds of database, empty, and raw SQL in them beside the ledger's own way."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import make_url

BACKENDS = ("sqlite", "postgresql")


def is_sqlite(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def run_sql(url: str, script: str) -> None:
    """Run statements as another program would, and commit."""
    if is_sqlite(url):
        with sqlite3.connect(_file(url)) as raw:
            raw.executescript(script)
        return
    import psycopg

    with psycopg.connect(_libpq(url)) as one:
        one.execute(script.encode())


def rows(url: str, query: str) -> Sequence[tuple[Any, ...]]:
    """Return what a query finds."""
    if is_sqlite(url):
        with sqlite3.connect(_file(url)) as raw:
            return raw.execute(query).fetchall()
    import psycopg

    with psycopg.connect(_libpq(url)) as one:
        return one.execute(query.encode()).fetchall()


def _file(url: str) -> str:
    return url.removeprefix("sqlite:///")


def _libpq(url: str) -> str:
    return url.replace("+psycopg", "")
