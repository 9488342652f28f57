"""Comparing bytes a span at a time.

The interpreter compares spans at the speed of memory, and large integers tell where in a span the
first or the last difference is.
"""

from __future__ import annotations

_NARROW = 512
"""Bytes that are turned into integers: fewer cost more calls, more cost longer integers."""


def equal_head(one: bytes, other: bytes, one_at: int = 0, other_at: int = 0) -> int:
    """Return how many bytes are equal from two places on.

    The spans that are compared grow, as a difference is mostly near.
    """
    length = min(len(one) - one_at, len(other) - other_at)
    at, step = 0, 64
    while at < length:
        end = min(at + step, length)
        a, b = one[one_at + at : one_at + end], other[other_at + at : other_at + end]
        if a != b:
            return at + _first_difference(a, b)
        at = end
        step *= 2
    return max(0, length)


def equal_tail(one: bytes, other: bytes) -> int:
    """Return how many bytes at the end are equal."""
    length = min(len(one), len(other))
    if length == 0:
        return 0
    a, b = one[len(one) - length :], other[len(other) - length :]
    if a == b:
        return length
    while length > _NARROW:
        half = length // 2
        if a[-half:] == b[-half:]:
            return half + equal_tail(a[:-half], b[:-half])
        a, b, length = a[-half:], b[-half:], half
    differing = int.from_bytes(a, "little") ^ int.from_bytes(b, "little")
    return length - (differing.bit_length() + 7) // 8


def _first_difference(a: bytes, b: bytes) -> int:
    """Return where two spans of one length differ first; they do."""
    start, length = 0, len(a)
    while length > _NARROW:
        half = length // 2
        if a[start : start + half] != b[start : start + half]:
            length = half
        else:
            start, length = start + half, length - half
    end = start + length
    differing = int.from_bytes(a[start:end], "little") ^ int.from_bytes(b[start:end], "little")
    return start + ((differing & -differing).bit_length() - 1) // 8
