"""Taking an RDB file from a Redis as a replica does, which is a picture of one moment."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import closing
from typing import IO

from foreshadow.domain.errors import SyncError
from foreshadow.sync.redis_address import Address

_SLICE = 1 << 16
_LONGEST_LINE = 4096


def take_dump(address: Address, out: IO[bytes], limit: int, within: float) -> None:
    """Write the RDB of a server to a file.

    The server forks at that moment, so every write that it acknowledged before is in it. Asked
    without the capabilities of newer replicas, it does not wait for others to join.

    :param limit: bytes; a larger one is refused before it is sent.
    :param within: seconds after which it is given up.
    :raises OSError: when the connection breaks or takes too long.
    :raises SyncError: when the server refuses, or the RDB is too large.
    """
    deadline = time.monotonic() + within
    with closing(_opened(address, within)) as connection:
        source = _Source(connection, deadline)
        if address.password:
            login = [address.user, address.password] if address.user else [address.password]
            _expect_ok(source.ask("AUTH", *login), address)
        size = _announced(source.ask("SYNC"), source, address)
        if size > limit:
            raise SyncError(
                f"its RDB has {size} bytes, more than max_size {limit}",
                where=f"redis {address}",
                remedy="raise max_size, or take a sample",
            )
        source.copy(out, size)


def _opened(address: Address, within: float) -> socket.socket:
    if address.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(within)
        connection.connect(address.socket)
        return connection
    connection = socket.create_connection((address.host, address.port), within)
    if address.tls:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=address.host)
    return connection


class _Source:
    """What comes from a server, within a deadline."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._pending = b""

    def ask(self, *words: str) -> str:
        """Send a command, and return the line that answers."""
        encoded = [word.encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded]
        self._connection.sendall(b"".join(parts))
        return self.line()

    def line(self) -> str:
        while b"\n" not in self._pending and len(self._pending) < _LONGEST_LINE:
            self._pending += self._received()
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode(errors="replace").strip()

    def copy(self, out: IO[bytes], size: int) -> None:
        while size:
            data = (self._pending or self._received())[:size]
            self._pending = self._pending[len(data) :] if self._pending else b""
            out.write(data)
            size -= len(data)

    def _received(self) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left)
        data = self._connection.recv(_SLICE)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


def _expect_ok(line: str, address: Address) -> None:
    if line != "+OK":
        raise _refused(line, address)


def _announced(line: str, source: _Source, address: Address) -> int:
    """Return the size that is announced; empty lines before it say that the server is at work."""
    while not line:
        line = source.line()
    if not line.startswith("$") or not line[1:].isdecimal():
        raise _refused(line, address)
    return int(line[1:])


def _refused(line: str, address: Address) -> SyncError:
    return SyncError(
        f"it refused: {line.lstrip('-')[:200]}",
        where=f"redis {address}",
        remedy="let user and password_file name one that may call SYNC, and look at its log",
    )
