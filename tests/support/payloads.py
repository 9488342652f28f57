"""Bodies that both ends of a test know, so that every byte of an answer can be told right or wrong.

A body is a slice of one fixed noise: its place and its size are all that a request has to name.
"""

from __future__ import annotations

import random
import zlib

LARGEST = 1 << 18
_NOISE = random.Random(20261124).randbytes(2 * LARGEST)


def body(place: int, size: int) -> bytes:
    """Return the body of a size at a place of the noise, both below :data:`LARGEST`."""
    return _NOISE[place : place + size]


def receipt(content: bytes) -> str:
    """Return what a service answers to an upload: its length and checksum."""
    return f"{len(content)} {zlib.crc32(content):08x}"
