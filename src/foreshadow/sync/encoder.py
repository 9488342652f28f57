"""What is sent instead of a whole content, made once and sent to every destination."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

from foreshadow.domain.errors import SyncError
from foreshadow.sync.assemble import holdings
from foreshadow.sync.outbox import Origin, Outbox
from foreshadow.sync.patches.in_place import changed_ranges
from foreshadow.sync.patches.patch import make_patch
from foreshadow.sync.patches.spans import Spans
from foreshadow.sync.versions import Versions

_MOST_KEPT = 64 * 2**20
"""Bytes of encoded deltas that stay in memory for destinations that come later."""
_COST = 200
"""Bytes that any of them counts for at least."""

Made = TypeVar("Made")


class Encoder:
    """Makes patches against contents that a destination acknowledged; for threads.

    :param versions: those that this host received before it became the source.
    """

    def __init__(self, outbox: Outbox, versions: Versions) -> None:
        self._outbox = outbox
        self._versions = versions
        self._received: dict[str, str] | None = None
        self._made: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._kept = 0
        self._making = threading.RLock()

    def once(self, key: Hashable, make: Callable[[], Made], size: Callable[[Made], int]) -> Made:
        """Return what was made under a key before, or make it now; one at a time."""
        with self._making:
            if key in self._made:
                self._made.move_to_end(key)
                known: Made = self._made[key][0]
                return known
            made = make()
            cost = size(made) + _COST
            self._made[key] = (made, cost)
            self._kept += cost
            while self._kept > _MOST_KEPT:
                _, (_, cost) = self._made.popitem(last=False)
                self._kept -= cost
            return made

    def patch(self, base: str, digest: str, origin: Origin) -> bytes | None:
        """Return a patch from one content to another; ``None`` where sending it whole is better.

        :param base: digest of the content that the destination has.
        :raises SyncError: when the new content is no longer what was hashed.
        """
        return self.once(
            ("patch", base, digest),
            lambda: self._patch(base, digest, origin),
            lambda patch: len(patch or b""),
        )

    def continued(self, base: str, digest: str, origin: Origin) -> int:
        """Return the bytes of an older content when the new one begins with all of it; else 0.

        :raises SyncError: when the new content is no longer what was hashed.
        """
        return self.once(
            ("continued", base, digest), lambda: self._continued(base, digest, origin), lambda _: 0
        )

    def _continued(self, base: str, digest: str, origin: Origin) -> int:
        with self._opened(base) as old:
            if old is None:
                return 0
            with origin.opened() as new:
                ranges = changed_ranges(old, new, self._outbox.differing(base, digest))
                size = len(old)
                return size if len(new) > size and ranges == [(size, len(new))] else 0

    def old(self, base: str, size: int) -> bytes | None:
        """Return a small content that was sent or received before, if this host still has it."""
        with self._opened(base) as old:
            return None if old is None or len(old) != size else old.read(0, size)

    def _patch(self, base: str, digest: str, origin: Origin) -> bytes | None:
        with self._opened(base) as old:
            if old is None:
                return None
            with origin.opened() as new:
                return make_patch(old, new, self._outbox.differing(base, digest))

    @contextlib.contextmanager
    def _opened(self, digest: str) -> Iterator[Spans | None]:
        """Give the bytes of a content, if this host has it."""
        with contextlib.ExitStack() as stack:
            spans = None
            for origin in self._places(digest):
                with contextlib.suppress(OSError, SyncError):
                    spans = stack.enter_context(origin.opened())
                    break
            yield spans

    def _places(self, digest: str) -> Iterator[Origin]:
        if self._outbox.has(digest):
            yield self._outbox.origin(digest)
        if self._received is None:
            self._received = dict(holdings(self._versions).contents)
        if digest in self._received:
            yield Origin(self._received[digest])
