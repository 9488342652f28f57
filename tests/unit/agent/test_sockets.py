"""Connections of a port, as the kernel tells them."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack

import pytest

from foreshadow.agent import socket_diag, sockets
from foreshadow.agent.sockets import established


@pytest.fixture(autouse=True, params=["asked", "refused"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel answer, or refuse as in a container that may not ask it."""
    if request.param == "refused":
        monkeypatch.setattr(socket_diag, "_SOCK_DIAG", 31)  # nobody speaks it


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


def test_tables_are_read_only_when_the_kernel_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "local_addresses", lambda _: ["127.0.0.1", "::ffff:127.0.0.1"])
    monkeypatch.setattr(sockets, "_listed", lambda _: pytest.fail("the tables were read"))
    assert established("127.0.0.1", 9) == 2


def test_what_the_kernel_refuses_is_no_answer() -> None:
    ours, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, kernel:
        refusal = struct.pack("=i", -93)
        kernel.send(struct.pack("=IHHII", 20, 2, 0, 1, 0) + refusal)
        with pytest.raises(OSError, match="Protocol not supported"):
            list(socket_diag._told(ours))


def test_an_answer_may_come_in_parts() -> None:
    ours, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, kernel:
        one = struct.pack("=IHHII", 19, 20, 0, 1, 0) + b"one" + b"\0"  # up to a word
        kernel.send(one + one)
        kernel.send(one)
        kernel.send(struct.pack("=IHHIIi", 20, 3, 0, 1, 0, 0))
        assert list(socket_diag._told(ours)) == [b"one"] * 3
