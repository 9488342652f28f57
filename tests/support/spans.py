"""Bytes in memory that are read as those of a file are."""

from __future__ import annotations


class InMemory:
    """Bytes that are in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        """Return how many bytes there are."""
        return len(self._data)

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` to before ``end``, cut at the end of all."""
        return self._data[start:end]
