"""WebSocket frames (RFC 6455), as few as both ends of the tests need: whole text, and close."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from collections.abc import Iterator

TEXT, CLOSE = 0x1, 0x8
GOING_AWAY = 1001
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_key(key: str) -> str:
    """Return what a server answers to a client's ``Sec-WebSocket-Key``."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def frame(kind: int, payload: bytes, *, masked: bool = False) -> bytes:
    """Return one whole frame; a client has to mask what it sends."""
    head = bytes([0x80 | kind])
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    else:
        head += bytes([bit | 126]) + struct.pack("!H", len(payload))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + _masked(payload, mask)


def closing(code: int, *, masked: bool = False) -> bytes:
    """Return a close frame with its status code."""
    return frame(CLOSE, struct.pack("!H", code), masked=masked)


def close_code(payload: bytes) -> int:
    """Return the status code in a close frame; 1005 where there is none."""
    return int(struct.unpack("!H", payload[:2])[0]) if len(payload) >= 2 else 1005


class FrameReader:
    """Takes bytes as they come, and gives the frames that are whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def half(self) -> bool:
        """Whether a frame has begun that is not whole."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the kind and the payload of each frame."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 2:
            size, at = buffer[1] & 0x7F, 2
            if size == 126:
                if len(buffer) < 4:
                    return
                size, at = struct.unpack("!H", buffer[2:4])[0], 4
            masked = bool(buffer[1] & 0x80)
            end = at + 4 * masked + size
            if len(buffer) < end:
                return
            payload = bytes(buffer[end - size : end])
            if masked:
                payload = _masked(payload, bytes(buffer[at : at + 4]))
            kind = buffer[0] & 0x0F
            del buffer[:end]
            yield kind, payload


def _masked(payload: bytes, mask: bytes) -> bytes:
    whole = (mask * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")
    return number.to_bytes(len(payload), "big")
