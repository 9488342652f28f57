"""Whole numbers in as few bytes as they need: seven bits to a byte, the lowest first."""

from __future__ import annotations

from collections.abc import Iterable

from foreshadow.domain.errors import SyncError

_MOST_BITS = 56


def packed(values: Iterable[int]) -> bytes:
    """Return numbers of zero or more as bytes."""
    out = bytearray()
    for value in values:
        rest = value
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def unpacked(data: bytes, count: int, start: int = 0) -> tuple[list[int], int]:
    """Return so many numbers, and where they end.

    :raises SyncError: when there are fewer, or one is larger than any that we write.
    """
    values: list[int] = []
    at, end = start, len(data)
    while len(values) < count:
        value = shift = 0
        while True:
            if at >= end or shift >= _MOST_BITS:
                raise SyncError("a number in it is cut off or too large", where="patch")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        values.append(value)
    return values, at


def folded(value: int) -> int:
    """Return a number as one of zero or more: small ones stay small, whatever their sign."""
    return value * 2 if value >= 0 else -value * 2 - 1


def unfolded(value: int) -> int:
    """Return the number that was folded."""
    return -(value + 1) // 2 if value & 1 else value // 2
