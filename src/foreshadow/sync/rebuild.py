"""Making a content on the destination out of an older one and a patch, and verifying it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foreshadow.sync.digests import BLOCK, ENTRY, Hasher, block_hash, digest_of
from foreshadow.sync.patches.patch import pieces
from foreshadow.sync.patches.ranges import Ranges, Touched, union, within
from foreshadow.sync.patches.spans import InFile, Spans, Windowed
from foreshadow.sync.spares import Spare

_SLICE = 1024 * 1024
_PAGE = 4096
_WORTH = 0.5
"""Share of a content above which writing all of it anew is as good."""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a patch.

    :ivar changed: where it differs from the content that the patch builds on.
    """

    table: bytes
    changed: Ranges

    @property
    def digest(self) -> str:
        """The digest of the content."""
        return digest_of(self.table)


def written(path: Path, patch: bytes, old: Spans, size: int) -> Made:
    """Write a content as a whole, into a new file.

    :raises SyncError: when the patch is refused.
    """
    hasher, changed = Hasher(), Touched()
    windowed, at = Windowed(old), 0
    with path.open("wb", 64 * 1024) as out:
        for piece in pieces(patch, old, size):
            if piece.copied_from != at:
                _add(changed, at, piece.length)
            for data in piece.read(windowed):
                hasher.update(data)
                out.write(data)
            at += piece.length
    return Made(hasher.table(), changed.ranges)


def brought_up(spare: Spare, patch: bytes, old: Spans, size: int) -> Made | None:
    """Write into a spare what differs from a content; ``None`` when that is too much of it.

    Only the blocks that were written are read and hashed again.

    :raises SyncError: when the patch is refused.
    :raises OSError: when it cannot be written.
    """
    windowed, at = Windowed(old), 0
    with _opened(spare.path) as descriptor:
        run = _Run(descriptor)
        for piece in pieces(patch, old, size):
            if piece.copied_from == at and (piece.length >= _PAGE or not run.data):
                run.end()
                for start, end in within(spare.stale, at, at + piece.length):
                    _write(descriptor, old, start, end)
            else:
                if not run.data:
                    run.at = at
                for data in (piece.data,) if piece.data else piece.read(windowed):
                    run.data += data
                if len(run.data) >= _SLICE:
                    run.end()
                if run.changed.bytes > _WORTH * size:
                    return None
            at += piece.length
        run.end()
        os.ftruncate(descriptor, size)
        touched = union([run.changed.ranges, spare.stale])
        return Made(_table(spare, InFile(descriptor), touched), run.changed.ranges)


class _Run:
    """Pieces that follow one another and are written at once.

    What lies between two of them is written too when it is short: one write more costs more.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.changed = Touched()
        self.data = bytearray()
        self.at = 0

    def end(self) -> None:
        """Write what there is."""
        if self.data:
            _put(self._descriptor, self.data, self.at)
            _add(self.changed, self.at, len(self.data))
            self.data.clear()


def _add(changed: Touched, at: int, length: int) -> None:
    """Add a range in whole pages: many small ones are one then."""
    changed.add(at // _PAGE * _PAGE, -(-(at + length) // _PAGE) * _PAGE)


def _write(descriptor: int, old: Spans, start: int, end: int) -> None:
    for at in range(start, end, _SLICE):
        _put(descriptor, old.read(at, min(at + _SLICE, end)), at)


def _put(descriptor: int, data: bytes | bytearray, at: int) -> None:
    if os.pwrite(descriptor, data, at) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _table(spare: Spare, new: InFile, touched: Ranges) -> bytes:
    """Return the hashes of the blocks: those of the spare where nothing was written."""
    size = len(new)
    table = bytearray(spare.table[: -(-size // BLOCK) * ENTRY])
    if spare.size != size:
        # The last block of the shorter of the two is a whole one in the other.
        edge = min(spare.size, size) // BLOCK * BLOCK
        touched = union([touched, [(edge, size)]])
    done = 0
    for start, end in touched:
        for block in range(max(done, start // BLOCK), -(-min(end, size) // BLOCK)):
            data = new.read(block * BLOCK, (block + 1) * BLOCK)
            table[block * ENTRY : (block + 1) * ENTRY] = block_hash(data)
            done = block + 1
    return bytes(table)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
