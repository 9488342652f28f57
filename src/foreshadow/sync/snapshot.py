"""Taking a snapshot on the source: what the captures find, hashed, as one version."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SyncError
from foreshadow.domain.manifest import Entry, EntryKind, Manifest
from foreshadow.domain.protocols import Capture, Findings, Found, Scene
from foreshadow.sync.entries import Limits, checked, link_problem
from foreshadow.sync.outbox import Origin, Outbox
from foreshadow.sync.reading import Stamp
from foreshadow.sync.stats import StatCache
from foreshadow.sync.watch import LARGE

_HOT_NS = 10_000_000_000
"""A file that changed less than this ago may change again without another stamp: look once more."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the state was at one moment.

    :ivar root: of ``entries``.
    :ivar origins: where the content of each digest is read from.
    :ivar profile: rows of the workload profile; ``None`` when none was captured.
    :ivar notes: what was left out, and why.
    """

    root: str
    entries: tuple[Entry, ...]
    captured_at: WallTime
    origins: dict[str, Origin]
    profile: tuple[dict[str, Any], ...] | None
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Draft:
    """A snapshot that is being taken.

    :ivar still: nobody writes to the state meanwhile, so nothing needs to be copied.
    :ivar large: files that are looked at in each round.
    :ivar hot: a file changed so recently that it must be looked at again.
    """

    still: bool = False
    entries: list[Entry] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    stripped: list[str] = field(default_factory=list)
    large: list[tuple[str, Stamp]] = field(default_factory=list)
    hot: bool = False


class Photographer:
    """Takes the snapshots of one resource, one at a time.

    :param folder: private to the source side; keeps the stat cache and copies of hot files.
    :param captures: one for each entry of the spec's ``state``, in its order.
    """

    def __init__(
        self, folder: Path, captures: Sequence[Capture], limits: Limits | None = None
    ) -> None:
        self._captures = tuple(captures)
        self._limits = limits or Limits()
        self._cache = StatCache(folder / "stats.json")
        self.outbox = Outbox(folder / "contents")
        self._last: Snapshot | None = None
        self._own_notes: tuple[str, ...] = ()
        self._large: list[tuple[str, Stamp]] = []
        self._settled = False

    def take(
        self,
        scene: Scene,
        at: WallTime,
        *,
        still: bool = False,
        keep: frozenset[str] = frozenset(),
    ) -> Snapshot:
        """Capture all kinds and hash what changed since the last time. Blocks.

        :param at: the wall time now.
        :param still: nobody writes to the state now, nor until the snapshot has been sent: what
            changed is read where it lies. Should it change all the same, it is refused then.
        :param keep: digests of contents that destinations have, which patches are made against.
        :raises SyncError: when the state cannot be captured as a whole.
        """
        settled, self._settled = self._settled, False
        all_findings = [capture.capture(scene) for capture in self._captures]
        profile = next((f.profile for f in all_findings if f.profile is not None), None)
        notes = [note for findings in all_findings for note in findings.notes]
        if self._last is None or not settled or not self._is_unchanged(all_findings):
            self._last = self._looked_at(all_findings, at, still=still)
        else:
            self._settled = True
        told = (*notes, *self._own_notes)
        self._last = replace(self._last, captured_at=at, profile=profile, notes=told)
        self.outbox.sweep(keep, self._last.origins)
        return self._last

    @contextlib.contextmanager
    def hold(self, snapshot: Snapshot) -> Iterator[None]:
        """Keep the contents of a snapshot readable for as long as it is being sent."""
        with self.outbox.hold(snapshot.origins):
            yield

    def _entries(self, draft: _Draft) -> tuple[Entry, ...]:
        """Return the checked entries; those of the last snapshot themselves when they are equal."""
        found = [*draft.entries, *_missing_parents(draft.entries)]
        found.sort(key=lambda entry: entry.path)
        if self._last is not None and self._last.entries == tuple(found):
            return self._last.entries
        return checked(found, self._limits)

    def _is_unchanged(self, all_findings: Sequence[Findings]) -> bool:
        """Return whether the last snapshot is what a look at every file would make.

        Large files are looked at all the same: they are what programs write through memory maps,
        of which a capture may not hear.
        """
        return all(findings.unchanged for findings in all_findings) and all(
            _is(path, stamp) for path, stamp in self._large
        )

    def _looked_at(
        self, all_findings: Sequence[Findings], at: WallTime, *, still: bool
    ) -> Snapshot:
        """Return a snapshot for which every file was looked at, and what changed was hashed."""
        self.outbox.prepare()
        found = _merged(all_findings)
        draft = _Draft(still)
        for path in sorted(found):
            with contextlib.suppress(FileNotFoundError):  # gone since it was found
                self._add(draft, found[path])
        self._cache.keep(draft.read)
        entries = self._entries(draft)
        shown = ", ".join(draft.stripped[:3])
        self._own_notes = (
            (f"the setuid and setgid bits of {shown} stay behind: modes are 0 to 0777",)
            if draft.stripped
            else ()
        )
        self._large = draft.large
        self._settled = not draft.hot
        same = self._last is not None and self._last.entries is entries
        root = self._last.root if self._last and same else Manifest(entries).root
        return Snapshot(root, entries, at, draft.origins, None, ())

    def _add(self, draft: _Draft, item: Found) -> None:
        """Add one path to the draft.

        :raises FileNotFoundError: when it is gone.
        """
        status = os.lstat(item.source)
        mode = stat.S_IMODE(status.st_mode)
        if mode & (stat.S_ISUID | stat.S_ISGID):
            draft.stripped.append(item.path)
        mode &= 0o777
        if stat.S_ISREG(status.st_mode):
            self._add_file(draft, item, Stamp.of(status))
        elif stat.S_ISDIR(status.st_mode):
            draft.entries.append(Entry(item.path, EntryKind.DIRECTORY, mode))
        elif stat.S_ISLNK(status.st_mode):
            target = os.readlink(item.source)  # noqa: PTH115
            if problem := link_problem(item.path, target):
                raise SyncError(f"is a link, and {problem}", where=f"state path {item.source}")
            draft.entries.append(Entry(item.path, EntryKind.SYMLINK, 0o777, target=target))
        else:
            raise SyncError("is no file, directory or link", where=f"state path {item.source}")

    def _add_file(self, draft: _Draft, item: Found, stamp: Stamp) -> None:
        begun = self._cache.now_ns()
        draft.hot |= max(stamp.mtime_ns, stamp.ctime_ns) > begun - _HOT_NS
        if stamp.size >= LARGE:
            draft.large.append((item.source, stamp))
        digest, size = self._cache.digest(item.source, stamp), stamp.size
        if digest is None:
            supposed = self._cache.supposed(item.source, stamp)
            content, origin = self.outbox.read(
                item.source,
                copy=not draft.still,
                known=supposed,
                before=self._cache.last(item.source),
            )
            self._cache.remember(item.source, content, begun)
            digest, size, stamp = content.digest, content.size, content.stamp
        else:
            copied = self.outbox.has(digest)
            origin = self.outbox.origin(digest) if copied else Origin(item.source, stamp)
        draft.read.append(item.source)
        if digest not in draft.origins or origin.stamp is None:
            draft.origins[digest] = origin
        mode = stat.S_IMODE(stamp.mode) & 0o777
        draft.entries.append(Entry(item.path, EntryKind.FILE, mode, size, digest, stamp.mtime_ns))


def _merged(all_findings: Sequence[Findings]) -> dict[str, Found]:
    """Return what belongs to the version, by path.

    :raises SyncError: when two captures bring different files under one path.
    """
    found: dict[str, Found] = {}
    for findings in all_findings:
        claimed = frozenset[str]().union(*(f.claims for f in all_findings if f is not findings))
        for item in findings.found:
            if item.path in claimed:
                continue
            other = found.setdefault(item.path, item)
            if other is not item and not _same(other.source, item.source):
                raise SyncError(
                    f"both {other.source} and {item.source} would be {item.path}",
                    where="state",
                    remedy="exclude it in one of the two entries",
                )
    return found


def _is(path: str, stamp: Stamp) -> bool:
    """Return whether a file is still what a stamp says."""
    try:
        return Stamp.of(os.lstat(path)) == stamp
    except FileNotFoundError:
        return False


def _same(one: str, other: str) -> bool:
    """Return whether two paths lead to the same place; what is gone is the same as anything."""
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except FileNotFoundError:
        return True


def _missing_parents(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Give the directories above a captured path that no capture found itself."""
    there = {entry.path for entry in entries}
    for path in sorted(there):
        parent = path.rpartition("/")[0]
        while parent and parent not in there:
            there.add(parent)
            yield Entry(parent, EntryKind.DIRECTORY, 0o755)
            parent = parent.rpartition("/")[0]
