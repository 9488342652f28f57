"""The way to the database: SQLite or PostgreSQL, behind two kinds of transaction.

Writes are serialised: SQLite begins them with ``BEGIN IMMEDIATE``, PostgreSQL takes an advisory
lock. So what a write has read in its transaction is still true when it commits, on both.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import OperationalError as SqlOperationalError

from foreshadow.domain.errors import LedgerError

BUSY_SECONDS = 15
"""How long a writer waits for the others; each of them writes for milliseconds."""

IDLE_SECONDS = 5
"""How long PostgreSQL waits for a writer that does nothing in its transaction. Then it takes the
transaction back: a process that was stopped in the middle of it must not hold up the others."""

_PATIENCE = {
    "connect_timeout": BUSY_SECONDS,
    "tcp_user_timeout": BUSY_SECONDS * 1000,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
"""After about so many seconds a server whose machine is gone counts as gone."""

_WRITE_LOCK = 0x466F7265  # any number that no other program on the same database takes
_EXAMPLE = "such as sqlite:////var/lib/foreshadow/ledger.db"


class Database:
    """An open database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sqlite = engine.dialect.name == "sqlite"
        # PostgreSQL: a read sees one moment; a write must see what was committed while it waited.
        self._read_options = {} if self._sqlite else {"isolation_level": "REPEATABLE READ"}
        self._write_options = {} if self._sqlite else {"isolation_level": "READ COMMITTED"}
        self.name = engine.url.database or engine.url.render_as_string(hide_password=True)

    @classmethod
    def open(cls, url: str) -> Database:
        """Return the database behind a URL.

        :param url: ``sqlite:////absolute/path`` or ``postgresql+psycopg://user@host/name``.
        :raises LedgerError: when the URL cannot be read or used, or names a folder that is not
            there.
        """
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            # The text may hold a password: it is not shown.
            raise LedgerError(
                "its URL cannot be read", where="ledger", remedy=f"write one {_EXAMPLE}"
            ) from None
        match parsed.drivername:
            case "sqlite" | "sqlite+pysqlite":
                return cls(_sqlite_engine(parsed))
            case "postgresql" | "postgresql+psycopg":
                return cls(_postgresql_engine(parsed))
            case other:
                raise LedgerError(
                    f"cannot be kept in {other}",
                    where="ledger",
                    remedy="use sqlite or postgresql+psycopg",
                )

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a transaction that sees one moment of the ledger.

        :raises LedgerError: when the database does not let itself be read.
        """
        with self._told(), self._connect(self._read_options) as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """Give the transaction of the only writer; it commits at the end, or not at all.

        :param durable: wait until the disk has it. Without, a power cut may lose the last
            moments, never the ledger: for what is measured or computed again anyway.
        :raises LedgerError: when the database does not let itself be written.
        """
        options = {**self._write_options, "foreshadow_durable": durable}
        with self._told(), self._connect(options) as connection:
            if not self._sqlite:
                connection.exec_driver_sql(
                    f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s';"
                    f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s';"
                    f"SET LOCAL synchronous_commit = {'on' if durable else 'off'};"
                    f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})"
                )
            yield connection

    @contextmanager
    def _connect(self, options: Mapping[str, Any]) -> Iterator[Connection]:
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the database's own errors into one line."""
        try:
            yield
        except DBAPIError as error:
            said = str(error.orig).strip()
            remedy = "look at its file, disk and permissions"
            busy = "locked" in said or "lock timeout" in said
            if isinstance(error, SqlOperationalError) and busy:
                remedy = "another process has written for too long: try again"
            elif not self._sqlite:
                remedy = "look at the database server and the user's rights"
            raise LedgerError(said, where=f"ledger {self.name}", remedy=remedy) from error


def _sqlite_engine(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise LedgerError(
            "a ledger in memory would forget everything",
            where="ledger",
            remedy=f"name a file, {_EXAMPLE}",
        )
    if url.query:
        raise LedgerError(
            "SQLite takes no options in the URL",
            where=f"ledger {url.database}",
            remedy=f"leave out what comes after ?, {_EXAMPLE}",
        )
    parent = Path(url.database).absolute().parent
    if not parent.is_dir():
        raise LedgerError(
            f"the folder {parent} is not there",
            where=f"ledger {url.database}",
            remedy=f"create it: mkdir -p {parent}",
        )
    # For its owner alone; who shares it opens it up. What fails here fails in words when it opens.
    with contextlib.suppress(OSError):
        Path(url.database).touch(mode=0o600)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql_engine(url: URL) -> Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    patience = {key: value for key, value in _PATIENCE.items() if key not in url.query}
    try:
        return create_engine(url, pool_pre_ping=True, connect_args=patience)
    except ModuleNotFoundError:
        raise LedgerError(
            "the driver for PostgreSQL is not installed",
            where="ledger",
            remedy="run pip install 'ansible-foreshadow[postgresql]'",
        ) from None


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # a transaction begins where we say, not the driver
    connection.execute("PRAGMA foreign_keys = ON")
    deadline = time.monotonic() + BUSY_SECONDS
    while not _in_wal_mode(connection):
        if time.monotonic() >= deadline:
            raise sqlite3.OperationalError("database is locked")
        time.sleep(random.uniform(0.002, 0.02))


def _in_wal_mode(connection: sqlite3.Connection) -> bool:
    """Bring the database to WAL mode; return false when another process is at it.

    Of several processes that open a new ledger at once only one can, and SQLite refuses the others
    at once instead of letting them wait.
    """
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        return True
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False


def _begin_sqlite(connection: Connection) -> None:
    durable = connection.get_execution_options().get("foreshadow_durable")
    if durable is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
