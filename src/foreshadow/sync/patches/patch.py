"""Making and applying patches.

The copies are a frame of columns, as like beside like compresses; the new bytes are a frame that is
compressed against what no copy uses of the old content.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from backports import zstd
from google.protobuf.message import DecodeError

from foreshadow.domain.errors import SyncError
from foreshadow.sync.frames import decompressor, likened, opened, prefix, squeezed
from foreshadow.sync.patches.copies import MOST_COPIES, Copies
from foreshadow.sync.patches.in_place import changed_ranges, copies_in_place
from foreshadow.sync.patches.ranges import Ranges
from foreshadow.sync.patches.shifted import copies_shifted
from foreshadow.sync.patches.spans import Spans, Windowed
from foreshadow.wire.gen.sync_pb2 import Patch, Program

MOST_BYTES = 40 * 2**20
"""Bytes of the largest patch that is made or accepted."""

_MOST_LITERALS = 32 * 2**20
_MOST_UNUSED = 32 * 2**20
_MOST_PROGRAM = 4 * 2**20
_WORTH = 0.5
"""A patch with more new bytes than this share of the content is not made: all of it is sent."""
_FEW = 64 * 1024
_MOSTLY = 0.6
"""Share of the changed pages' bytes that an edit in place leaves unfound at most: above it, and
above a few bytes, something was moved."""
_SLICE = 1024 * 1024
_BEST = 19
_THOROUGH = 12
"""The level where the search over the whole window begins; above it costs ten times as much."""


def make_patch(old: Spans, new: Spans, suspects: Ranges | None = None) -> bytes | None:
    """Return a patch that turns ``old`` into ``new``; ``None`` when it would not be worth it.

    :param suspects: where they may differ at the same place; ``None``: anywhere.
    """
    most = min(_MOST_LITERALS, int(_WORTH * len(new)))
    copies = _found(old, new, most, suspects)
    if copies.are_futile(len(new), most):
        return None
    program = _program(copies).SerializeToString()
    if len(program) > _MOST_PROGRAM:
        return None
    own = Windowed(new)
    text = b"".join(own.read(start, end) for start, end in copies.literals(len(new)))
    return Patch(
        old_size=len(old),
        new_size=len(new),
        program=squeezed(program, _BEST),
        literals=likened(text, _THOROUGH, _unused(copies, old)),
    ).SerializeToString()


def patched(patch: bytes, old: Spans, size: int) -> Iterator[bytes]:
    """Give the new content in slices of 1 MiB at most; see :func:`pieces`."""
    for piece in pieces(patch, old, size):
        yield from piece.read(old)


class Piece(NamedTuple):
    """The next bytes of a new content.

    :ivar copied_from: where the old content has them; ``None`` when they are new, as ``data``.
    """

    length: int
    copied_from: int | None
    data: bytes = b""

    def read(self, old: Spans) -> Iterator[bytes]:
        """Give the bytes in slices of 1 MiB at most."""
        if self.copied_from is None:
            yield self.data
            return
        end = self.copied_from + self.length
        for start in range(self.copied_from, end, _SLICE):
            yield old.read(start, min(start + _SLICE, end))


def pieces(patch: bytes, old: Spans, size: int) -> Iterator[Piece]:
    """Give the new content in its order.

    :param size: of the content that is expected.
    :raises SyncError: when the patch is none of ours, is not for this old content or this size, or
        points outside.
    """
    message = _parsed(patch, len(old), size)
    copies = _copies(message)
    if copies.missed(size) > _MOST_LITERALS:
        raise _refused("it has more new bytes than any that is sent")
    literals = _Literals(message.literals, _unused(copies, old))
    at = 0
    for copy in copies:
        yield from literals.take(copy.new - at)
        yield Piece(copy.length, copy.old)
        at = copy.new + copy.length
    yield from literals.take(size - at)
    literals.refuse_more()


def _found(old: Spans, new: Spans, most: int, suspects: Ranges | None) -> Copies:
    """Return what is found of the new content in the old one, by the way that suits the edits.

    :param most: bytes that may be missed; with more than that, no search needs to go on.
    """
    ranges = changed_ranges(old, new, suspects)
    if ranges is None:
        return copies_shifted(old, new, most)
    copies = copies_in_place(old, new, ranges, most)
    common = min(len(old), len(new))
    changed = sum(min(end, common) - start for start, end in ranges if start < common)
    missed = sum(
        min(end, common) - start for start, end in copies.literals(len(new)) if start < common
    )
    if missed <= _FEW or missed <= _MOSTLY * changed:
        return copies
    other = copies_shifted(old, new, min(most, copies.missed(len(new))))
    size = len(new)
    return min(copies, other, key=lambda it: (it.are_futile(size, most), it.missed(size)))


def _program(copies: Copies) -> Program:
    program = Program()
    new = old = 0
    for copy in copies:
        program.gaps.append(copy.new - new)
        program.jumps.append(copy.old - old)
        program.lengths.append(copy.length)
        new, old = copy.new + copy.length, copy.old + copy.length
    return program


def _unused(copies: Copies, old: Spans) -> bytes:
    ranges = copies.unused(len(old), _MOST_UNUSED)
    windowed = Windowed(old)
    return b"".join(windowed.read(start, end) for start, end in ranges)


def _parsed(patch: bytes, old_size: int, size: int) -> Patch:
    if len(patch) > MOST_BYTES:
        raise _refused("it is larger than any that is sent")
    try:
        message = Patch.FromString(patch)
    except DecodeError:
        raise _refused("it cannot be read") from None
    old, new = message.old_size, message.new_size
    if (old, new) != (old_size, size):
        raise _refused(f"it turns {old} bytes into {new}, and {old_size} into {size} are asked for")
    return message


def _copies(patch: Patch) -> Copies:
    try:
        program = Program.FromString(opened(patch.program, _MOST_PROGRAM))
    except DecodeError:
        raise _refused("its copies cannot be read") from None
    count = len(program.lengths)
    if count > MOST_COPIES or len(program.gaps) != count or len(program.jumps) != count:
        raise _refused("it has too many copies, or parts of some")
    copies = Copies()
    new = old = 0
    for gap, jump, length in zip(program.gaps, program.jumps, program.lengths, strict=True):
        new, old = new + gap, old + jump
        if new + length > patch.new_size or not 0 <= old <= patch.old_size - length:
            raise _refused("it points outside of a content")
        copies.add(new, old, length)
        new, old = new + length, old + length
    return copies


class _Literals:
    """The new bytes of a patch, decompressed as they are taken."""

    def __init__(self, frame: bytes, beside: bytes) -> None:
        self._decoder = decompressor(prefix(beside))
        self._frame = frame

    def take(self, count: int) -> Iterator[Piece]:
        """Give the next bytes.

        :raises SyncError: when there are fewer.
        """
        while count:
            data = self._some(min(count, _SLICE))
            if not data:
                raise _refused("it has fewer new bytes than it says")
            count -= len(data)
            yield Piece(len(data), None, data)

    def refuse_more(self) -> None:
        """Refuse bytes that nobody took.

        :raises SyncError: when there are some.
        """
        if self._some(1) or not self._decoder.eof or self._decoder.unused_data:
            raise _refused("it has more new bytes than it says")

    def _some(self, most: int) -> bytes:
        if self._decoder.eof:
            return b""
        frame, self._frame = self._frame, b""
        try:
            return self._decoder.decompress(frame, most)
        except zstd.ZstdError:
            raise _refused("it cannot be decompressed") from None


def _refused(problem: str) -> SyncError:
    return SyncError(problem, where="patch", remedy="the next round sends the whole content")
