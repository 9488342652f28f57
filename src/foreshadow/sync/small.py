"""A small delta as one message: what changed, by its place in the version that both sides know.

Digests of what is brought are left out: the new root proves them. Small contents are compressed
together against those that they replace; larger ones come as patches.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from foreshadow.domain.manifest import Entry, EntryKind
from foreshadow.sync.encoder import Encoder
from foreshadow.sync.entries import EMPTY
from foreshadow.sync.frames import squeezed
from foreshadow.sync.snapshot import Snapshot
from foreshadow.wire.gen.sync_pb2 import Patched, Record, Records, SmallDelta

MOST_RECORDS = 20_000
MOST_TEXT = 8 * 2**20
"""Bytes of new contents, and of old ones that they are compressed against, in one message."""
MOST_PATCHES = 4 * 2**20
"""Bytes of the patches in one message."""
SMALL = 64 * 1024
"""Bytes of a content that is compressed together with others."""
_LARGEST_ALONE = 256 * 1024
_MOST_MESSAGE = 4 * 2**20
"""Bytes of one message: a larger one would have to begin anew after a break."""
_FEW = 128 * 1024
_BEST, _GOOD, _FAST = 19, 9, 3


@dataclass(slots=True)
class _Draft:
    """A message that is being made."""

    records: Records = field(default_factory=Records)
    text: bytearray = field(default_factory=bytearray)
    beside: bytearray = field(default_factory=bytearray)
    patches: list[bytes] = field(default_factory=list)
    patch_bytes: int = 0
    place: int = 0
    mtime_ns: int = 0


class _LargeError(Exception):
    """The delta is none that goes in one message."""


def small_delta(
    base: tuple[Entry, ...], snapshot: Snapshot, encoder: Encoder, *, fast: bool = False
) -> SmallDelta | None:
    """Return the message, without its start, that turns ``base`` into a snapshot. Blocks.

    ``None`` when it would be too large; then the snapshot is offered first.

    :param base: the entries of a version that the destination has, sorted by path.
    :param fast: clients wait for it: time counts, and not the last byte.
    :raises SyncError: when a file is no longer what was hashed.
    """
    places = {entry.path: place for place, entry in enumerate(base)}
    draft = _Draft()
    new = {entry.path: entry for entry in snapshot.entries}
    changed = [e for e in snapshot.entries if e.path not in places or base[places[e.path]] != e]
    changed.sort(key=lambda entry: places.get(entry.path, len(base)))
    gone = [place for place, entry in enumerate(base) if entry.path not in new]
    if len(changed) + len(gone) > MOST_RECORDS:
        return None
    contents = {e.digest: place for place, e in enumerate(base) if e.size}
    try:
        for entry in changed:
            place = places.get(entry.path)
            old = None if place is None else base[place]
            record = _record(draft, entry, place, old)
            _add_content(draft, record, entry, old, contents, snapshot, encoder)
            draft.records.upserts.append(record)
    except _LargeError:
        return None
    draft.records.removals.extend(_steps(gone))
    if not changed and not gone:
        return SmallDelta()
    text, beside = bytes(draft.text), bytes(draft.beside)
    few, many = (_FAST, _FAST) if fast else (_BEST, _GOOD)

    def level(size: int) -> int:
        return few if size <= _FEW else many

    delta = SmallDelta(
        records=squeezed(draft.records.SerializeToString(), level(len(changed) * 50)),
        contents=squeezed(text, level(len(text) + len(beside)), beside) if text else b"",
        patches=draft.patches,
    )
    return delta if delta.ByteSize() <= _MOST_MESSAGE else None


def _record(draft: _Draft, entry: Entry, place: int | None, old: Entry | None) -> Record:
    record = Record()
    if place is None:
        record.path = os.fsencode(entry.path)
    else:
        record.step = place + 1 - draft.place
        draft.place = place + 1
    if old is None or old.kind is not entry.kind:
        record.kind = entry.kind.value
    if old is None or old.mode != entry.mode:
        record.mode = entry.mode
    if entry.kind is EntryKind.FILE:
        record.mtime_ns = entry.mtime_ns - draft.mtime_ns
        draft.mtime_ns = entry.mtime_ns
    record.target = os.fsencode(entry.target)
    return record


def _add_content(
    draft: _Draft,
    record: Record,
    entry: Entry,
    old: Entry | None,
    contents: Mapping[str, int],
    snapshot: Snapshot,
    encoder: Encoder,
) -> None:
    if entry.kind is not EntryKind.FILE:
        return
    was = old if old is not None and old.kind is EntryKind.FILE else None
    if was is not None and was.digest == entry.digest:
        return
    if entry.digest == EMPTY:
        record.brought = 0
    elif entry.digest in contents:
        record.moved = contents[entry.digest]
    elif entry.size <= SMALL:
        _bring(draft, record, entry, was, snapshot, encoder)
    else:
        _bring_large(draft, record, entry, was, snapshot, encoder)


def _bring(
    draft: _Draft,
    record: Record,
    entry: Entry,
    was: Entry | None,
    snapshot: Snapshot,
    encoder: Encoder,
) -> None:
    if was is not None and 0 < was.size <= SMALL:
        before = encoder.old(was.digest, was.size)
        record.bare = before is None
        draft.beside += before or b""
    for data in snapshot.origins[entry.digest].read(0, entry.size, entry.size):
        draft.text += data
    record.brought = entry.size
    if len(draft.text) > MOST_TEXT or len(draft.beside) > MOST_TEXT:
        raise _LargeError


def _bring_large(
    draft: _Draft,
    record: Record,
    entry: Entry,
    was: Entry | None,
    snapshot: Snapshot,
    encoder: Encoder,
) -> None:
    patch = None
    if was is not None and was.size:
        patch = encoder.patch(was.digest, entry.digest, snapshot.origins[entry.digest])
    if patch is not None and len(patch) < entry.size:
        record.patched.CopyFrom(Patched(size=entry.size, digest=bytes.fromhex(entry.digest)))
        draft.patches.append(patch)
        draft.patch_bytes += len(patch)
        if draft.patch_bytes > MOST_PATCHES:
            raise _LargeError
    elif entry.size <= _LARGEST_ALONE:
        record.bare = True
        _bring(draft, record, entry, None, snapshot, encoder)
    else:
        raise _LargeError


def _steps(places: list[int]) -> list[int]:
    """Return places as distances: small numbers take one byte each."""
    return [place - before for place, before in zip(places, [-1, *places], strict=False)]
