"""zstd frames whose decompressed size is bounded before a byte of it is believed."""

from __future__ import annotations

from backports import zstd

from foreshadow.domain.errors import SyncError

_Level = zstd.CompressionParameter
WINDOW_LOG = 26
"""Memory of a decoder, as a power of two: what a peer may make us use."""

_MUCH = 256 * 1024
"""Bytes from which on it counts how long a match is searched for."""
_LIKE_LOG = 2
"""Of the bytes that can be referred to, as a power of two: how many to one that is remembered."""

Prefix = tuple[zstd.ZstdDict, int]
"""What the library makes of old bytes that stand before a frame."""


def squeezed(data: bytes, level: int, beside: bytes = b"") -> bytes:
    """Return bytes as a frame, compressed against old ones when there are some."""
    needed = (len(data) + len(beside)).bit_length()
    options = {
        int(_Level.compression_level): level,
        int(_Level.window_log): max(10, min(WINDOW_LOG, needed)),
    }
    return zstd.compress(data, options=options, zstd_dict=prefix(beside))


def likened(data: bytes, level: int, beside: bytes = b"") -> bytes:
    """Return bytes as a frame, as :func:`squeezed`, made to be quick when they are many.

    In contents of megabytes, what is alike is alike over many bytes: a search for no less than six
    at a time makes as small a frame as that of level 12 in less than half of its time.
    """
    needed = len(data) + len(beside)
    if needed < _MUCH:
        return squeezed(data, level, beside)
    window = min(WINDOW_LOG, needed.bit_length())
    options = {
        int(_Level.compression_level): level,
        int(_Level.window_log): window,
        int(_Level.strategy): int(zstd.Strategy.lazy),
        int(_Level.min_match): 6,
        int(_Level.search_log): 4,
        int(_Level.hash_log): window - _LIKE_LOG,
        int(_Level.chain_log): window - _LIKE_LOG,
    }
    return zstd.compress(data, options=options, zstd_dict=prefix(beside))


def opened(frame: bytes, most: int, beside: bytes = b"") -> bytes:
    """Return what a frame holds, never more than ``most`` bytes.

    :raises SyncError: when it holds more, is no whole frame, or something follows it.
    """
    decoder = decompressor(prefix(beside))
    try:
        data = decoder.decompress(frame, most + 1) if frame else b""
    except zstd.ZstdError:
        raise SyncError("a frame cannot be decompressed", where="state that was sent") from None
    if len(data) > most or not decoder.eof or decoder.unused_data:
        raise SyncError("a frame holds more or less than it may", where="state that was sent")
    return data


def prefix(beside: bytes) -> Prefix | None:
    """Return old bytes as what comes before a frame; fewer than eight the library refuses."""
    least = 8
    if len(beside) < least:
        return None
    return zstd.ZstdDict(beside, is_raw=True).as_prefix


def decompressor(before: Prefix | None) -> zstd.ZstdDecompressor:
    """Return a decompressor that uses no more memory than the window that we write."""
    options = {int(zstd.DecompressionParameter.window_log_max): WINDOW_LOG}
    return zstd.ZstdDecompressor(zstd_dict=before, options=options)
