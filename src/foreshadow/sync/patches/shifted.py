"""Contents in which bytes were inserted, taken out or moved: logs, dumps, JSON."""

from __future__ import annotations

from foreshadow.sync.patches.chunks import ChunkIndex
from foreshadow.sync.patches.compare import equal_tail
from foreshadow.sync.patches.copies import Copies
from foreshadow.sync.patches.nearby import Window
from foreshadow.sync.patches.spans import Spans

_WINDOW = 64 * 1024
_AHEAD = 16 * 1024
"""Bytes that the old window is longer: an insertion is found again behind as much as this."""
_BEHIND = 2048
_MARGIN = 9 * 1024
"""Bytes at the end of a window that are left to the next: a search needs some room."""
_BACK = 64 * 1024


def copies_shifted(old: Spans, new: Spans, most: int) -> Copies:
    """Return what is found again: near where it is expected, else by its chunks.

    :param most: bytes that may be missed; the search ends when there are more.
    """
    copies, index = Copies(), ChunkIndex(old)
    at = expected = 0
    while at < len(new) and not copies.are_futile(at, most):
        window = _window(old, new, at, expected)
        last = at + len(window.new) >= len(new)
        near = window.match(copies, len(window.new) - (0 if last else _MARGIN))
        decided = at + window.new_at
        at, expected = decided, window.old_start + window.old_at
        if near:
            continue
        found = index.find(new, at, at + most - copies.missed(at) + _BACK)
        if found is None:
            return copies
        back = _same_before(old, new, found, at)
        at, expected = found[0] - back, found[1] - back
    return copies


def _window(old: Spans, new: Spans, at: int, expected: int) -> Window:
    before = max(0, min(expected, len(old)) - _BEHIND)
    return Window(
        new=new.read(at, at + _WINDOW),
        old=old.read(before, expected + _WINDOW + _AHEAD),
        new_start=at,
        old_start=before,
        old_at=expected - before,
    )


def _same_before(old: Spans, new: Spans, found: tuple[int, int], at: int) -> int:
    """Return how many bytes before a chunk that was found are the same too."""
    room = min(found[0] - at, found[1], _BACK)
    return equal_tail(new.read(found[0] - room, found[0]), old.read(found[1] - room, found[1]))
