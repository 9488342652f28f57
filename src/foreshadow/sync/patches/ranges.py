"""Where two contents differ: starts and ends in bytes, in their order and apart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

Ranges = Sequence[tuple[int, int]]


class Touched:
    """Ranges that come in their order; those that meet become one."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.bytes = 0

    def add(self, start: int, end: int) -> None:
        """Add a range that begins behind the others, or in the last one."""
        if self.ranges and start <= self.ranges[-1][1]:
            last, before = self.ranges[-1]
            if end > before:
                self.ranges[-1] = (last, end)
                self.bytes += end - before
        elif end > start:
            self.ranges.append((start, end))
            self.bytes += end - start


def union(many: Iterable[Ranges]) -> Ranges:
    """Return what is in any of them."""
    touched = Touched()
    for start, end in sorted(pair for ranges in many for pair in ranges):
        touched.add(start, end)
    return touched.ranges


def within(ranges: Ranges, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Give the parts of the ranges that lie between ``start`` and ``end``."""
    at = max(0, bisect_right(ranges, start, key=lambda pair: pair[0]) - 1)
    while at < len(ranges) and ranges[at][0] < end:
        first, last = max(start, ranges[at][0]), min(end, ranges[at][1])
        if first < last:
            yield first, last
        at += 1
