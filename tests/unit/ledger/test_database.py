"""Opening a ledger: where it may be, how it comes forward, and what is refused in one line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData, inspect

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import LedgerError
from foreshadow.domain.fleet import Role, parse_host
from foreshadow.domain.moves import Outcome, StepState
from foreshadow.ledger import Ledger
from foreshadow.ledger.database import Database
from foreshadow.ledger.migrations import MIGRATIONS, bring_up_to_date
from foreshadow.ledger.schema import metadata
from tests.support.postgres import MISSING, Postgres, programs, running_postgres
from tests.unit.ledger.backends import is_sqlite, rows, run_sql
from tests.unit.ledger.conftest import Clock

HERE = Path(__file__).parent
FIRST_SCHEMA = {True: HERE / "schema_1.sql", False: HERE / "schema_1_postgresql.sql"}
"""The tables as the first release made them; never changed: ledgers of that time are out there."""
FIRST_CONTENT = HERE / "content_1.sql"
"""What such a ledger held when its controller died after a commit; never changed either."""


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


def test_a_database_of_something_else_is_left_alone(url: str) -> None:
    run_sql(url, "CREATE TABLE addresses (name TEXT)")
    with pytest.raises(LedgerError, match="is a database of something else; name a database of"):
        Ledger.open(url)


def test_a_newer_ledger_is_refused(ledger: Ledger, url: str) -> None:
    run_sql(url, "INSERT INTO schema_version VALUES (99, 0.0)")
    with pytest.raises(LedgerError) as caught:
        Ledger.open(url)
    knows = 1 + len(MIGRATIONS)
    line = (
        rf"ledger \S+: has schema version 99, and this program knows {knows} at most; "
        r"upgrade \S+ .*"
    )
    assert re.fullmatch(line, str(caught.value))


@pytest.fixture
def first(url: str) -> str:
    """Give a ledger as the first release left it."""
    run_sql(url, FIRST_SCHEMA[is_sqlite(url)].read_text())
    run_sql(url, FIRST_CONTENT.read_text())
    return url


def test_a_ledger_of_the_first_release_comes_forward(first: str) -> None:
    Ledger.open(first).close()
    came = _shape(first)
    run_sql(first, "".join(f"DROP TABLE {t.name};" for t in reversed(metadata.sorted_tables)))
    Ledger.open(first).close()
    assert came == _shape(first)


def test_a_ledger_of_the_first_release_is_read_and_gone_on_with(first: str) -> None:
    with Ledger.open(first) as ledger:
        assert ledger.resource("checkout").service.port == 8080
        assert ledger.primary("checkout") == "edge-b"
        assert {each.host: each.role for each in ledger.instances("checkout")} == {
            "edge-a": Role.SHADOW, "edge-b": Role.PRIMARY,
        }  # fmt: skip
        assert ledger.acknowledgements("checkout")["edge-b"].version == 7
        assert ledger.retention()["plans"] == 86400.0
        assert ledger.control().paused
        assert ledger.control().pinned == {"checkout": {"availability": 0.5}}
        (left,) = ledger.unfinished("checkout")
        assert left.pivoted
        assert ledger.plan(left.plan.id) == left.plan
        assert [(step.state, step.detail) for step in left.steps] == [
            (StepState.DONE, "thawed; it's “well”")
        ]
        # Its tokens go on, and what it left can be ended.
        lease = ledger.acquire("checkout", "h:b:2:2", 60, lambda holder: True)
        assert lease.token == 2
        ledger.finish(lease, replace(left, outcome=Outcome.RECOVERED, direction="finished"))
        assert ledger.unfinished() == ()


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
    assert rows(url, "SELECT name, colour FROM hosts ORDER BY name") == [
        ("edge-a", "blue"), ("edge-b", "grey"), ("edge-c", "grey"),
    ]  # fmt: skip
    newest = 1 + len(MIGRATIONS)
    versions = rows(url, "SELECT version FROM schema_version ORDER BY version")
    assert versions == [(newest,), (newest + 2,)]
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


_FROZEN = """
import os
import signal
import sys
from foreshadow.ledger import Ledger, database

database.IDLE_SECONDS = 1
with Ledger.open(sys.argv[1]) as ledger:
    try:
        with ledger._database.write() as connection:
            connection.exec_driver_sql("UPDATE hosts SET updated_at = 0.5")
            os.kill(os.getpid(), signal.SIGSTOP)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
"""


def test_a_writer_frozen_in_its_transaction_does_not_hold_up_the_others(
    postgres: Postgres, clock: Clock
) -> None:
    with postgres.database() as url, Ledger.open(url, clock) as ledger:
        ledger.put_host(parse_host({"name": "edge-a", "address": "127.0.0.1"}))
        frozen = subprocess.Popen(
            [sys.executable, "-c", _FROZEN, url], stdout=subprocess.PIPE, text=True
        )
        try:
            os.waitid(os.P_PID, frozen.pid, os.WSTOPPED)
            began = time.monotonic()
            assert ledger.acquire("checkout", "h:b:2:2", 60, lambda holder: False).token == 1
            assert time.monotonic() - began < 5
            frozen.send_signal(signal.SIGCONT)
            said, _ = frozen.communicate(timeout=20)
        finally:
            frozen.kill()
            frozen.communicate()
        assert said.startswith("LedgerError ledger "), said
        assert said.count("\n") == 1, "in one line"
        assert rows(url, "SELECT updated_at FROM hosts") == [(clock.time,)], "nothing of it stayed"


def test_a_server_that_dies_is_told_and_used_again_when_it_is_back() -> None:
    if programs() is None:
        pytest.skip(MISSING)
    with running_postgres() as server, Ledger.open(server.url()) as ledger:
        lease = ledger.acquire("checkout", "h:b:1:1", 60, lambda holder: False)
        server.kill()
        for _ in range(2):
            with pytest.raises(LedgerError, match="look at the database server"):
                ledger.renew(lease, 60)
        server.start()
        assert ledger.renew(lease, 60).token == lease.token
