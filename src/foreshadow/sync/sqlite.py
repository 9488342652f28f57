"""Capture of ``sqlite``: a consistent copy of each database, while it is being written to.

SQLite's own backup reads through a connection, so what the writers have committed is in the copy,
whether it lies in the database or still in its write-ahead log, and what they have not is not. The
copy is one file; the files beside a live database (``-wal``, ``-shm``, ``-journal``) never travel.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from foreshadow.domain.errors import SyncError
from foreshadow.domain.protocols import Findings, Found, Scene
from foreshadow.domain.units import Seconds
from foreshadow.sync.options import read_options
from foreshadow.sync.places import STATE, checked_place, place, scratch_files
from foreshadow.sync.reading import Stamp
from foreshadow.sync.sqlite_copy import copy_database
from foreshadow.sync.stats import GRANULARITY_NS

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a database; it means nothing beside a copy."""

_WRITTEN = ("", "-wal", "-journal")
"""The files of which at least one changes with each transaction."""


class SqliteOptions(BaseModel):
    """What to capture.

    :ivar path: of one database, or a glob of several: below ``{state}``, or absolute where the
        agent has the machine to itself.
    :ivar wait: seconds after which a copy is given up, as when somebody locks the database.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    wait: Seconds = 10.0

    @field_validator("path")
    @classmethod
    def _somewhere(cls, path: str) -> str:
        if path.rstrip("/") == STATE:
            raise ValueError(f"{path} is a folder: name a database in it, as {STATE}/app.db")
        return checked_place(path)


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy that was made before, and of what.

    :ivar begun_ns: time just before it was begun.
    """

    file: Path
    stamps: tuple[Stamp | None, ...]
    begun_ns: int

    def holds(self, stamps: tuple[Stamp | None, ...]) -> bool:
        """Return whether it is what the database holds by these stamps.

        What was written just before the copy was begun can be written again under the same stamps.
        """
        settled = _newest(stamps) + GRANULARITY_NS < self.begun_ns
        return settled and stamps == self.stamps and self.file.exists()


class SqliteCapture:
    """Copies databases into the scratch folder; one that did not change is not copied again."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = read_options("sqlite", options, SqliteOptions)
        self._copies: dict[Path, _Copy] = {}

    def capture(self, scene: Scene) -> Findings:
        """Copy what changed.

        :raises SpecError: for an absolute path where agents share the machine.
        :raises SyncError: when a database is not there, or cannot be copied whole.
        """
        databases = dict(self._databases(scene))
        before = dict(self._copies)
        found = tuple(
            Found(path, str(self._copied(source, scene))) for path, source in databases.items()
        )
        for gone in self._copies.keys() - databases.values():
            self._copies.pop(gone).file.unlink(missing_ok=True)
        claims = {path + suffix for path in databases for suffix in ("", *BESIDE)}
        return Findings(found, claims=frozenset(claims), unchanged=self._copies == before)

    def _databases(self, scene: Scene) -> Iterator[tuple[str, Path]]:
        """Give each database: where it stands in the version, and where it lies."""
        folder, pattern = _split(self._options.path)
        root, prefix = place(folder, scene, "sqlite")
        if not pattern:
            yield prefix, root
            return
        for path in sorted(root.glob(pattern)):
            if path.is_file() and not path.is_symlink() and not path.name.endswith(BESIDE):
                inner = str(path.relative_to(root))
                yield f"{prefix}/{inner}" if prefix else inner, path

    def _copied(self, source: Path, scene: Scene) -> Path:
        begun = time.time_ns()
        stamps = _stamps(source)
        before = self._copies.get(source)
        if before is not None and before.holds(stamps):
            return before.file
        file, draft = scratch_files(scene, source, "sqlite")
        try:
            draft.unlink(missing_ok=True)
            copy_database(source, draft, self._options.wait)
            status = source.stat()
            draft.chmod(status.st_mode & 0o777)
            os.utime(draft, ns=(status.st_atime_ns, max(_mtimes(stamps))))
            draft.replace(file)
        except OSError as error:
            raise SyncError(
                f"it cannot be copied: {error.strerror}", where=f"database {source}"
            ) from None
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        self._copies[source] = _Copy(file, stamps, begun)
        return file


def _split(path: str) -> tuple[str, str]:
    """Return the folder before the first part with a wildcard, and the rest, which may be empty."""
    parts = path.split("/")
    wild = next((at for at, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    return "/".join(parts[:wild]) or "/", "/".join(parts[wild:])


def _stamps(database: Path) -> tuple[Stamp | None, ...]:
    """Return the stamps of a database and of what is written beside it.

    :raises SyncError: when there is no such database.
    """
    stamps = tuple(_stamp(Path(f"{database}{suffix}")) for suffix in _WRITTEN)
    if stamps[0] is None:
        raise SyncError(
            "there is no such file",
            where=f"database {database}",
            remedy="let the service create it, correct its path, or take it out of the state",
        )
    database_stamp, *beside = stamps
    # SQLite gives a log to the owner of its database whenever root opens it, which is no change.
    return (database_stamp, *(s and replace(s, ctime_ns=s.mtime_ns) for s in beside))


def _stamp(path: Path) -> Stamp | None:
    try:
        return Stamp.of(path.stat())
    except FileNotFoundError:
        return None


def _mtimes(stamps: tuple[Stamp | None, ...]) -> Iterator[int]:
    return (stamp.mtime_ns for stamp in stamps if stamp is not None)


def _newest(stamps: tuple[Stamp | None, ...]) -> int:
    return max(max(s.mtime_ns, s.ctime_ns) for s in stamps if s is not None)
