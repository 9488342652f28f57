"""Connections of a port, as the kernel tells them."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from foreshadow.agent.sockets import established


@pytest.mark.parametrize(
    ("listening", "address", "other"),
    [("127.0.0.1", "127.0.0.1", "127.0.0.2"), ("::1", "::1", "127.0.0.1")],
)
def test_only_those_of_the_address_and_port_count(listening: str, address: str, other: str) -> None:
    family = socket.AF_INET6 if ":" in listening else socket.AF_INET
    with ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server((listening, 0), family=family))
            for _ in range(2)
        ]
        port, next_port = (server.getsockname()[1] for server in servers)
        for _ in range(3):
            stack.enter_context(socket.create_connection((listening, port)))
        stack.enter_context(socket.create_connection((listening, next_port)))
        assert established(address, port) == 3
        assert established(address, next_port) == 1
        assert established(other, port) == 0


def test_an_ipv4_client_of_a_server_for_both_counts_by_its_ipv4_address() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert established("127.0.0.1", port) == 1
        assert established("127.0.0.1", port) == 0
