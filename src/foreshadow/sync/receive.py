"""The destination of a round: it answers an offer, takes what it asked for, and commits.

Blocking and without any wire: the agent's servicer brings the messages. One round at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SyncError
from foreshadow.domain.manifest import Entry, EntryKind, Manifest
from foreshadow.sync.assemble import Holdings, Owner, assemble, holdings
from foreshadow.sync.delta import Delta, applied, difference
from foreshadow.sync.durable import remove_tree, sync_path
from foreshadow.sync.entries import Limits, checked
from foreshadow.sync.sound import Sound
from foreshadow.sync.staging import Staging
from foreshadow.sync.stored import Version
from foreshadow.sync.versions import Versions

_LARGEST_PROFILE = 1024 * 1024
_NUMBERS = 2**53
_SPARE = 16 * 1024 * 1024
"""Bytes that a round leaves free on the disk."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A version that a source offers: its whole manifest, or a delta on one that is here.

    :ivar base_root: root of the manifest that ``delta`` builds on; empty: ``delta`` is all of it.
    :ivar final: a promotion follows, which flushes the version.
    """

    source: str
    root: str
    version: int
    base_root: str
    delta: Delta
    captured_at: WallTime
    profile_json: str = ""
    dry_run: bool = False
    final: bool = False


class Verdict(Enum):
    """What the destination makes of an offer; values as on the wire."""

    UNCHANGED = 0
    SEND = 1
    WRONG_BASE = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an offer.

    :ivar wants: by digest, the offset from which the content is to be sent.
    :ivar number: of the version that the destination stands at; ``root`` is its root, empty when
        its files are no longer what was applied.
    """

    verdict: Verdict
    wants: dict[str, int]
    number: int
    root: str
    files_changed: int = 0
    profile_changed: bool = False


@dataclass(slots=True)
class _Round:
    """An offer that was accepted, and what it still needs."""

    offer: Offer
    entries: tuple[Entry, ...]
    held: Holdings
    files_changed: int
    missing: dict[str, int] = field(default_factory=dict)


