"""Contents that were edited where they are: databases, images, memory dumps."""

from __future__ import annotations

from collections.abc import Iterator

from foreshadow.sync.patches.copies import MOST_COPIES, Copies
from foreshadow.sync.patches.nearby import Window
from foreshadow.sync.patches.ranges import Ranges
from foreshadow.sync.patches.spans import Spans

_BLOCK = 64 * 1024
"""Bytes that are read at a time: more do not stay in the processor's cache."""
_PAGE = 4096
_JUDGED = 48
"""Changed blocks after which it is decided whether the content was shifted."""
_MOSTLY = 0.6
"""Share of changed pages in changed blocks above which it was: an insertion moves all behind it."""
_AROUND = 16 * 1024
"""Bytes of the old content before and behind a changed part in which its bytes are looked for."""


def changed_ranges(
    old: Spans, new: Spans, suspects: Ranges | None = None
) -> list[tuple[int, int]] | None:
    """Return start and end of what differs at the same place, in whole pages.

    :param suspects: where it may differ; ``None``: anywhere.
    :return: ``None`` when the content was shifted, so that this is not the way to look at it, and
        when there are more of them than a patch can have.
    """
    common = min(len(old), len(new))
    ranges: list[tuple[int, int]] = []
    blocks = pages = 0
    for at in _blocks(common, suspects):
        end = min(at + _BLOCK, common)
        a, b = old.read(at, end), new.read(at, end)
        if a == b:
            continue
        blocks += 1
        for page in range(0, end - at, _PAGE):
            if a[page : page + _PAGE] != b[page : page + _PAGE]:
                pages += 1
                _append(ranges, at + page, min(at + page + _PAGE, end))
        if blocks == _JUDGED and pages > _MOSTLY * _JUDGED * (_BLOCK // _PAGE):
            return None
        if len(ranges) > MOST_COPIES:
            return None
    if len(new) > common:
        _append(ranges, common, len(new))
    return ranges


def _blocks(size: int, suspects: Ranges | None) -> Iterator[int]:
    """Give the beginnings of the blocks to look at."""
    done = 0
    for start, end in [(0, size)] if suspects is None else suspects:
        first = max(done, start // _BLOCK * _BLOCK)
        done = max(done, min(end, size))
        yield from range(first, done, _BLOCK)
        done = max(done, -(-done // _BLOCK) * _BLOCK)


def copies_in_place(old: Spans, new: Spans, ranges: list[tuple[int, int]], most: int) -> Copies:
    """Return what is the same outside the changed ranges, and what is found again in them.

    :param most: bytes that may be missed; the search ends when there are more.
    """
    copies = Copies()
    at = 0
    for start, end in ranges:
        copies.add(at, at, start - at)
        for part in range(start, end, _BLOCK):
            if copies.are_futile(part, most):
                return copies
            _match(copies, old, new, part, min(part + _BLOCK, end))
        at = end
    copies.add(at, at, len(new) - at)
    return copies


def _match(copies: Copies, old: Spans, new: Spans, start: int, end: int) -> None:
    before = max(0, start - _AROUND)
    window = Window(
        new=new.read(start, end),
        old=old.read(before, end + _AROUND),
        new_start=start,
        old_start=before,
        old_at=start - before,
    )
    window.match(copies, end - start)


def _append(ranges: list[tuple[int, int]], start: int, end: int) -> None:
    if ranges and ranges[-1][1] == start:
        ranges[-1] = (ranges[-1][0], end)
    else:
        ranges.append((start, end))
