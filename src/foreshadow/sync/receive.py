"""The destination of a round: it answers an offer, takes what it asked for, and commits.

Blocking and without any wire: the agent's servicer brings the messages. One round at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SyncError
from foreshadow.domain.manifest import Entry, EntryKind, Manifest
from foreshadow.sync.assemble import Holdings, Owner, assemble, holdings
from foreshadow.sync.delta import applied, difference
from foreshadow.sync.durable import remove_tree, sync_path
from foreshadow.sync.entries import Limits, checked
from foreshadow.sync.messages import TOLD
from foreshadow.sync.offers import Answer, Offer, Verdict, Wanted
from foreshadow.sync.patches.patch import MOST_BYTES
from foreshadow.sync.sound import Sound
from foreshadow.sync.spares import Spares
from foreshadow.sync.staging import Staging
from foreshadow.sync.stored import Version
from foreshadow.sync.unpack import Unpacked, unpacked
from foreshadow.sync.versions import Versions
from foreshadow.wire.gen.sync_pb2 import SmallDelta

_LARGEST_PROFILE = 1024 * 1024
_NUMBERS = 2**53
_SPARE = 16 * 1024 * 1024
"""Bytes that a round leaves free on the disk."""


@dataclass(slots=True)
class _Round:
    """An offer that was accepted, and what it still needs.

    :ivar bases: by path, the digest of the file there that is still as it was applied.
    :ivar missing: by digest, the size of a content that is to come.
    :ivar patch: what came of the patch that makes the content ``patched``.
    """

    offer: Offer
    entries: tuple[Entry, ...]
    held: Holdings
    files_changed: int
    bases: Mapping[str, str]
    missing: dict[str, int] = field(default_factory=dict)
    patch: bytearray = field(default_factory=bytearray)
    patched: str = ""


class Receiver:
    """Receives the versions of one resource.

    :param folder: of the resource; see :mod:`foreshadow.sync.versions`.
    :param owner: whom the files shall belong to; ``None``: the agent's own user.
    """

    def __init__(
        self, folder: Path, owner: Owner | None = None, limits: Limits | None = None
    ) -> None:
        self._spares = Spares(folder / "spares")
        self.versions = Versions(folder, self._spares.keep)
        self._staging = Staging(folder / "incoming", self._spares)
        self._owner = owner
        self._limits = limits or Limits()
        self._looked_at = Sound()
        self._round: _Round | None = None
        self._unsettled: tuple[int, list[Path]] | None = None
        self._unpatchable: set[str] = set()

    def refused(self) -> Answer:
        """Return the answer to a delta that does not fit what is here."""
        current = self.versions.current()
        return Answer(Verdict.WRONG_BASE, (), current.number, self._sound(current)[1])

    def unpack(self, small: SmallDelta) -> Unpacked:
        """Return what a small delta holds. See :func:`foreshadow.sync.unpack.unpacked`.

        :raises SyncError: also when the version that it builds on is not here.
        """
        start = small.start
        wanted = start.base_root if small.records else start.root
        if small.records and not wanted:
            base: Version | None = Version(0, "", (), WallTime(0.0))
        else:
            base = self.versions.find(wanted.hex()) if len(wanted) >= TOLD else None
        if base is None:
            raise SyncError("the version that it builds on is not here", where="small delta")
        return unpacked(small, base, self.versions.tree(base.number))

    def offer(self, offer: Offer) -> Answer:
        """Answer an offer; after ``SEND`` a round is open until it commits, breaks or is replaced.

        :raises SyncError: when the offer is malformed, does not add up to its root, is larger than
            the limits or than the disk.
        """
        if not offer.dry_run:
            self._round = None
            self.settle()
        current = self.versions.current()
        entries = self._entries(offer)
        good, root = self._sound(current)
        profile_changed = self._profile_changed(offer.profile_json)
        if entries is None:
            return Answer(Verdict.WRONG_BASE, (), current.number, root)
        if offer.root == root:
            self._keep_profile(offer)
            if not offer.dry_run:
                with self._disk():  # a commit may have been killed before it did
                    self.versions.prune()
                    self._tidy()
            return Answer(
                Verdict.UNCHANGED, (), current.number, root, profile_changed=profile_changed
            )
        if offer.version <= current.number:
            return Answer(Verdict.WRONG_BASE, (), current.number, root)
        held = holdings(self.versions)
        files_changed = difference(good.values(), entries).files_changed(good)
        bases = {path: entry.digest for path, entry in good.items() if entry.size}
        opened = _Round(offer, entries, held, files_changed, bases)
        if offer.dry_run:
            wants = self._wants(opened, dict.fromkeys(_lacking(entries, held), 0))
        else:
            with self._disk():
                wants = self._open(opened)
        return Answer(Verdict.SEND, wants, current.number, root, files_changed, profile_changed)

    def _sound(self, version: Version) -> tuple[Mapping[str, Entry], str]:
        """Return what is as it was applied, by path, and the root if that is all."""
        good = self._looked_at.intact(self.versions.tree(version.number), version.entries)
        return good, version.root if len(good) == len(version.entries) else ""

    def source_of(self, root: str) -> str:
        """Return who offered the version of this root.

        :raises SyncError: when no round of it is open.
        """
        return self._opened(root).offer.source

    def take(self, root: str, place: int, offset: int, data: bytes) -> None:
        """Take a slice of a content of the open round.

        :param place: of an entry with this content.
        :raises SyncError: when nobody asked for it, it does not fit, or it does not verify; the
            round is over then.
        """
        with self._taking(root, place) as (opened, digest), self._disk():
            self._continue(opened, place, digest, offset)
            with self._remembering(digest):
                if self._staging.write(digest, opened.missing[digest], offset, data):
                    del opened.missing[digest]

    def _continue(self, opened: _Round, place: int, digest: str, offset: int) -> None:
        """Let a content that is sent from the end of the one at its path on begin with that."""
        base = opened.bases.get(opened.entries[place].path, "")
        old = opened.held.contents.get(base)
        untouched = offset and not self._staging.path(digest).exists()
        if untouched and old is not None and Path(old).stat().st_size == offset:
            self._staging.begin(digest, old)

    def take_patch(self, root: str, place: int, base: str, size: int, data: bytes) -> None:
        """Take the next bytes of a patch that makes a content of the open round.

        :param base: digest of the content that it builds on.
        :param size: of the whole patch.
        :raises SyncError: as :meth:`take`; the content is asked for as a whole next time.
        """
        with self._taking(root, place) as (opened, digest):
            if opened.patched != digest:
                opened.patch, opened.patched = bytearray(), digest
            opened.patch += data
            if not data or not len(opened.patch) <= size <= MOST_BYTES:
                raise SyncError("a patch is longer than it may be", where="push")
            if len(opened.patch) < size:
                return
            patch, opened.patch, opened.patched = bytes(opened.patch), bytearray(), ""
            old = opened.held.contents.get(base)
            with self._disk(), self._remembering(digest):
                if old is None:
                    raise SyncError("a patch builds on what is not here", where="push")
                self._staging.patch(digest, opened.missing[digest], base, old, patch)
            del opened.missing[digest]

    def bring(self, root: str, wants: Iterable[Wanted], unpacked: Unpacked) -> tuple[Wanted, ...]:
        """Take what a small delta brought of what is wanted, and return what is still wanted.

        :raises SyncError: when some of it does not fit or verify; the round is over then.
        """
        still: list[Wanted] = []
        for want in wants:
            content = unpacked.contents.get(want.digest)
            patch = unpacked.patches.get(want.digest)
            if content is not None:
                self.take(root, want.place, want.offset, content[want.offset :])
            elif patch is not None:
                self.take_patch(root, want.place, patch.base, len(patch.data), patch.data)
            else:
                still.append(want)
        return tuple(still)

    @contextlib.contextmanager
    def _taking(self, root: str, place: int) -> Iterator[tuple[_Round, str]]:
        """Give the open round and the digest at a place; close it for good when that fails."""
        opened = self._opened(root)
        self._round = None
        digest = opened.entries[place].digest if place < len(opened.entries) else ""
        if digest not in opened.missing:
            raise SyncError("a content was sent that nobody asked for", where="push")
        yield opened, digest
        self._round = opened

    @contextlib.contextmanager
    def _remembering(self, digest: str) -> Iterator[None]:
        """Remember a content that did not come out of an older one."""
        try:
            yield
        except SyncError:
            self._unpatchable.add(digest)
            raise

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
            self._spares.trim(done.entries)
            self._keep_profile(offer)
            self._unpatchable.clear()
            if offer.final:
                self._unsettled = (version.number, made)
            else:
                self._tidy()
        return version, done.files_changed

    def settle(self) -> None:
        """Flush a version that was to be promoted, and was not.

        :raises SyncError: when the disk does not take it.
        """
        unsettled, self._unsettled = self._unsettled, None
        if unsettled is not None:
            with self._disk(), contextlib.suppress(FileNotFoundError):
                self.versions.flush(*unsettled)
                sync_path(self.versions.folder)

    def unread(self, seconds: float) -> tuple[Path, Entry] | None:
        """Return a file of the current version of which a part was not read for so long.

        Only what differs is written and verified from one version to the next; damage to the rest
        shows when it is read. :meth:`was_read` notes that it was sound.
        """
        current = self.versions.current()
        for entry in current.entries:
            if self._spares.is_unread(entry.digest, seconds):
                return self.versions.tree(current.number) / entry.path, entry
        return None

    def was_read(self, entry: Entry) -> None:
        """Note that the file of an entry was read as a whole, and was sound."""
        self._spares.was_read(entry.digest)

    def close(self) -> None:
        """Flush what is to be flushed, and remove what only a next round would need.

        :raises SyncError: when the disk does not take it.
        """
        self.settle()
        with self._disk():
            self._spares.clear()

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
            known = self.versions.find(offer.base_root)
            if known is None:
                return None
            base = known.entries
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

    def _open(self, opened: _Round) -> tuple[Wanted, ...]:
        """Open a round: find what is missing, also in what a demoted primary left behind."""
        lacking = _lacking(opened.entries, opened.held)
        there = self._staging.open(lacking)
        self._adopt({d: size for d, size in lacking.items() if there[d] < size}, there)
        opened.missing = {d: size for d, size in lacking.items() if there[d] < size}
        needed = sum(size - there[digest] for digest, size in opened.missing.items())
        free = shutil.disk_usage(self.versions.folder).free
        if needed + _SPARE > free:
            self._spares.clear()
            free = shutil.disk_usage(self.versions.folder).free
        if needed + _SPARE > free:
            raise SyncError(
                f"{needed} bytes are to come and {free} are free",
                where=f"disk of {self.versions.folder}",
                remedy="make room; the last version stays until then",
            )
        self._round = opened
        return self._wants(opened, {digest: there[digest] for digest in opened.missing})

    def _wants(self, opened: _Round, offsets: Mapping[str, int]) -> tuple[Wanted, ...]:
        """Return what to ask for; of a content that a patch could not make, no base is told."""
        wants: dict[str, Wanted] = {}
        for place, entry in enumerate(opened.entries):
            if entry.digest in offsets and entry.digest not in wants:
                trusted = entry.digest not in self._unpatchable
                base = opened.bases.get(entry.path, "") if trusted else ""
                wants[entry.digest] = Wanted(place, entry.digest, offsets[entry.digest], base)
        return tuple(wants.values())

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
