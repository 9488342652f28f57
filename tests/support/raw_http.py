"""The cheapest HTTP client: hundreds of requests a second from one process beside the rest."""

from __future__ import annotations

import socket


def get(address: str, port: int, path: str, timeout: float) -> str:
    """Return the host that answered 200, as it calls itself in ``X-Host``.

    :raises RuntimeError: when it answered something else, or broke off.
    """
    with socket.create_connection((address, port), timeout) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        reply = b""
        while part := connection.recv(65536):
            reply += part
    head, _, _ = reply.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    if " 200 " not in first:
        raise RuntimeError(first or "closed without an answer")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return headers["x-host"]
