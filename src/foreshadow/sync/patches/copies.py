"""What of a new content is found in the old one, in the order of the new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MOST_COPIES = 500_000
"""Of one patch."""


class Copy(NamedTuple):
    """A run of bytes of the new content that the old one has too."""

    new: int
    old: int
    length: int


class Copies:
    """Copies that lie behind one another in the new content and do not overlap there."""

    def __init__(self) -> None:
        self._all: list[Copy] = []
        self._bytes = 0

    def __iter__(self) -> Iterator[Copy]:
        """Give the copies in their order."""
        return iter(self._all)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all)

    def add(self, new: int, old: int, length: int) -> None:
        """Add a copy behind the others; one that continues the last one makes it longer."""
        if not length:
            return
        self._bytes += length
        if self._all:
            last = self._all[-1]
            if last.new + last.length == new and last.old + last.length == old:
                self._all[-1] = Copy(last.new, last.old, last.length + length)
                return
        self._all.append(Copy(new, old, length))

    def missed(self, end: int) -> int:
        """Return how many bytes of the new content before ``end`` no copy has."""
        return end - self._bytes

    def are_futile(self, end: int, most: int) -> bool:
        """Return whether no patch comes of what was found before ``end``.

        :param most: bytes of its own that the new content may have.
        """
        return len(self._all) > MOST_COPIES or self.missed(end) > most

    def literals(self, new_size: int) -> Iterator[tuple[int, int]]:
        """Give start and end of what is left of the new content: its own bytes."""
        at = 0
        for copy in self._all:
            if copy.new > at:
                yield at, copy.new
            at = copy.new + copy.length
        if new_size > at:
            yield at, new_size

    def unused(self, old_size: int, most: int) -> list[tuple[int, int]]:
        """Return start and end of what no copy uses of the old content.

        New bytes are most like those that they replace, so this is what they are compressed
        against. Both sides find it by themselves.

        :param most: bytes of it altogether; what comes later is left out.
        """
        found: list[tuple[int, int]] = []
        at = 0
        for start, end in sorted((copy.old, copy.old + copy.length) for copy in self._all):
            if start > at:
                found.append((at, start))
            at = max(at, end)
        if old_size > at:
            found.append((at, old_size))
        return list(_cut(found, most))


def _cut(ranges: list[tuple[int, int]], most: int) -> Iterator[tuple[int, int]]:
    for start, end in ranges:
        if most <= 0:
            return
        yield start, min(end, start + most)
        most -= end - start
