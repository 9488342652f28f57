"""Why an agent cannot be called: what may pass by itself is told apart from what will not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from foreshadow.domain.errors import AccessError, UnreachableError
from foreshadow.domain.fleet import Host
from foreshadow.wire import pki
from foreshadow.wire.credentials import Credentials
from foreshadow.wire.diagnose import diagnose


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    pki.init_authority(tmp_path)
    return pki.issue(tmp_path, "tests", "controller").credentials


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[Host]:
    """Give a host whose port does one thing with whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = Host(name="edge-a", address="127.0.0.1", port=server.getsockname()[1])

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield host
        thread.join()


def test_a_forwarder_without_an_agent_behind_it_may_have_one_soon(
    credentials: Credentials,
) -> None:
    with listening(lambda _: None) as host:
        found = diagnose(host, credentials, 2.0, "unavailable")
    assert isinstance(found, UnreachableError)
    assert "closes the connection at once" in str(found)


def test_another_kind_of_server_stays_one(credentials: Credentials) -> None:
    with listening(lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as host:
        found = diagnose(host, credentials, 2.0, "unavailable")
    assert isinstance(found, AccessError)
    assert "does not speak TLS" in str(found)
