"""Making and applying patches.

A patch is a line of numbers (format, sizes), a frame with the copies, column by column, and a
frame with the new bytes, compressed against what no copy uses of the old content.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backports import zstd

from foreshadow.domain.errors import SyncError
from foreshadow.sync.frames import decompressor, prefix, squeezed
from foreshadow.sync.patches.chunks import ChunkIndex
from foreshadow.sync.patches.copies import Copies
from foreshadow.sync.patches.in_place import changed_ranges, copies_in_place
from foreshadow.sync.patches.numbers import folded, packed, unfolded, unpacked
from foreshadow.sync.patches.shifted import copies_shifted
from foreshadow.sync.patches.spans import Spans

MOST_BYTES = 40 * 2**20
"""Bytes of the largest patch that is made or accepted."""

_FORMAT = 1
_MOST_LITERALS = 32 * 2**20
_MOST_UNUSED = 32 * 2**20
_MOST_COPIES = 500_000
_WORTH = 0.5
"""A patch with more new bytes than this share of the content is not made: all of it is sent."""
_FEW = 64 * 1024
_MOSTLY = 0.6
"""Share of the changed pages' bytes that an edit in place leaves unfound at most: above it, and
above a few bytes, something was moved."""
_SLICE = 1024 * 1024
_NUMBER_BYTES = 8
_THOROUGH = 12
"""The level where the search over the whole window begins; above it costs ten times as much."""


def make_patch(old: Spans, new: Spans, index: ChunkIndex | None = None) -> bytes | None:
    """Return a patch that turns ``old`` into ``new``; ``None`` when it would not be worth it.

    :param index: of ``old``, when it may be of use again.
    """
    copies = _found(old, new, index or ChunkIndex(old))
    literals = list(copies.literals(len(new)))
    size = _size(copies, len(new))
    if len(copies) > _MOST_COPIES or size > min(_MOST_LITERALS, _WORTH * len(new)):
        return None
    program = zstd.compress(_columns(copies), level=19)
    numbers = (_FORMAT, len(old), len(new), size, len(copies), len(program))
    text = b"".join(new.read(start, end) for start, end in literals)
    return packed(numbers) + program + squeezed(text, _THOROUGH, _unused(copies, old))


def patched(patch: bytes, old: Spans, size: int) -> Iterator[bytes]:
    """Give the new content in slices of 1 MiB at most.

    :param size: of the content that is expected.
    :raises SyncError: when the patch is none of ours, is not for this old content or this size, or
        points outside.
    """
    head = _head(patch, len(old), size)
    copies = _copies(patch, head)
    literals = _Literals(patch[head.ends :], head.literals, _unused(copies, old))
    at = 0
    for copy in copies:
        yield from literals.take(copy.new - at)
        for start in range(copy.old, copy.old + copy.length, _SLICE):
            yield old.read(start, min(start + _SLICE, copy.old + copy.length))
        at = copy.new + copy.length
    yield from literals.take(size - at)
    literals.refuse_more()


def _found(old: Spans, new: Spans, index: ChunkIndex) -> Copies:
    """Return what is found of the new content in the old one, by the way that suits the edits."""
    ranges = changed_ranges(old, new)
    if ranges is None:
        return copies_shifted(old, new, index)
    copies = copies_in_place(old, new, ranges)
    common = min(len(old), len(new))
    changed = sum(min(end, common) - start for start, end in ranges if start < common)
    missed = sum(
        min(end, common) - start for start, end in copies.literals(len(new)) if start < common
    )
    if missed <= _FEW or missed <= _MOSTLY * changed:
        return copies
    return min(copies, copies_shifted(old, new, index), key=lambda found: _size(found, len(new)))


def _size(copies: Copies, new_size: int) -> int:
    return sum(end - start for start, end in copies.literals(new_size))


def _columns(copies: Copies) -> bytes:
    """Return the copies as numbers: like stands by like, which compresses."""
    gaps, jumps, lengths = [], [], []
    new = old = 0
    for copy in copies:
        gaps.append(copy.new - new)
        jumps.append(folded(copy.old - old))
        lengths.append(copy.length)
        new, old = copy.new + copy.length, copy.old + copy.length
    return packed(gaps) + packed(jumps) + packed(lengths)


def _unused(copies: Copies, old: Spans) -> bytes:
    ranges = copies.unused(len(old), _MOST_UNUSED)
    return b"".join(old.read(start, end) for start, end in ranges)


@dataclass(frozen=True, slots=True)
class _Head:
    """The numbers at the beginning of a patch.

    :ivar literals: new bytes; ``copies`` how many copies; the program lies between ``starts`` and
        ``ends``, the new bytes behind it.
    """

    old_size: int
    new_size: int
    literals: int
    copies: int
    starts: int
    ends: int


def _head(patch: bytes, old_size: int, size: int) -> _Head:
    if len(patch) > MOST_BYTES:
        raise _refused("it is larger than any that is sent")
    (kind, old, new, literals, copies, program), starts = unpacked(patch, 6)
    if kind != _FORMAT:
        raise _refused(f"its format is {kind}, and this agent knows {_FORMAT}")
    if (old, new) != (old_size, size):
        raise _refused(f"it turns {old} bytes into {new}, and {old_size} into {size} are asked for")
    if copies > _MOST_COPIES or literals > min(_MOST_LITERALS, size):
        raise _refused("it has more copies or new bytes than any that is sent")
    if program > len(patch) - starts:
        raise _refused("it is cut off")
    return _Head(old, new, literals, copies, starts, starts + program)


def _copies(patch: bytes, head: _Head) -> Copies:
    most = 3 * _NUMBER_BYTES * head.copies
    data = _bounded(patch[head.starts : head.ends], most)
    gaps, at = unpacked(data, head.copies)
    jumps, at = unpacked(data, head.copies, at)
    lengths, at = unpacked(data, head.copies, at)
    if at != len(data):
        raise _refused("there is more in its program than it says")
    copies = Copies()
    new = old = 0
    for gap, jump, length in zip(gaps, jumps, lengths, strict=True):
        new, old = new + gap, old + unfolded(jump)
        copies.add(new, old, length)
        new, old = new + length, old + length
    _refuse_outside(copies, head)
    return copies


def _refuse_outside(copies: Copies, head: _Head) -> None:
    for copy in copies:
        past_new = copy.new + copy.length > head.new_size
        if past_new or copy.old < 0 or copy.old + copy.length > head.old_size:
            raise _refused("it points outside of a content")
    if sum(end - start for start, end in copies.literals(head.new_size)) != head.literals:
        raise _refused("its copies and its new bytes do not make the content")


def _bounded(frame: bytes, most: int) -> bytes:
    """Return what a frame holds, never more than ``most`` bytes and one."""
    decoder = decompressor(None)
    try:
        data = decoder.decompress(frame, most + 1) if frame else b""
    except zstd.ZstdError:
        raise _refused("it cannot be decompressed") from None
    if len(data) > most or not decoder.eof:
        raise _refused("there is more in its program than it says")
    return data


class _Literals:
    """The new bytes of a patch, decompressed as they are taken."""

    def __init__(self, frame: bytes, size: int, beside: bytes) -> None:
        self._decoder = decompressor(prefix(beside))
        self._frame = frame
        self._left = size

    def take(self, count: int) -> Iterator[bytes]:
        """Give the next bytes.

        :raises SyncError: when there are fewer.
        """
        while count:
            data = self._some(min(count, _SLICE))
            if not data:
                raise _refused("it has fewer new bytes than it says")
            count -= len(data)
            self._left -= len(data)
            yield data

    def refuse_more(self) -> None:
        """Refuse bytes that nobody took.

        :raises SyncError: when there are some.
        """
        if self._left or self._some(1) or not self._decoder.eof or self._decoder.unused_data:
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
