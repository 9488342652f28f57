"""Files of versions that went, kept to become the next version where they differ from it.

A large file that changes a little each time is neither copied nor hashed as a whole: the file of
the version before the last one is brought up to the new content by writing what differs, and only
the blocks that were written are hashed again. What the others hold was verified when they were
written; :meth:`~foreshadow.sync.receive.Receiver.unread` tells what to read anew, now and then.

A spare is a file that nobody else has: no other name leads to it, and no process has it open.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from foreshadow.domain.manifest import Entry, EntryKind
from foreshadow.sync.durable import remove_tree
from foreshadow.sync.patches.ranges import Ranges, union
from foreshadow.sync.reading import Stamp
from foreshadow.sync.stored import Version

LEAST = 1024 * 1024
"""Bytes from which on a file is worth to be kept."""
_MOST_TABLES = 16 * 2**20
"""Bytes of the hashes of blocks that are remembered: those of 32 GB."""
_MOST_RANGES = 50_000
"""Of one content; one that differs in more is not come back to."""
_MOST_STEPS = 8


@dataclass(frozen=True, slots=True)
class _Known:
    """A content that was verified.

    :ivar table: hashes of its blocks.
    :ivar base: digest of what it was made from, and ``changed`` where it differs from that.
    :ivar read_at: since when no part of its file went unread.
    """

    table: bytes
    base: str
    changed: Ranges
    read_at: float


@dataclass(frozen=True, slots=True)
class Spare:
    """A file to write to, which is nobody's any more.

    :ivar table: hashes of its blocks; ``stale`` is where it differs from what is built upon.
    """

    path: Path
    size: int
    table: bytes
    stale: Ranges
    read_at: float


class Spares:
    """The spares of one resource; what is known of them is not kept over a restart.

    :param folder: private to the destination.
    :param clock: seconds that never go back.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._tables = 0
        self._stamps: dict[str, Stamp] | None = None

    def learn(
        self,
        digest: str,
        table: bytes,
        base: str = "",
        changed: Ranges = (),
        read_at: float | None = None,
    ) -> None:
        """Remember a content that was verified, and what it was made from.

        :param read_at: missing: all of it was hashed now.
        """
        if len(changed) > _MOST_RANGES:
            base, changed = "", ()
        self._forget(digest)
        when = self._clock() if read_at is None else read_at
        self._known[digest] = _Known(table, base, changed, when)
        self._tables += len(table)
        while self._tables > _MOST_TABLES:
            self._forget(next(iter(self._known)))

    def is_unread(self, digest: str, seconds: float) -> bool:
        """Return whether a part of a content's file was not read for so long."""
        known = self._known.get(digest)
        return known is not None and known.read_at < self._clock() - seconds

    def was_read(self, digest: str) -> None:
        """Note that a content was read as a whole."""
        if digest in self._known:
            self._known[digest] = replace(self._known[digest], read_at=self._clock())

    def keep(self, tree: Path, version: Version) -> None:
        """Take over the large files of a version that is about to be removed."""
        for entry in version.entries:
            if entry.kind is EntryKind.FILE and entry.size >= LEAST and entry.digest in self._known:
                with contextlib.suppress(OSError):
                    self._take_over(tree / entry.path, entry)

    def trim(self, current: Iterable[Entry]) -> None:
        """Remove the spares from which no content of a version could be made."""
        useful: set[str] = set()
        for entry in current:
            if entry.digest in self._known:
                useful.update(digest for digest, _ in self._back(entry.digest))
        for digest in self._there().keys() - useful:
            self._remove(digest)

    def take(self, base: str) -> Spare | None:
        """Return a spare that was a content from which ``base`` came; it is the caller's now."""
        stale: list[Ranges] = []
        for digest, changed in self._back(base):
            stamp = self._there().pop(digest, None)
            if stamp is not None:
                path = self._folder / digest
                with contextlib.suppress(OSError):
                    if Stamp.of(path.lstat()) == stamp:
                        known = self._known[digest]
                        return Spare(path, stamp.size, known.table, union(stale), known.read_at)
                path.unlink(missing_ok=True)
            stale.append(changed)
        return None

    def clear(self) -> None:
        """Remove all spares."""
        self._stamps = {}
        remove_tree(self._folder)

    def _back(self, digest: str) -> Iterator[tuple[str, Ranges]]:
        """Give a content and those it came from, each with where it differs from the one before."""
        for _ in range(_MOST_STEPS):
            known = self._known.get(digest)
            if known is None:
                return
            yield digest, known.changed
            digest = known.base

    def _there(self) -> dict[str, Stamp]:
        """Return the spares; what an agent before this one left is removed first."""
        if self._stamps is None:
            self.clear()
        assert self._stamps is not None  # noqa: S101 - clear() saw to it
        return self._stamps

    def _take_over(self, path: Path, entry: Entry) -> None:
        """Move a file here if it is as it was applied and nobody else can reach it.

        :raises OSError: when it cannot be moved or written to.
        """
        stamps = self._there()
        status = path.lstat()
        applied = (status.st_size, status.st_mtime_ns, status.st_mode & 0o777)
        if entry.digest in stamps or applied != (entry.size, entry.mtime_ns, entry.mode):
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = self._folder / entry.digest
        path.rename(target)
        try:
            _need_alone(target)
        except OSError:
            target.unlink()
            raise
        stamps[entry.digest] = Stamp.of(target.lstat())

    def _remove(self, digest: str) -> None:
        del self._there()[digest]
        (self._folder / digest).unlink(missing_ok=True)

    def _forget(self, digest: str) -> None:
        known = self._known.pop(digest, None)
        if known is not None:
            self._tables -= len(known.table)


def _need_alone(path: Path) -> None:
    """Make a file private.

    :raises OSError: when another name leads to it, or a process has it open; the kernel grants a
        lease for writing only to who is alone.
    """
    if path.lstat().st_nlink != 1:
        raise OSError("another name leads to it")
    path.chmod(0o600)
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    finally:
        os.close(descriptor)
