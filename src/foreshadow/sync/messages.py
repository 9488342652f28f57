"""Manifests, offers and contents as messages, and back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SyncError
from foreshadow.domain.manifest import Entry, EntryKind
from foreshadow.sync.delta import Delta
from foreshadow.sync.receive import Offer
from foreshadow.sync.snapshot import Snapshot
from foreshadow.wire.gen.agent_pb2 import Fence
from foreshadow.wire.gen.sync_pb2 import (
    ContentChunk,
    Contents,
    Entries,
    ManifestEntry,
    OfferPart,
    OfferRequest,
    PushChunk,
    PushStart,
)

ENTRIES_PER_PART = 5000
BATCH = 1024 * 1024
"""Bytes of content in one message: smaller ones cost more than they carry."""
ALONG = 256 * 1024
"""Bytes of content that go with a final offer."""


def entry_message(entry: Entry) -> ManifestEntry:
    """Return an entry as a message."""
    return ManifestEntry(
        path=os.fsencode(entry.path),
        kind=entry.kind.value,
        mode=entry.mode,
        size=entry.size,
        digest=bytes.fromhex(entry.digest),
        mtime_ns=entry.mtime_ns,
        target=os.fsencode(entry.target),
    )


def entry_of(message: ManifestEntry) -> Entry:
    """Return the entry in a message, unchecked but for its kind.

    :raises SyncError: when its kind is none of ours.
    """
    try:
        kind = EntryKind(message.kind)
    except ValueError:
        raise SyncError(
            f"{message.kind[:40]!r} is no kind of path", where="offered version"
        ) from None
    return Entry(
        path=os.fsdecode(message.path),
        kind=kind,
        mode=message.mode,
        size=message.size,
        digest=message.digest.hex(),
        mtime_ns=message.mtime_ns,
        target=os.fsdecode(message.target),
    )


def offer_parts(offer: Offer, fence: Fence) -> Iterator[OfferPart]:
    """Give the messages of an offer: its start, then its entries in parts of bounded size."""
    yield OfferPart(
        start=OfferRequest(
            fence=fence,
            source=offer.source,
            base_root=offer.base_root,
            root=offer.root,
            version=offer.version,
            profile_json=offer.profile_json,
            captured_at=offer.captured_at,
            dry_run=offer.dry_run,
            final=offer.final,
        )
    )
    upserts, removals = offer.delta.upserts, offer.delta.removals
    for at in range(0, len(upserts), ENTRIES_PER_PART):
        part = upserts[at : at + ENTRIES_PER_PART]
        yield OfferPart(entries=Entries(upserts=map(entry_message, part)))
    for at in range(0, len(removals), ENTRIES_PER_PART):
        gone = removals[at : at + ENTRIES_PER_PART]
        yield OfferPart(entries=Entries(removals=map(os.fsencode, gone)))


def offer_of(start: OfferRequest, parts: Iterable[Entries]) -> Offer:
    """Return the offer in these messages.

    :raises SyncError: when an entry is of no known kind.
    """
    upserts: list[Entry] = []
    removals: list[str] = []
    for part in parts:
        upserts += map(entry_of, part.upserts)
        removals += map(os.fsdecode, part.removals)
    return Offer(
        source=start.source,
        root=start.root,
        version=start.version,
        base_root=start.base_root,
        delta=Delta(tuple(upserts), tuple(removals)),
        captured_at=WallTime(start.captured_at),
        profile_json=start.profile_json,
        dry_run=start.dry_run,
        final=start.final,
    )


def contents_part(snapshot: Snapshot, delta: Delta, base: Iterable[Entry]) -> OfferPart | None:
    """Return the contents that a delta brings, as the last part of an offer.

    ``None`` when there are none, or more than what goes with an offer.

    :raises SyncError: when a file changed since it was captured.
    """
    there = {entry.digest for entry in base}
    new = {e.digest: e.size for e in delta.upserts if e.size and e.digest not in there}
    if not new or sum(new.values()) > ALONG:
        return None
    chunks = list(_slices(snapshot, dict.fromkeys(new, 0), ALONG))
    return OfferPart(contents=Contents(chunks=chunks))


def push_chunks(
    snapshot: Snapshot, wants: Mapping[str, int], fence: Fence, root: str, batch_size: int = BATCH
) -> Iterator[PushChunk]:
    """Give the messages of a push; reads the contents while it goes, and blocks.

    Small contents travel many to a message, big ones in slices.

    :param batch_size: bytes of content in one message.

    :raises SyncError: when a content is wanted that was not offered, or its file changed.
    """
    yield PushChunk(start=PushStart(fence=fence, root=root))
    batch: list[ContentChunk] = []
    filled = 0
    for chunk in _slices(snapshot, wants, batch_size):
        if batch and filled + len(chunk.data) > batch_size:
            yield PushChunk(contents=Contents(chunks=batch))
            batch, filled = [], 0
        batch.append(chunk)
        filled += len(chunk.data)
    if batch:
        yield PushChunk(contents=Contents(chunks=batch))


def _slices(
    snapshot: Snapshot, wants: Mapping[str, int], batch_size: int
) -> Iterator[ContentChunk]:
    sizes = {entry.digest: entry.size for entry in snapshot.entries}
    for digest, offset in wants.items():
        if digest not in snapshot.origins or not 0 <= offset <= sizes[digest]:
            raise SyncError("it asks for what was not offered", where="destination's answer")
        at = offset
        for data in snapshot.origins[digest].read(offset, sizes[digest], batch_size):
            yield ContentChunk(digest=bytes.fromhex(digest), offset=at, data=data)
            at += len(data)
