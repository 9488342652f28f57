"""Bytes that are read a span at a time, so that a large file never is in memory as a whole."""

from __future__ import annotations

import os
from typing import Protocol

_WINDOW = 8 * 1024
"""Bytes that are read at once where fewer are asked for: what is next is mostly near."""


class Spans(Protocol):
    """Bytes of a known length."""

    def __len__(self) -> int:
        """Return how many bytes there are."""
        ...

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` to before ``end``, cut at the end of all."""
        ...


class InFile:
    """The bytes of an open file, which nobody writes to meanwhile; never mapped into memory.

    :param descriptor: stays the caller's to close.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size

    def __len__(self) -> int:
        """Return how many bytes there are."""
        return self._size

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` to before ``end``, cut at the end of the file.

        :raises EOFError: when the file has become shorter.
        """
        wanted = min(end, self._size) - start
        if wanted <= 0:
            return b""
        data = os.pread(self._descriptor, wanted, start)
        if len(data) < wanted:  # a signal, or a file system that reads in parts
            parts = [data]
            while len(data) < wanted:
                more = os.pread(self._descriptor, wanted - len(data), start + len(data))
                if not more:
                    raise EOFError(f"the file ends at {start + len(data)}")
                parts.append(more)
                data = b"".join(parts)
        return data


class Windowed:
    """Bytes that are read a little at a time, and mostly one after another.

    :param spans: what they are read from, in windows.
    """

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self._start = 0
        self._window = b""

    def __len__(self) -> int:
        """Return how many bytes there are."""
        return len(self._spans)

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` to before ``end``, cut at the end of all.

        :raises EOFError: when there are fewer than there were.
        """
        at = start - self._start
        if at >= 0 and end - self._start <= len(self._window):
            return self._window[at : at + end - start]
        if end - start >= _WINDOW:
            return self._spans.read(start, end)
        self._start, self._window = start, self._spans.read(start, start + _WINDOW)
        return self._window[: end - start]
