"""The version of the schema, and how an older ledger becomes a newer one.

A new ledger is created whole, at the newest version. An older one goes forward step by step, all
in one transaction. There is no way back: a ledger of a newer version is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import (
    Column,
    Connection,
    Double,
    ForeignKey,
    MetaData,
    String,
    Table,
    func,
    insert,
    inspect,
    select,
    text,
)

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import LedgerError
from foreshadow.ledger.database import Database
from foreshadow.ledger.schema import metadata, schema_version

Migration = Callable[[Connection], None]


def _count_requests(connection: Connection) -> None:
    """Make room for what the destination of a switchover served and failed."""
    for column in ("requests", "errors"):
        connection.exec_driver_sql(f"ALTER TABLE switchovers ADD COLUMN {column} INTEGER")


def _keep_convergence(connection: Connection) -> None:
    """Add what a handover that waits for caches writes down."""
    before = MetaData()
    Table("resources", before, Column("name", String, primary_key=True))
    lowered = Table(
        "lowered_ttls",
        before,
        Column("resource", ForeignKey("resources.name", ondelete="CASCADE"), primary_key=True),
        Column("director", String, primary_key=True),
        Column("before", Double, nullable=False),
        Column("lowered", Double, nullable=False),
        Column("movable_at", Double),
    )
    lowered.create(connection)
    connection.execute(text("ALTER TABLE steps ADD COLUMN convergence JSON"))


MIGRATIONS: tuple[Migration, ...] = (_count_requests, _keep_convergence)
"""The step from version ``i + 1`` to ``i + 2`` at index ``i``, in order; none is ever changed."""


def bring_up_to_date(
    database: Database, now: WallTime, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """Create the tables of a new ledger, or bring those of an older one forward.

    :raises LedgerError: when the ledger is newer than this program, or is not a ledger at all.
    """
    newest = 1 + len(migrations)
    with database.read() as connection:
        if _version(connection, database.name, newest) == newest:
            return
    with database.write() as connection:
        # Read again: another process may have been faster.
        version = _version(connection, database.name, newest)
        if version is None:
            metadata.create_all(connection)
        else:
            for migrate in migrations[version - 1 :]:
                migrate(connection)
        if version != newest:
            connection.execute(insert(schema_version).values(version=newest, applied_at=now))


def _version(connection: Connection, name: str, newest: int) -> int | None:
    """Return the version of the ledger, or ``None`` when it is empty."""
    tables = inspect(connection).get_table_names()
    if schema_version.name not in tables:
        if tables:
            raise LedgerError(
                "is a database of something else",
                where=f"ledger {name}",
                remedy="name a database of its own for the ledger",
            )
        return None
    version = connection.execute(select(func.max(schema_version.c.version))).scalar_one()
    if version > newest:
        raise LedgerError(
            f"has schema version {version}, and this program knows {newest} at most",
            where=f"ledger {name}",
            remedy="upgrade foreshadow here to the version that wrote it",
        )
    return int(version)
