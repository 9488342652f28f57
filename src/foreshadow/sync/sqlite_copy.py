"""Copying one SQLite database through SQLite, without holding up its writers more than needed."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from foreshadow.domain.errors import SyncError
from foreshadow.domain.units import format_duration
from foreshadow.sync.reading import SLICE, open_file

_STEP = 1024
"""Pages of one step: a few milliseconds."""

_PAUSE = 0.005
"""Seconds in which writers get their turn."""

_TRIES = 2
"""How often a copy may be begun anew before writers have to wait for it."""

_JOURNAL_SECONDS = 1.0
"""How long a journal may look like one that a crash left.

A reader looks at a writer's lock and its journal one after the other. When the writer begins or
ends in between, the journal seems to be nobody's; the next look tells.
"""

_WRITERS = "give it a longer wait, or let its writers use WAL mode and short transactions"
_ACCESS = (
    "let the agent's user read and write in its folder; after a crash, let the service open it once"
)
_REMEDIES = {
    sqlite3.SQLITE_NOTADB: "name an SQLite database; capture an encrypted one with kind command",
    sqlite3.SQLITE_READONLY: _ACCESS,
    sqlite3.SQLITE_CANTOPEN: _ACCESS,
    sqlite3.SQLITE_PERM: _ACCESS,
    sqlite3.SQLITE_CORRUPT: "restore the database: no copy of it was taken",
    sqlite3.SQLITE_FULL: "make room in the agent's state folder",
}

_Progress = Callable[[int, int, int], None]


class _OvertakenError(Exception):
    """Somebody wrote to the database, so SQLite began the copy anew."""


def copy_database(source: Path, target: Path, within: float) -> None:
    """Copy a database as it is at one moment, into a file that is not there. Blocks.

    A database in WAL mode is read under one read transaction, which holds up no writer. With a
    rollback journal a writer waits for a reader: the copy is made in short steps with room for
    writers in between. Where they overtake it again and again, the file is copied as it is, and
    writers wait while the copy is compared with it. Nothing is written into the database; a
    ``-shm`` or ``-wal`` that SQLite needs for reading may appear.

    :param within: seconds after which it is given up.
    :raises SyncError: when it is no database, is locked for too long, or cannot be read whole.
    """
    deadline = time.monotonic() + within
    until = min(deadline, time.monotonic() + _JOURNAL_SECONDS)
    try:
        while not _copied(source, target, within, deadline, until):
            target.unlink(missing_ok=True)
            time.sleep(_PAUSE)
    except (TimeoutError, sqlite3.Error) as error:
        code = error.sqlite_errorcode & 0xFF if hasattr(error, "sqlite_errorcode") else 0
        busy = isinstance(error, TimeoutError) or code in {
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
        }
        raise SyncError(
            f"it could not be copied within {format_duration(within)}"
            if busy
            else f"SQLite cannot copy it: {error}",
            where=f"database {source}",
            remedy=_WRITERS if busy else _REMEDIES.get(code, "look at who uses it"),
        ) from None


def _copied(source: Path, target: Path, within: float, deadline: float, until: float) -> bool:
    """Copy it; return whether no journal that may yet be a writer's stood in the way.

    :param until: when such a journal is taken for one that a crash left.
    """
    try:
        with closing(_reader(source, within)) as origin:
            if _is_wal(origin):
                with _reading(origin):
                    _backup(origin, target, lambda *_: _in_time(deadline))
            elif not _in_steps(origin, target, deadline):
                _compared(origin, source, target, deadline)
    except sqlite3.Error as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK or time.monotonic() > until:
            raise
        return False
    return True


def _reader(source: Path, within: float) -> sqlite3.Connection:
    """Open a database for reading only: a journal that a crash left stays the service's matter."""
    address = f"file:{quote(str(source))}?mode=ro"
    return sqlite3.connect(address, uri=True, timeout=within, isolation_level=None)


def _is_wal(origin: sqlite3.Connection) -> bool:
    return bool(origin.execute("PRAGMA journal_mode").fetchone() == ("wal",))


def _in_steps(origin: sqlite3.Connection, target: Path, deadline: float) -> bool:
    """Copy in steps between which writers may write; return whether they let it come to an end."""
    for _ in range(_TRIES):
        try:
            _backup(origin, target, _Steps(deadline))
        except _OvertakenError:
            target.unlink()
        else:
            return True
    return False


class _Steps:
    """Looks on at the steps of one copy: each leaves less to copy, unless it begins anew."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._left = float("inf")

    def __call__(self, status: int, remaining: int, total: int) -> None:
        _in_time(self._deadline)
        if status == sqlite3.SQLITE_OK and remaining >= self._left:
            raise _OvertakenError
        self._left = remaining


def _compared(origin: sqlite3.Connection, source: Path, target: Path, deadline: float) -> None:
    """Copy the file, then bring the copy up to what it is under a read transaction.

    Under that, nobody writes into the file. It is closed after the transaction: to close it takes
    the locks of this process away, SQLite's included.
    """
    with open_file(source) as descriptor, target.open("w+b", buffering=0) as copy:
        _bring(descriptor, copy.fileno(), deadline)
        with _reading(origin):
            _bring(descriptor, copy.fileno(), deadline)


@contextmanager
def _reading(origin: sqlite3.Connection) -> Iterator[None]:
    origin.execute("BEGIN")
    origin.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()  # it begins with a read
    yield
    origin.execute("COMMIT")


def _bring(source: int, copy: int, deadline: float) -> None:
    """Make a copy equal to its source, and write only where it is not."""
    size = os.fstat(source).st_size
    for offset in range(0, size, SLICE):
        _in_time(deadline)
        data = os.pread(source, SLICE, offset)
        if data != os.pread(copy, SLICE, offset):
            os.pwrite(copy, data, offset)
    os.ftruncate(copy, size)


def _backup(origin: sqlite3.Connection, target: Path, progress: _Progress) -> None:
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        # A copy that is not finished is thrown away: nothing needs to survive a crash.
        copy.execute("PRAGMA journal_mode=OFF")
        copy.execute("PRAGMA synchronous=OFF")
        origin.backup(copy, pages=_STEP, progress=progress, sleep=_PAUSE)


def _in_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError
