"""A new version of a large file as the pages in which it differs from a copy of an older one."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import xxhash

from foreshadow.sync.digests import BLOCK, ENTRY, block_hash, digest_of
from foreshadow.sync.patches.ranges import Ranges, Touched
from foreshadow.sync.patches.spans import Spans
from foreshadow.sync.reading import Content, Stamp

PAGE = 4096
LEAST = 1024 * 1024
"""Bytes from which on a content's blocks are remembered."""
_QUICK = 16
_MOST = 0.25
"""Share of a content that may differ; of more, a copy is made."""
_SEED = int.from_bytes(os.urandom(8))
"""The quick hash is none for adversaries: what it says depends on what they do not know."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Hashes of the blocks of a content.

    :ivar quick: with which blocks are compared on this host.
    :ivar table: by which they are accepted elsewhere; see :mod:`foreshadow.sync.digests`.
    """

    quick: bytes
    table: bytes


class QuickHasher:
    """Makes the quick hashes of a content that is read block by block, perhaps more than once."""

    def __init__(self) -> None:
        self._made = bytearray()

    def feed(self, data: bytes, offset: int) -> None:
        """Take the bytes at an offset; at 0 it begins anew."""
        if not offset:
            self._made.clear()
        self._made += quick_hash(data)

    def blocks(self, content: Content) -> Blocks | None:
        """Return the hashes of what was read; ``None`` when it was not read in whole blocks."""
        quick = bytes(self._made[: len(content.table) // ENTRY * _QUICK])
        fits = len(self._made) * ENTRY == len(content.table) * _QUICK
        return Blocks(quick, content.table) if fits else None


class Pages(Protocol):
    """Where the differing pages are written one after another."""

    def write(self, data: bytes, /) -> object:
        """Take the bytes of the next page."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What a content is beside an older one.

    :ivar base: digest of the older one; ``pages`` are the numbers of those that differ, in order.
    """

    base: str
    pages: Sequence[int]
    size: int

    def ranges(self) -> Touched:
        """Return where it differs."""
        touched = Touched()
        for page in self.pages:
            touched.add(page * PAGE, min((page + 1) * PAGE, self.size))
        return touched


class Layered:
    """The bytes of a content: pages of its own, the others those of an older one."""

    def __init__(self, layer: Layer, own: Spans, base: Spans) -> None:
        self._layer = layer
        self._own = own
        self._base = base

    def __len__(self) -> int:
        """Return how many bytes there are."""
        return self._layer.size

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` to before ``end``, cut at the end of all."""
        end = min(end, self._layer.size)
        pages = self._layer.pages
        slot = bisect_left(pages, start // PAGE)
        if slot == len(pages) or pages[slot] * PAGE >= end:
            return self._base.read(start, end)
        data = bytearray(self._base.read(start, end).ljust(max(0, end - start), b"\0"))
        while slot < len(pages) and pages[slot] * PAGE < end:
            at = pages[slot] * PAGE
            first, last = max(at, start), min(at + PAGE, end)
            offset = slot * PAGE - at
            data[first - start : last - start] = self._own.read(first + offset, last + offset)
            slot += 1
        return bytes(data)


@dataclass(frozen=True, slots=True)
class Compared:
    """What a file turned out to be, beside what it was."""

    content: Content
    blocks: Blocks
    layer: Layer


def compare(
    descriptor: int, before: Blocks, layer: Layer, base: Spans, out: Pages | None
) -> Compared | None:
    """Read a file once, and hash for good only the blocks that changed.

    :param before: of what it held the last time, which is ``layer`` on ``base``.
    :param out: gets the pages that differ from ``base``.
    :return: ``None`` when too much of it changed, or somebody wrote to it meanwhile.
    """
    stamp = Stamp.of(os.fstat(descriptor))
    quick, table, pages = bytearray(), bytearray(), _Own(out, stamp.size)
    for at in range(0, stamp.size, BLOCK):
        data = os.pread(descriptor, min(BLOCK, stamp.size - at), at)
        hashed = quick_hash(data)
        number = at // BLOCK
        quick += hashed
        if hashed == before.quick[number * _QUICK : (number + 1) * _QUICK]:
            table += before.table[number * ENTRY : (number + 1) * ENTRY]
            pages.carry(layer, data, at)
        else:
            table += block_hash(data)
            pages.add(data, base.read(at, at + len(data)), at)
        if pages.are_too_many:
            return None
    blocks = Blocks(bytes(quick), bytes(table))
    is_steady = Stamp.of(os.fstat(descriptor)) == stamp
    if not is_steady and not _are_still(descriptor, stamp.size, blocks.quick):
        return None
    content = Content(digest_of(blocks.table), stamp.size, stamp, blocks.table)
    return Compared(content, blocks, Layer(layer.base, pages.numbers, stamp.size))


def _are_still(descriptor: int, size: int, quick: bytes) -> bool:
    """Return whether the blocks are what they were when they were read, as in a log that grows."""
    if os.fstat(descriptor).st_size < size:
        return False
    again = (os.pread(descriptor, min(BLOCK, size - at), at) for at in range(0, size, BLOCK))
    return b"".join(map(quick_hash, again)) == quick


class _Own:
    """Collects the pages that a content has of its own."""

    def __init__(self, out: Pages | None, size: int) -> None:
        self.numbers: list[int] = []
        self._out = out
        self._most = _MOST * size / PAGE

    @property
    def are_too_many(self) -> bool:
        return len(self.numbers) > self._most

    def add(self, data: bytes, base: bytes, start: int) -> None:
        """Keep the pages of a block that are not those of the base."""
        for at in range(0, len(data), PAGE):
            page = data[at : at + PAGE]
            if page != base[at : at + PAGE]:
                self._keep((start + at) // PAGE, page)

    def carry(self, layer: Layer, data: bytes, start: int) -> None:
        """Keep the pages of a block that were its own before."""
        slot = bisect_left(layer.pages, start // PAGE)
        while slot < len(layer.pages) and layer.pages[slot] * PAGE < start + len(data):
            at = layer.pages[slot] * PAGE - start
            self._keep(layer.pages[slot], data[at : at + PAGE])
            slot += 1

    def _keep(self, number: int, page: bytes) -> None:
        self.numbers.append(number)
        if self._out is not None:
            self._out.write(page)


def differing(one: Layer, other: Layer) -> Ranges | None:
    """Return where two contents may differ; ``None`` when all of both is to be looked at."""
    if one.base != other.base:
        return None
    touched = Touched()
    for page in sorted({*one.pages, *other.pages}):
        touched.add(page * PAGE, (page + 1) * PAGE)
    return touched.ranges


def quick_hash(data: bytes) -> bytes:
    """Return the quick hash of a block."""
    return xxhash.xxh3_128_digest(data, _SEED)
