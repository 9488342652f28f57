"""The connections of one port, as the kernel picks them out itself.

Its tables in ``/proc/net`` hold every connection of the machine, and those that have ended for a
minute: on a busy one, reading them takes longer than all else that is done to answer who is there.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

_SOCK_DIAG = 4
_BY_FAMILY = 20
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_ESTABLISHED = 1 << 1
_HEADER = struct.Struct("=IHHII")
_ERRNO = struct.Struct("=i")
_WANTED = struct.Struct("=BBBxI")
_ENDS = struct.Struct(">HH16s16s12x")
_LOCAL_AT = 4
"""Where the ends of a connection stand in what is told of it."""
_LENGTHS = {socket.AF_INET: 4, socket.AF_INET6: 16}
_TIMEOUT = 1.0
_LARGEST = 1 << 16


def local_addresses(port: int) -> list[str]:
    """Return the local address of every established TCP connection to a port.

    :raises OSError: when this kernel does not tell.
    """
    found: list[str] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(_TIMEOUT)
        for family, length in _LENGTHS.items():
            kernel.send(_request(family, port))
            for content in _told(kernel):
                _, _, local, _ = _ENDS.unpack_from(content, _LOCAL_AT)
                found.append(socket.inet_ntop(family, local[:length]))
    return found


def _request(family: int, port: int) -> bytes:
    wanted = _WANTED.pack(family, socket.IPPROTO_TCP, 0, _ESTABLISHED)
    content = wanted + _ENDS.pack(port, 0, b"", b"")
    size = _HEADER.size + len(content)
    return _HEADER.pack(size, _BY_FAMILY, _REQUEST | _DUMP, 1, 0) + content


def _told(kernel: socket.socket) -> Iterator[bytes]:
    """Give what is told of each connection, up to the end of the answer."""
    while True:
        answer = kernel.recv(_LARGEST)
        while answer:
            size, kind, *_ = _HEADER.unpack_from(answer)
            content, answer = answer[_HEADER.size : size], answer[(size + 3) & ~3 :]
            if kind in (_ERROR, _DONE):
                code = _ERRNO.unpack_from(content)[0] if len(content) >= _ERRNO.size else 0
                if code < 0 or kind == _ERROR:
                    raise OSError(-code, os.strerror(-code))
                return
            yield content
