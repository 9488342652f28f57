"""Manifests, offers and contents as messages, and back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SyncError
from foreshadow.domain.manifest import Entry, EntryKind
from foreshadow.sync.delta import Delta
from foreshadow.sync.encoder import Encoder
from foreshadow.sync.frames import squeezed
from foreshadow.sync.offers import Offer
from foreshadow.sync.snapshot import Snapshot
from foreshadow.wire.gen.agent_pb2 import Fence
from foreshadow.wire.gen.sync_pb2 import (
    ContentChunk,
    Contents,
    Entries,
    ManifestEntry,
    OfferPart,
    OfferRequest,
    PatchSlice,
    PushChunk,
    PushStart,
    Want,
)

ENTRIES_PER_PART = 5000
BATCH = 1024 * 1024
"""Bytes of content in one message: smaller ones cost more than they carry."""
TOLD = 8
"""Bytes by which a root that both sides know is named: no other one begins so."""
_LEVEL = 3
_HEAD = 16
"""Bytes of a content chunk beside its data, in round numbers."""


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


def kind_of(text: str) -> EntryKind:
    """Return the kind of a path.

    :raises SyncError: when it is none of ours.
    """
    try:
        return EntryKind(text)
    except ValueError:
        raise SyncError(f"{text[:40]!r} is no kind of path", where="offered version") from None


def entry_of(message: ManifestEntry) -> Entry:
    """Return the entry in a message, unchecked but for its kind.

    :raises SyncError: when its kind is none of ours.
    """
    return Entry(
        path=os.fsdecode(message.path),
        kind=kind_of(message.kind),
        mode=message.mode,
        size=message.size,
        digest=message.digest.hex(),
        mtime_ns=message.mtime_ns,
        target=os.fsdecode(message.target),
    )


def start_message(offer: Offer, fence: Fence) -> OfferRequest:
    """Return the beginning of an offer."""
    return OfferRequest(
        fence=fence,
        source=offer.source,
        base_root=bytes.fromhex(offer.base_root),
        root=bytes.fromhex(offer.root),
        version=offer.version,
        profile_json=offer.profile_json,
        captured_at=offer.captured_at,
        dry_run=offer.dry_run,
        final=offer.final,
    )


def offer_parts(offer: Offer, fence: Fence) -> Iterator[OfferPart]:
    """Give the messages of an offer: its start, then its entries in parts of bounded size."""
    yield OfferPart(start=start_message(offer, fence))
    upserts, removals = offer.delta.upserts, offer.delta.removals
    for at in range(0, len(upserts), ENTRIES_PER_PART):
        part = upserts[at : at + ENTRIES_PER_PART]
        yield _entries(Entries(upserts=map(entry_message, part)))
    for at in range(0, len(removals), ENTRIES_PER_PART):
        gone = removals[at : at + ENTRIES_PER_PART]
        yield _entries(Entries(removals=map(os.fsencode, gone)))


def _entries(entries: Entries) -> OfferPart:
    return OfferPart(entries=squeezed(entries.SerializeToString(), _LEVEL))


def offer_of(start: OfferRequest, delta: Delta) -> Offer:
    """Return the offer that a message begins."""
    return Offer(
        source=start.source,
        root=start.root.hex(),
        version=start.version,
        base_root=start.base_root.hex(),
        delta=delta,
        captured_at=WallTime(start.captured_at),
        profile_json=start.profile_json,
        dry_run=start.dry_run,
        final=start.final,
    )


def delta_of(parts: Iterable[Entries]) -> Delta:
    """Return the delta in these messages.

    :raises SyncError: when an entry is of no known kind.
    """
    upserts: list[Entry] = []
    removals: list[str] = []
    for part in parts:
        upserts += map(entry_of, part.upserts)
        removals += map(os.fsdecode, part.removals)
    return Delta(tuple(upserts), tuple(removals))


def push_chunks(
    snapshot: Snapshot,
    wants: Iterable[Want],
    fence: Fence,
    encoder: Encoder,
    batch_size: int = BATCH,
) -> Iterator[PushChunk]:
    """Give the messages of a push; reads and encodes the contents while it goes, and blocks.

    A content of which the destination has an older one travels as a patch where that is less; one
    that was appended to, by more than a patch may hold, from the end of the older one on. Of the
    others small ones travel many to a message, big ones in slices, each compressed by itself.

    :param batch_size: bytes of content in one message.

    :raises SyncError: when a content is wanted that was not offered, or its file changed.
    """
    yield PushChunk(start=PushStart(fence=fence, root=bytes.fromhex(snapshot.root)))
    batch: list[ContentChunk] = []
    filled = 0
    for want in wants:
        entry = _wanted(snapshot, want)
        patch = _patch(snapshot, entry, want, encoder)
        if patch is not None:
            yield from _patch_slices(want, patch, batch_size)
            continue
        for chunk in _slices(
            snapshot, entry, want, _start(snapshot, entry, want, encoder), batch_size
        ):
            if batch and filled + len(chunk.data) > batch_size:
                yield _contents(batch)
                batch, filled = [], 0
            batch.append(chunk)
            filled += len(chunk.data) + _HEAD
    if batch:
        yield _contents(batch)


def _wanted(snapshot: Snapshot, want: Want) -> Entry:
    entry = snapshot.entries[want.place] if want.place < len(snapshot.entries) else None
    if entry is None or not entry.size or not 0 <= want.offset <= entry.size:
        raise SyncError("it asks for what was not offered", where="destination's answer")
    return entry


def _patch(snapshot: Snapshot, entry: Entry, want: Want, encoder: Encoder) -> bytes | None:
    if not want.base or want.offset:
        return None
    patch = encoder.patch(want.base.hex(), entry.digest, snapshot.origins[entry.digest])
    return patch if patch is not None and len(patch) < entry.size else None


def _patch_slices(want: Want, patch: bytes, batch_size: int) -> Iterator[PushChunk]:
    for at in range(0, len(patch), batch_size):
        data = patch[at : at + batch_size]
        part = PatchSlice(place=want.place, base=want.base, size=len(patch), data=data)
        yield PushChunk(patch=part)


def _start(snapshot: Snapshot, entry: Entry, want: Want, encoder: Encoder) -> int:
    """Return from where on a content is sent: from the end of an older one that it continues."""
    if not want.base or want.offset:
        return want.offset
    return encoder.continued(want.base.hex(), entry.digest, snapshot.origins[entry.digest])


def _slices(
    snapshot: Snapshot, entry: Entry, want: Want, at: int, batch_size: int
) -> Iterator[ContentChunk]:
    for data in snapshot.origins[entry.digest].read(at, entry.size, batch_size):
        yield ContentChunk(place=want.place, offset=at, data=data)
        at += len(data)


def _contents(chunks: list[ContentChunk]) -> PushChunk:
    """Return contents as one message, compressed where that makes it smaller."""
    contents = Contents(chunks=chunks)
    plain = contents.SerializeToString()
    packed = squeezed(plain, _LEVEL)
    return PushChunk(packed=packed) if len(packed) < len(plain) else PushChunk(contents=contents)
