"""Reading a live file into a hash, and into a copy, without ever taking a torn content."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from foreshadow.domain.errors import SyncError
from foreshadow.sync.digests import Hasher, digest_of

SLICE = 64 * 1024
"""Bytes per ``pread``: larger slices fall out of the processor's cache and are far slower."""

_ATTEMPTS = 5

Sink = Callable[[bytes, int], object]
"""Takes the bytes at an offset."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What of a file's ``lstat`` changes when its content does."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    mode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp in a stat result."""
        return cls(
            status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_mode
        )


@dataclass(frozen=True, slots=True)
class Content:
    """A content as it was at one moment: its hash, its size, and the stamp of that moment.

    :ivar table: hashes of its blocks; see :mod:`foreshadow.sync.digests`.
    """

    digest: str
    size: int
    stamp: Stamp
    table: bytes = b""


def read_steady(path: Path | str, sink: Sink | None = None) -> Content:
    """Return the content of a file that somebody may be writing to.

    When the file changed meanwhile, its first ``size`` bytes are read again: the same bytes twice
    are what it held in between, as with a log that is appended to. Otherwise it is read anew, a
    bounded number of times. ``sink`` gets the bytes of each attempt from offset 0 on, so what it
    wrote is to be cut to ``size`` at the end.

    :raises FileNotFoundError: when the file is gone.
    :raises SyncError: when it cannot be read, is not a regular file, or never held still.
    """
    with open_file(path) as descriptor:
        for _ in range(_ATTEMPTS):
            before = Stamp.of(os.fstat(descriptor))
            table, size = _hashed(descriptor, before.size, sink)
            if size == before.size:
                after = Stamp.of(os.fstat(descriptor))
                if after == before or _hashed(descriptor, size, None) == (table, size):
                    return Content(digest_of(table), size, before, table)
    raise SyncError(
        f"it was written to at each of {_ATTEMPTS} readings",
        where=f"state file {path}",
        remedy="exclude it, or let the service replace it by a rename",
    )


@contextlib.contextmanager
def open_file(path: Path | str) -> Iterator[int]:
    """Open a regular file for reading, without following a link at its end or waiting on a pipe.

    :raises FileNotFoundError: when it is gone.
    :raises SyncError: when it cannot be opened or is not a regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SyncError(
            f"it cannot be read: {error.strerror}",
            where=f"state file {path}",
            remedy="let the agent's user read it, or exclude it",
        ) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SyncError("it is no longer a regular file", where=f"state file {path}")
        yield descriptor
    finally:
        os.close(descriptor)


def _hashed(descriptor: int, size: int, sink: Sink | None) -> tuple[bytes, int]:
    hasher = Hasher()
    offset = 0
    while offset < size:
        data = os.pread(descriptor, min(SLICE, size - offset), offset)
        if not data:
            break
        hasher.update(data)
        if sink is not None:
            sink(data, offset)
        offset += len(data)
    return hasher.table(), offset
