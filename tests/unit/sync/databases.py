"""SQLite databases to capture, and what a copy of one holds."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

WRITER = """
import os, sqlite3, sys, time
path, mode, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])
db = sqlite3.connect(path, timeout=60, isolation_level=None)
db.execute(f"PRAGMA journal_mode={mode}")
db.execute("PRAGMA synchronous=OFF")
db.execute("CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, filler BLOB)")
db.execute("CREATE TABLE IF NOT EXISTS total (n INTEGER, count INTEGER)")
db.execute("CREATE INDEX IF NOT EXISTS by_filler ON log (filler)")
if db.execute("SELECT count(*) FROM total").fetchone() == (0,):
    db.execute("INSERT INTO total VALUES (0, 0)")
n = db.execute("SELECT n FROM total").fetchone()[0]
begun = time.monotonic() - n / rate
while True:
    n += 1
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO log VALUES (?, ?)", (n, os.urandom(300)))
    db.execute("UPDATE total SET n = ?, count = count + 1", (n,))
    db.execute("COMMIT")
    print(n, flush=True)  # acknowledged
    time.sleep(max(0.0, begun + n / rate - time.monotonic()))
"""
"""Writes transactions at a rate and prints the number of each once it is committed."""


class Writer:
    """A process that writes; :attr:`acknowledged` is the last number that it printed so far."""

    def __init__(self, path: Path, mode: str, rate: float) -> None:
        self.told = path.with_name(f"{path.name}.told.{id(self)}")
        self.told = path.parent.parent / self.told.name
        with self.told.open("wb") as told:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path), mode, str(rate)], stdout=told
            )

    @property
    def acknowledged(self) -> int:
        numbers = self.told.read_text().split("\n")[:-1]
        return int(numbers[-1]) if numbers else 0

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(20)


@contextmanager
def writing(path: Path, mode: str = "wal", rate: float = 200) -> Iterator[Writer]:
    """Write into a database in another process meanwhile."""
    writer = Writer(path, mode, rate)
    try:
        yield writer
    finally:
        writer.stop()


def proven(copy: Path) -> int:
    """Return how many transactions a captured copy holds, once it has proved to be a whole one.

    It is a prefix: the numbers 1 to n without a gap, and both tables agree on n.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(copy, Path(folder, "copy.db"))
        with closing(sqlite3.connect(Path(folder, "copy.db"))) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            tables = db.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table'")
            if tables.fetchone() != (2,):
                return 0  # the writer has only begun
            numbers = [n for (n,) in db.execute("SELECT n FROM log ORDER BY n")]
            assert numbers == list(range(1, len(numbers) + 1))
            total = db.execute("SELECT n, count FROM total").fetchall()
            assert total in ([(len(numbers), len(numbers))], [])
            return len(numbers)


def make(path: Path, mode: str = "wal", rows: int = 100) -> sqlite3.Connection:
    """Make a database and return the connection that wrote it; in WAL mode, there is a log."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute(f"PRAGMA journal_mode={mode}")
    db.execute("CREATE TABLE t (n INTEGER, filler BLOB)")
    add(db, rows)
    return db


def add(db: sqlite3.Connection, rows: int = 1) -> None:
    db.execute("BEGIN")
    db.executemany("INSERT INTO t VALUES (?, randomblob(200))", ((n,) for n in range(rows)))
    db.execute("COMMIT")


def count(copy: Path) -> int:
    """Return the rows of a captured copy that :func:`make` made, and prove that it is whole."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(copy, Path(folder, "copy.db"))
        with closing(sqlite3.connect(Path(folder, "copy.db"))) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            found: int = db.execute("SELECT count(*) FROM t").fetchone()[0]
            return found
