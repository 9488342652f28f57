"""What was hashed before and has not changed since, so that an idle round reads no file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from foreshadow.sync.durable import replace_file
from foreshadow.sync.reading import Content, Stamp

GRANULARITY_NS = 2_000_000_000
"""The coarsest time stamps of a file system in use. A file that was modified less than this before
it was hashed can change again under the same stamp, so it is hashed once more later."""


class StatCache:
    """Digests by path, each with the stamp that the file had when it was hashed.

    :param file: where it is kept over a restart; a file that cannot be read means an empty cache.
    :param now_ns: the time by which the file system stamps.
    """

    def __init__(self, file: Path, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._file = file
        self._now_ns = now_ns
        self._known: dict[str, tuple[Stamp, str, int]] = {}
        self._dirty = False
        try:
            rows = json.loads(file.read_bytes())
            self._known = {path: (Stamp(*stamp), digest, at) for path, stamp, digest, at in rows}
        except (OSError, ValueError, TypeError):
            return

    def digest(self, path: str, stamp: Stamp) -> str | None:
        """Return the digest of a file whose stamp is still the one that was hashed."""
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            return None
        newest = max(stamp.mtime_ns, stamp.ctime_ns)
        return known[1] if newest + GRANULARITY_NS < known[2] else None

    def supposed(self, path: str, stamp: Stamp) -> str | None:
        """Return the digest under this stamp, though the file may have changed again since."""
        known = self._known.get(path)
        return known[1] if known is not None and known[0] == stamp else None

    def last(self, path: str) -> str | None:
        """Return the digest of what a file held the last time, whatever it holds now."""
        known = self._known.get(path)
        return None if known is None else known[1]

    def remember(self, path: str, content: Content, begun_ns: int) -> None:
        """Keep what was hashed; ``begun_ns`` is the time just before the file was opened."""
        self._known[path] = (content.stamp, content.digest, begun_ns)
        self._dirty = True

    def now_ns(self) -> int:
        """Return the time by which the file system stamps."""
        return self._now_ns()

    def keep(self, paths: Iterable[str]) -> None:
        """Forget all other paths, and write the cache when it changed."""
        gone = self._known.keys() - set(paths)
        for path in gone:
            del self._known[path]
        if self._dirty or gone:
            rows = [
                (path, (s.size, s.mtime_ns, s.ctime_ns, s.inode, s.mode), digest, at)
                for path, (s, digest, at) in self._known.items()
            ]
            replace_file(self._file, json.dumps(rows, separators=(",", ":")).encode())
            self._dirty = False
