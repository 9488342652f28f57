"""What the source has sent before: which number and which manifest belong to a root."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from foreshadow.domain.clock import WallTime
from foreshadow.domain.manifest import Entry
from foreshadow.sync.snapshot import Snapshot
from foreshadow.sync.stored import Version, read_version, write_version

_REMEMBERED = 8


class History:
    """The last versions of one source, the newest also on disk.

    :param file: where the newest one is kept over a restart.
    :param known: versions that this host received before it became the source.
    """

    def __init__(self, file: Path, known: Iterable[Version] = ()) -> None:
        self._file = file
        self._acknowledged: dict[str, str] = {}
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
        self._acknowledged[host] = root

    def contents(self) -> frozenset[str]:
        """Return the digests of all that the newest version and the destinations have."""
        roots = {self.newest.root, *self._acknowledged.values()}
        versions = {v.root: v.entries for v in self._versions if v.root in roots}
        return frozenset(entry.digest for entries in versions.values() for entry in entries)

    def entries(self, root: str) -> tuple[Entry, ...] | None:
        """Return the manifest of a root that was sent or received before."""
        found = (v.entries for v in reversed(self._versions) if v.root == root)
        return next(found, None) if root else None

    def _forget(self) -> None:
        """Forget the oldest versions but for those that a destination has."""
        old = self._versions[:-_REMEMBERED]
        kept = [version for version in old if version.root in self._acknowledged.values()]
        self._versions = kept + self._versions[-_REMEMBERED:]
