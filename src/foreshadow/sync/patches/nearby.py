"""Finding the old bytes again that are near, behind an edit: the eager part of the search.

What was equal up to here is equal again some bytes further on, at the same distance or, where
something was inserted or taken out, at another one that is not far. So a few bytes from a little
further on in the new content are looked for in the old one, further on in growing steps.
"""

from __future__ import annotations

from dataclasses import dataclass

from foreshadow.sync.patches.compare import equal_head, equal_tail
from foreshadow.sync.patches.copies import Copies

_NEEDLE = 48
"""Bytes that are looked for: few enough to fit between edits, enough to be found once only."""
_SHORTEST = 64
"""Bytes of a copy that is worth its place in the program: shorter ones cost less, here and where
the patch is applied, as bytes that are compressed against the old ones."""
_STEPS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096,
          6144, 8192)  # fmt: skip
_BEHIND, _BEFORE = 256, 1024
"""Bytes around the expected place that are searched after a small step."""
_SMALL = 256


@dataclass(slots=True)
class Window:
    """Parts of both contents, side by side, and how far they have been matched.

    :ivar new_start: where ``new`` lies in the whole new content; ``old_start`` likewise.
    :ivar new_at: up to where in ``new`` all is decided.
    :ivar old_at: where in ``old`` it is expected to go on.
    """

    new: bytes
    old: bytes
    new_start: int
    old_start: int
    new_at: int = 0
    old_at: int = 0

    def match(self, copies: Copies, limit: int) -> bool:
        """Add the copies that are found until ``new_at`` reaches ``limit``.

        :return: whether it did; if not, nothing of what comes next is near.
        """
        while self.new_at < limit:
            run = equal_head(self.new, self.old, self.new_at, self.old_at)
            if run >= _SHORTEST:
                copies.add(self.new_start + self.new_at, self.old_start + self.old_at, run)
            self.new_at += run
            self.old_at += run
            if self.new_at >= limit:
                return True
            if not self._find_again():
                return False
        return True

    def _find_again(self) -> bool:
        """Go on to where the old content is found again; return whether it is."""
        for step in _STEPS:
            at = self.new_at + step
            needle = self.new[at : at + _NEEDLE]
            if len(needle) < _NEEDLE:
                return False
            found = self._seek(needle, step)
            if found >= 0:
                back = equal_tail(
                    self.new[self.new_at : at], self.old[max(0, found - step) : found]
                )
                self.new_at, self.old_at = at - back, found - back
                return True
        return False

    def _seek(self, needle: bytes, step: int) -> int:
        """Return where the needle is in ``old``, at the same distance if it is there; or -1."""
        expected = self.old_at + step
        if self.old[expected : expected + _NEEDLE] == needle:
            return expected
        if step > _SMALL:
            return self.old.find(needle)
        start = max(0, self.old_at - _BEHIND)
        return self.old.find(needle, start, expected + _BEFORE)
