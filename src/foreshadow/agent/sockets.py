"""Who listens on a port of this machine, and how many connections it has."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from foreshadow.agent.processes import command_line
from foreshadow.agent.socket_diag import local_addresses

_ESTABLISHED = "01"


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that takes connections to an address and port.

    :ivar pids: of the processes that hold it; empty when they are another user's.
    """

    pids: tuple[int, ...]

    def __str__(self) -> str:
        if not self.pids:
            return "a process of another user"
        return f"pid {self.pids[0]} ({command_line(self.pids[0])})"


def listener(address: str, port: int) -> Listener | None:
    """Return who takes connections to ``address:port``, or ``None``; it blocks for a moment."""
    ours = _addresses(address)
    found = [
        connection
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr
        and connection.laddr.port == port
        and _covers(connection.laddr.ip, ours)
    ]
    if not found:
        return None
    return Listener(tuple(sorted({c.pid for c in found if c.pid is not None})))


def established(address: str, port: int) -> int:
    """Return the number of connections that are open to ``address:port``."""
    ours = _addresses(address)
    return sum(ip in ours for ip in _connections(port))


def _addresses(address: str) -> set[str]:
    """Return an address, or those that a name stands for, in normal form."""
    try:
        return {_plain(address)}
    except ValueError:
        return {_plain(str(info[4][0])) for info in socket.getaddrinfo(address, None)}


def _covers(listening: str, ours: set[str]) -> bool:
    return ipaddress.ip_address(listening).is_unspecified or _plain(listening) in ours


def _plain(text: str) -> str:
    """Return an IP address in normal form, IPv4 in IPv6 as IPv4."""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _connections(port: int) -> Iterable[str]:
    """Give the local address of every established TCP connection to a port."""
    try:
        return map(_plain, local_addresses(port))
    except OSError:  # a kernel, or a container, in which it may not be asked
        return _listed(port)


def _listed(port: int) -> Iterator[str]:
    """Yield the same from the kernel's tables.

    A busy machine has tens of thousands that have ended and wait; only those of the port are looked
    at more closely.
    """
    local = re.compile(
        rf"^ *\d+: ([0-9A-F]+):{port:04X} [0-9A-F]+:[0-9A-F]+ {_ESTABLISHED} ", re.MULTILINE
    )
    for name in ("tcp", "tcp6"):
        try:
            table = Path("/proc/net", name).read_text(encoding="ascii")
        except OSError:  # a kernel without IPv6
            continue
        yield from (_plain(_address(digits)) for digits in local.findall(table))


def _address(digits: str) -> str:
    """Return an address that the kernel wrote as words in the machine's own byte order."""
    words = [int(digits[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(b"".join(words)))
