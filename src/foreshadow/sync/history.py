"""What the source has sent before: which number and which manifest belong to a root."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from foreshadow.domain.clock import WallTime
from foreshadow.domain.manifest import Entry
from foreshadow.sync.snapshot import Snapshot
from foreshadow.sync.stored import Version, read_version, write_version

_REMEMBERED = 8
_AWAY = 24 * 3600.0
"""Seconds without an acknowledgement after which nothing is kept for a destination any more."""


class History:
    """The last versions of one source, the newest also on disk.

    :param file: where the newest one is kept over a restart.
    :param known: versions that this host received before it became the source.
    :param clock: seconds that never go back.
    """

    def __init__(
        self,
        file: Path,
        known: Iterable[Version] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._clock = clock
        self._acknowledged: dict[str, tuple[str, float]] = {}
        self._contents: tuple[set[str], frozenset[str]] = (set(), frozenset())
        self._versions: list[Version] = sorted(known, key=lambda version: version.number)
        last = read_version(file)
        if last is not None and (not self._versions or last.number > self._versions[-1].number):
            self._versions.append(last)

    @property
    def newest(self) -> Version:
        """The newest version; number 0 without entries before the first."""
        return self._versions[-1] if self._versions else Version(0, "", (), WallTime(0.0))

    def add(self, snapshot: Snapshot, above: int = 0, *, keep: bool = True) -> Version:
        """Return the version of a snapshot: the newest one for the same state, else a new one.

        :param above: a number that a destination already has: the version gets a higher one.
        :param keep: remember it over a restart, which saves the next offer its length.
        """
        newest = self.newest
        if newest.root == snapshot.root and newest.number > above:
            return newest
        number = max(newest.number, above) + 1
        version = Version(number, snapshot.root, snapshot.entries, snapshot.captured_at)
        if keep:
            write_version(self._file, version, durable=False)
        self._versions.append(version)
        self._forget()
        return version

    def acknowledge(self, host: str, root: str) -> None:
        """Keep in mind which version a destination has: the next one builds on it."""
        self._acknowledged[host] = (root, self._clock())

    def contents(self) -> frozenset[str]:
        """Return the digests of all that the newest version and the destinations have.

        It is the same object for as long as that is the same.
        """
        roots = {self.newest.root} | self._theirs()
        if roots != self._contents[0]:
            versions = {v.root: v.entries for v in self._versions if v.root in roots}
            digests = frozenset(e.digest for entries in versions.values() for e in entries)
            self._contents = (roots, digests)
        return self._contents[1]

    def entries(self, root: str) -> tuple[Entry, ...] | None:
        """Return the manifest of a root that was sent or received before."""
        found = (v.entries for v in reversed(self._versions) if v.root == root)
        return next(found, None) if root else None

    def _forget(self) -> None:
        """Forget the oldest versions but for those that a destination has."""
        old, theirs = self._versions[:-_REMEMBERED], self._theirs()
        kept = [version for version in old if version.root in theirs]
        self._versions = kept + self._versions[-_REMEMBERED:]

    def _theirs(self) -> set[str]:
        """Return the roots that destinations have, and let go of those that have gone."""
        since = self._clock() - _AWAY
        for host in [host for host, (_, at) in self._acknowledged.items() if at < since]:
            del self._acknowledged[host]
        return {root for root, _ in self._acknowledged.values()}
