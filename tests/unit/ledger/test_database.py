"""Opening a ledger: where it may be, how it comes forward, and what is refused in one line."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData, inspect

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import LedgerError
from foreshadow.ledger import Ledger
from foreshadow.ledger.database import Database
from foreshadow.ledger.migrations import MIGRATIONS, bring_up_to_date
from foreshadow.ledger.schema import metadata

FIRST_SCHEMA = Path(__file__).with_name("schema_1.sql")
"""The tables as the first release made them; never changed: ledgers of that time are out there."""


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("ledger.db", r"ledger: its URL cannot be read; write one such as sqlite:////var/lib/\S+"),
        ("mysql://u:hunter2@h/d", r"ledger: cannot be kept in mysql; use sqlite or postgresql.*"),
        ("sqlite://", r"ledger: a ledger in memory would forget everything; name a file, .*"),
        (
            "sqlite:////no/such/folder/ledger.db",
            (
                r"ledger /no/such/folder/ledger.db: the folder /no/such/folder is not there; "
                r"create it: mkdir -p /no/such/folder"
            ),
        ),
        (
            "postgresql://u:hunter2@127.0.0.1:1/foreshadow",
            r"ledger foreshadow: .*refused.*; look at the database server and the user's rights",
        ),
    ],
)
def test_a_ledger_that_cannot_be_opened_is_told_in_one_line(url: str, line: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger.open(url)
    assert "hunter2" not in str(caught.value)
    assert re.fullmatch(line, str(caught.value))


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, and long enough to be looked at " * 20)
    with pytest.raises(LedgerError, match=r"notes.txt: file is not a database; look at its file"):
        Ledger.open(f"sqlite:///{path}")
    assert path.read_text().startswith("not a database")


def test_a_database_of_something_else_is_left_alone(tmp_path: Path, url: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as raw:
        raw.execute("CREATE TABLE addresses (name TEXT)")
    with pytest.raises(LedgerError, match="is a database of something else; name a database of"):
        Ledger.open(url)


def test_a_newer_ledger_is_refused(ledger: Ledger, url: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as raw:
        raw.execute("INSERT INTO schema_version VALUES (99, 0.0)")
    with pytest.raises(LedgerError, match="has schema version 99, and this program knows"):
        Ledger.open(url)


def test_a_ledger_of_the_first_release_comes_forward(tmp_path: Path, url: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as raw:
        raw.executescript(FIRST_SCHEMA.read_text())
        raw.execute("INSERT INTO schema_version VALUES (1, 0.0)")
    Ledger.open(url).close()
    fresh = f"sqlite:///{tmp_path / 'fresh.db'}"
    Ledger.open(fresh).close()
    assert _shape(url) == _shape(fresh)


def _shape(url: str) -> dict[str, object]:
    """Return tables, columns and indexes, in no order and without spelling."""
    database = Database.open(url)
    found = MetaData()
    with database.read() as connection:
        found.reflect(connection)
        indexes = {name: _indexes(connection, name) for name in found.tables}
    database.close()
    return {
        name: (
            {(c.name, str(c.type), c.nullable, c.primary_key) for c in table.columns},
            {(str(key.parent.name), key.target_fullname) for key in table.foreign_keys},
            indexes[name],
        )
        for name, table in found.tables.items()
    }


def _indexes(connection: Connection, table: str) -> set[tuple[object, ...]]:
    return {
        (index["name"], tuple(index["column_names"]), index["unique"])
        for index in inspect(connection).get_indexes(table)
    }


def test_migrations_run_in_order_once_and_all_or_none(ledger: Ledger, url: str) -> None:
    database = Database.open(url)

    def second(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE hosts ADD COLUMN colour TEXT DEFAULT 'grey'")

    def third(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE hosts SET colour = 'blue' WHERE name = 'edge-a'")

    def broken(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE hosts SET colour = 'red'")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        bring_up_to_date(database, WallTime(2.0), [*MIGRATIONS, second, third, broken])
    assert "colour" not in _columns(database)
    for _ in range(2):
        bring_up_to_date(database, WallTime(3.0), [*MIGRATIONS, second, third])
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT name, colour FROM hosts ORDER BY name").all()
        versions = connection.exec_driver_sql("SELECT version FROM schema_version").scalars().all()
    assert [tuple(row) for row in rows] == [
        ("edge-a", "blue"), ("edge-b", "grey"), ("edge-c", "grey"),
    ]  # fmt: skip
    newest = 1 + len(MIGRATIONS)
    assert list(versions) == [newest, newest + 2]
    database.close()
    told = f"has schema version {newest + 2}, and this program knows {newest} at most"
    with pytest.raises(LedgerError, match=told):
        Ledger.open(url)


def _columns(database: Database) -> set[str]:
    with database.read() as connection:
        return {column["name"] for column in inspect(connection).get_columns("hosts")}


def test_the_schema_has_every_table_that_is_declared(ledger: Ledger) -> None:
    with ledger._database.read() as connection:
        assert set(inspect(connection).get_table_names()) == set(metadata.tables)


def test_a_place_that_cannot_be_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="unable to open database file; look at its file, disk"):
        Ledger.open(f"sqlite:///{tmp_path}")


def test_a_new_ledger_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(f"sqlite:///{path}"):
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes
