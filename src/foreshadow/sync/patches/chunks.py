"""Where the old content has a chunk: found by its hash, wherever it went.

A content is cut where its own bytes say so (FastCDC), so the same bytes are cut alike wherever they
lie. The hash only finds candidates: bytes are compared before anything is taken for equal.
"""

from __future__ import annotations

from collections.abc import Iterator

import xxhash
from pyfastcdc import FastCDC

from foreshadow.sync.patches.spans import Spans

_AVERAGE = 4096
_LARGEST = 2 * 2**30
"""Bytes of the largest content that has an index, which takes about 80 MB then."""
_SEGMENT = 4 * 1024 * 1024
_NEAR, _FAR = 32 * 1024, 1024 * 1024
"""Bytes of the new content that are looked at first, and at most at a time."""


class ChunkIndex:
    """The chunks of one content, made when first asked for; none of a very large one."""

    def __init__(self, old: Spans) -> None:
        self._old = old
        self._cutter = FastCDC(avg_size=_AVERAGE, min_size=_AVERAGE // 4, max_size=_AVERAGE * 8)
        self._made: dict[int, int] | None = None

    def find(self, new: Spans, start: int, end: int) -> tuple[int, int] | None:
        """Return the next place, from ``start`` on, of a chunk that the old content has too.

        :param end: it is not looked for much behind this.

        :return: its offset in the new, and in the old content; ``None`` when there is none.
        """
        known = self._known()
        at, size = start, _NEAR
        while known and at < min(len(new), end):
            data = new.read(at, at + size)
            for offset, chunk in self._cut(data):
                old = known.get(xxhash.xxh3_64_intdigest(chunk))
                if old is not None and self._old.read(old, old + len(chunk)) == chunk:
                    return at + offset, old
            at += size
            size = min(size * 4, _FAR)
        return None

    def _known(self) -> dict[int, int]:
        """Return by hash the first place of each chunk."""
        if self._made is None:
            self._made = {}
            size = len(self._old) if len(self._old) <= _LARGEST else 0
            for start in range(0, size, _SEGMENT):
                for offset, chunk in self._cut(self._old.read(start, start + _SEGMENT)):
                    self._made.setdefault(xxhash.xxh3_64_intdigest(chunk), start + offset)
        return self._made

    def _cut(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        for chunk in self._cutter.cut_buf(data):
            yield chunk.offset, data[chunk.offset : chunk.offset + chunk.length]
