"""The hash by which a content is accepted: of a large one, over the hashes of its blocks.

So that a few changed blocks are all that has to be hashed, whoever remembers the others.
"""

from __future__ import annotations

from blake3 import blake3

BLOCK = 64 * 1024
"""Bytes of a block; a content of no more than one has the plain BLAKE3 of its bytes."""

ENTRY = 32
"""Bytes of one block's hash in a table."""

_CONTEXT = "foreshadow state: hashes of the blocks of one content"


class Hasher:
    """Hashes a content that is given from its beginning on, in pieces of any size."""

    def __init__(self) -> None:
        self._table = bytearray()
        self._open: blake3 | None = None
        self._filled = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        at, size = 0, len(data)
        view = memoryview(data)
        while at < size:
            if self._open is None and size - at >= BLOCK:
                self._table += block_hash(view[at : at + BLOCK])
                at += BLOCK
                continue
            if self._open is None:
                self._open, self._filled = blake3(), 0
            part = min(BLOCK - self._filled, size - at)
            self._open.update(view[at : at + part])
            self._filled += part
            at += part
            if self._filled == BLOCK:
                self._table += self._open.digest()
                self._open = None

    def table(self) -> bytes:
        """Return the hashes of the blocks so far, one after another."""
        last = b"" if self._open is None else self._open.digest()
        return bytes(self._table) + last

    def hexdigest(self) -> str:
        """Return the digest of what was given so far."""
        return digest_of(self.table())


def block_hash(data: bytes | memoryview) -> bytes:
    """Return the hash of one block."""
    return blake3(data).digest()


def content_digest(data: bytes) -> str:
    """Return the digest of a whole content."""
    hasher = Hasher()
    hasher.update(data)
    return hasher.hexdigest()


def digest_of(table: bytes) -> str:
    """Return the digest of a content by the hashes of its blocks."""
    if not table:
        return blake3().hexdigest()
    if len(table) == ENTRY:
        return table.hex()
    return blake3(table, derive_key_context=_CONTEXT).hexdigest()