class Receiver:
    """Receives the versions of one resource.

    :param folder: of the resource; see :mod:`foreshadow.sync.versions`.
    :param owner: whom the files shall belong to; ``None``: the agent's own user.
    """

    def __init__(
        self, folder: Path, owner: Owner | None = None, limits: Limits | None = None
    ) -> None:
        self.versions = Versions(folder)
        self._staging = Staging(folder / "incoming")
        self._owner = owner
        self._limits = limits or Limits()
        self._sound = Sound()
        self._round: _Round | None = None
        self._unsettled: tuple[int, list[Path]] | None = None

    def offer(self, offer: Offer) -> Answer:
        """Answer an offer; after ``SEND`` a round is open until it commits, breaks or is replaced.

        :raises SyncError: when the offer is malformed, does not add up to its root, is larger than
            the limits or than the disk.
        """
        if not offer.dry_run:
            self._round = None
            self._settle()
        current = self.versions.current()
        entries = self._entries(offer)
        good = self._sound.intact(self.versions.tree(current.number), current.entries)
        sound = len(good) == len(current.entries)
        stands = Answer(Verdict.UNCHANGED, {}, current.number, current.root if sound else "")
        profile_changed = self._profile_changed(offer.profile_json)
        if entries is None:
            return Answer(Verdict.WRONG_BASE, {}, stands.number, stands.root)
        if offer.root == stands.root:
            self._keep_profile(offer)
            if not offer.dry_run:
                with self._disk():
                    self._tidy()  # a commit may have been killed before it did
            return Answer(
                Verdict.UNCHANGED, {}, stands.number, stands.root, profile_changed=profile_changed
            )
        if offer.version <= stands.number:
            return Answer(Verdict.WRONG_BASE, {}, stands.number, stands.root)
        held = holdings(self.versions)
        files_changed = difference(good.values(), entries).files_changed(good)
        if offer.dry_run:
            wants = dict.fromkeys(_lacking(entries, held), 0)
        else:
            with self._disk():
                wants = self._open(_Round(offer, entries, held, files_changed))
        return Answer(
            Verdict.SEND, wants, stands.number, stands.root, files_changed, profile_changed
        )

    def source_of(self, root: str) -> str:
        """Return who offered the version of this root.

        :raises SyncError: when no round of it is open.
        """
        return self._opened(root).offer.source

    def take(self, root: str, digest: str, offset: int, data: bytes) -> None:
        """Take a slice of a content of the open round.

        :raises SyncError: when nobody asked for it, it does not fit, or it does not verify; the
            round is over then.
        """
        open_round = self._opened(root)
        self._round = None
        if digest not in open_round.missing:
            raise SyncError("a content was sent that nobody asked for", where="push")
        with self._disk():
            if self._staging.write(digest, open_round.missing[digest], offset, data):
                del open_round.missing[digest]
        self._round = open_round

    def commit(self, root: str) -> tuple[Version, int]:
        """Put the version together, verify it and make it current.

        :return: the version, and how many files and links it changed.
        :raises SyncError: when something is missing or cannot be written; the version before stays.
        """
        done = self._opened(root)
        self._round = None
        if done.missing:
            raise SyncError(
                f"{len(done.missing)} contents were not sent to their end",
                where="push",
                remedy="the next round goes on from there",
            )
        offer = done.offer
        version = Version(offer.version, offer.root, done.entries, offer.captured_at)
        with self._disk():
            with self._staging.fresh_tree() as tree:
                made = assemble(tree, done.entries, done.held, self._staging, self._owner)
                self.versions.publish(tree, version, made, flush=not offer.final)
            self._keep_profile(offer)
            if offer.final:
                self._unsettled = (version.number, made)
            else:
                self._tidy()
        return version, done.files_changed

    def _settle(self) -> None:
        """Flush a version that was to be promoted, and was not."""
        unsettled, self._unsettled = self._unsettled, None
        if unsettled is not None:
            with self._disk(), contextlib.suppress(FileNotFoundError):
                self.versions.flush(*unsettled)
                sync_path(self.versions.folder)

    def _tidy(self) -> None:
        """Remove what the version that stands now no longer needs."""
        self._staging.clear()
        for path in self.versions.written_to():
            remove_tree(path)

    def _entries(self, offer: Offer) -> tuple[Entry, ...] | None:
        """Return the offered manifest, verified against its root; ``None``: its base is not here.

        :raises SyncError: when it is malformed or does not add up.
        """
        if not 0 < offer.version < _NUMBERS:
            raise SyncError("its number is out of range", where="offered version")
        base: tuple[Entry, ...] = ()
        if offer.base_root:
            known = [v for v in self.versions.kept() if v.root == offer.base_root]
            if not known:
                return None
            base = known[0].entries
            if offer.root == offer.base_root and not (offer.delta.upserts or offer.delta.removals):
                return base
        paths = [entry.path for entry in offer.delta.upserts]
        if len(paths) != len(set(paths)):
            raise SyncError("it names a path twice", where="offered version")
        entries = checked(applied(base, offer.delta), self._limits)
        if Manifest(entries).root != offer.root:
            raise SyncError(
                "its entries do not add up to its root",
                where="offered version",
                remedy="the next round offers it anew",
            )
        return entries

    def _open(self, opened: _Round) -> dict[str, int]:
        """Open a round: find what is missing, also in what a demoted primary left behind."""
        lacking = _lacking(opened.entries, opened.held)
        there = self._staging.open(lacking)
        self._adopt({d: size for d, size in lacking.items() if there[d] < size}, there)
        opened.missing = {d: size for d, size in lacking.items() if there[d] < size}
        needed = sum(size - there[digest] for digest, size in opened.missing.items())
        free = shutil.disk_usage(self.versions.folder).free
        if needed + _SPARE > free:
            raise SyncError(
                f"{needed} bytes are to come and {free} are free",
                where=f"disk of {self.versions.folder}",
                remedy="make room; the last version stays until then",
            )
        self._round = opened
        return {digest: there[digest] for digest in opened.missing}

    def _adopt(self, wanted: dict[str, int], there: dict[str, int]) -> None:
        """Look for wanted contents in the files that a demoted primary wrote."""
        sizes = set(wanted.values())
        for path in _files_below(self.versions.written_to()):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size in sizes:
                    digest = self._staging.adopt(path, wanted)
                    if digest is not None:
                        there[digest] = wanted[digest]

    def _opened(self, root: str) -> _Round:
        if self._round is None or self._round.offer.root != root:
            raise SyncError(
                "no offer of this version is open",
                where="push",
                remedy="offer it again: another offer came in between, or the agent was restarted",
            )
        return self._round

    def _profile_changed(self, profile_json: str) -> bool:
        if not profile_json:
            return False
        if len(profile_json) > _LARGEST_PROFILE:
            raise SyncError("the workload profile is too large", where="offered version")
        try:
            json.loads(profile_json)
        except ValueError:
            raise SyncError("the workload profile is not JSON", where="offered version") from None
        return profile_json != self.versions.profile_json()

    def _keep_profile(self, offer: Offer) -> None:
        if not offer.dry_run and self._profile_changed(offer.profile_json):
            with self._disk():
                self.versions.keep_profile(offer.profile_json)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """Turn what the disk refuses into words."""
        try:
            yield
        except OSError as error:
            raise SyncError(
                f"it cannot be written: {error.strerror or error}",
                where=f"state in {self.versions.folder}",
                remedy="the last version is intact; make room or check the disk",
            ) from None


def _files_below(folders: Iterable[Path]) -> Iterator[Path]:
    for top in folders:
        for folder, _, names in os.walk(top):
            paths = (Path(folder, name) for name in names)
            yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _lacking(entries: tuple[Entry, ...], held: Holdings) -> dict[str, int]:
    """Return by digest the sizes of the contents that no kept version holds."""
    return {
        entry.digest: entry.size
        for entry in entries
        if entry.kind is EntryKind.FILE and entry.size and entry.digest not in held.contents
    }
