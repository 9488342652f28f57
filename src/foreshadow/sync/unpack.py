"""A small delta as it arrives: entries for its records, and the contents that it brings.

Nothing of it is believed: sizes are held to limits before anything is decompressed, and the caller
compares the root of what comes out with the one that was offered.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import DecodeError

from foreshadow.domain.errors import SyncError
from foreshadow.domain.manifest import Entry, EntryKind
from foreshadow.sync.delta import Delta
from foreshadow.sync.digests import content_digest
from foreshadow.sync.frames import opened
from foreshadow.sync.messages import kind_of
from foreshadow.sync.reading import open_file
from foreshadow.sync.small import MOST_PATCHES, MOST_RECORDS, MOST_TEXT, SMALL
from foreshadow.sync.stored import Version
from foreshadow.wire.gen.sync_pb2 import Record, Records, SmallDelta

_MOST_RECORD_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch, and the content that it builds on."""

    base: str
    data: bytes


@dataclass(slots=True)
class Unpacked:
    """What a small delta holds.

    :ivar base_root: of the version that it builds on.
    :ivar contents: by digest, contents that it brings as they are.
    :ivar patches: by digest, what makes contents out of old ones.
    """

    base_root: str
    delta: Delta
    contents: dict[str, bytes] = field(default_factory=dict)
    patches: dict[str, Patch] = field(default_factory=dict)


@dataclass(slots=True)
class _Row:
    """A record beside the entry that it changes; ``old`` is ``None`` for a new path."""

    record: Record
    path: str
    kind: EntryKind
    mode: int
    mtime_ns: int
    old: Entry | None

    @property
    def was(self) -> Entry | None:
        """The file that was there, if one was."""
        old = self.old
        return old if old is not None and old.kind is EntryKind.FILE else None


def unpacked(small: SmallDelta, version: Version, tree: Path) -> Unpacked:
    """Return what a small delta holds. Blocks.

    :param version: that it builds on; ``tree`` has its files.
    :raises SyncError: when it does not fit the version, or is larger than any that is sent.
    """
    if not small.records:
        if small.contents or small.patches:
            raise _refused("it brings contents that belong to nothing")
        return Unpacked(version.root, Delta((), ()))
    base = version.entries
    records = _records(small)
    rows = list(_rows(records, base))
    texts = _texts(small, rows, tree)
    patches = iter(small.patches)
    out = Unpacked(version.root, Delta((), ()))
    upserts = [_entry(row, base, texts, patches, out) for row in rows]
    if next(texts, None) is not None or next(patches, None) is not None:
        raise _refused("it brings contents that belong to nothing")
    out.delta = Delta(tuple(upserts), tuple(_removals(records, base)))
    return out


def _records(small: SmallDelta) -> Records:
    if sum(map(len, small.patches)) > MOST_PATCHES:
        raise _refused("its patches are larger than any that are sent")
    try:
        records = Records.FromString(opened(small.records, _MOST_RECORD_BYTES))
    except DecodeError:
        raise _refused("its records cannot be read") from None
    if len(records.upserts) + len(records.removals) > MOST_RECORDS:
        raise _refused("it has more records than any that is sent")
    return records


def _rows(records: Records, base: tuple[Entry, ...]) -> Iterator[_Row]:
    place = mtime_ns = 0
    for record in records.upserts:
        old = None
        if record.step:
            place += record.step
            old = _at(base, place - 1)
        elif not record.path:
            raise _refused("a record has no path")
        if old is None and (not record.kind or not record.HasField("mode")):
            raise _refused("a new path has no kind or mode")
        kind = kind_of(record.kind) if record.kind or old is None else old.kind
        if kind is EntryKind.FILE:
            mtime_ns += record.mtime_ns
        elif record.mtime_ns or record.WhichOneof("content") is not None:
            raise _refused("only a file has a time and a content")
        yield _Row(
            record=record,
            path=os.fsdecode(record.path) if old is None else old.path,
            kind=kind,
            mode=record.mode if record.HasField("mode") or old is None else old.mode,
            mtime_ns=mtime_ns if kind is EntryKind.FILE else 0,
            old=old,
        )


def _texts(small: SmallDelta, rows: list[_Row], tree: Path) -> Iterator[bytes]:
    """Give the contents that are brought, in their order."""
    brought = [row for row in rows if row.record.WhichOneof("content") == "brought"]
    sizes = [row.record.brought for row in brought if row.record.brought]
    if sum(sizes) > MOST_TEXT:
        raise _refused("its contents are larger than any that are sent")
    if not sizes:
        if small.contents:
            raise _refused("it brings contents that belong to nothing")
        return iter(())
    beside = b"".join(_beside(brought, tree))
    text = opened(small.contents, sum(sizes), beside)
    if len(text) != sum(sizes):
        raise _refused("its contents are shorter than it says")
    ends = itertools.accumulate(sizes)
    return iter([text[end - size : end] for end, size in zip(ends, sizes, strict=True)])


def _beside(brought: list[_Row], tree: Path) -> Iterator[bytes]:
    """Give the old contents that the new ones are compressed against."""
    left = MOST_TEXT
    for row in brought:
        was = row.was
        if row.record.bare or not row.record.brought or was is None or not 0 < was.size <= SMALL:
            continue
        left -= was.size
        if left < 0:
            raise _refused("it builds on more than any that is sent")
        try:
            with open_file(tree / was.path) as descriptor:
                data = os.pread(descriptor, was.size, 0)
        except FileNotFoundError:
            data = b""
        if content_digest(data) != was.digest:
            raise _refused("what it builds on is no longer as it was applied")
        yield data


def _entry(
    row: _Row,
    base: tuple[Entry, ...],
    texts: Iterator[bytes],
    patches: Iterator[bytes],
    out: Unpacked,
) -> Entry:
    target = os.fsdecode(row.record.target)
    if row.kind is not EntryKind.FILE:
        return Entry(row.path, row.kind, row.mode, target=target)
    size, digest = _content(row, base, texts, patches, out)
    return Entry(row.path, row.kind, row.mode, size, digest, row.mtime_ns, target)


def _content(
    row: _Row,
    base: tuple[Entry, ...],
    texts: Iterator[bytes],
    patches: Iterator[bytes],
    out: Unpacked,
) -> tuple[int, str]:
    """Return size and digest of a file's new content, and keep what is brought of it."""
    was = row.was
    match row.record.WhichOneof("content"):
        case "brought":
            data = next(texts) if row.record.brought else b""
            digest = content_digest(data)
            if data:
                out.contents[digest] = data
            return len(data), digest
        case "moved":
            source = _at(base, row.record.moved)
            return source.size, source.digest
        case "patched":
            patch = next(patches, None)
            if patch is None or was is None:
                raise _refused("a patch is missing, or builds on nothing")
            digest = row.record.patched.digest.hex()
            out.patches[digest] = Patch(was.digest, patch)
            return row.record.patched.size, digest
        case _:
            if was is None:
                raise _refused("a new file has no content")
            return was.size, was.digest


def _removals(records: Records, base: tuple[Entry, ...]) -> Iterator[str]:
    place = -1
    for step in records.removals:
        place += step
        yield _at(base, place).path


def _at(base: tuple[Entry, ...], place: int) -> Entry:
    if not 0 <= place < len(base):
        raise _refused("it names a place that its base does not have")
    return base[place]


def _refused(problem: str) -> SyncError:
    return SyncError(problem, where="small delta", remedy="it is offered anew")
