"""Clients of all agents, made when they are first asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Lock

from foreshadow.domain.errors import AccessError
from foreshadow.domain.fleet import Host
from foreshadow.wire.client import AgentClient
from foreshadow.wire.credentials import Credentials

KNOWN_SECONDS = 1.0
"""For how long a host is not looked up again: a switchover makes some sixty calls a second."""


class Access:
    """The way to every host by its name; safe to use from several threads.

    :param hosts: returns a host by its name, or raises
        :class:`~foreshadow.domain.errors.UnknownNameError`.
    :param credentials: ``None`` where agents are never called, as when only the ledger is read.
    :param timeout: seconds that a call may take when it names no timeout of its own.
    :param registered: returns every host, for what asks all of them.
    """

    def __init__(
        self,
        hosts: Callable[[str], Host],
        credentials: Credentials | None,
        timeout: float = 10.0,
        registered: Callable[[], Sequence[Host]] = tuple,
    ) -> None:
        self.registered = registered
        self._hosts = hosts
        self._credentials = credentials
        self._timeout = timeout
        self._clients: dict[tuple[str, str, int], AgentClient] = {}
        self._known: dict[str, tuple[Host, float]] = {}
        self._lock = Lock()

    def client(self, host_name: str) -> AgentClient:
        """Return the client of a host's agent, the same one each time.

        :raises UnknownNameError: when there is no such host.
        :raises AccessError: when there are no credentials, or they cannot be used.
        """
        if self._credentials is None:
            raise AccessError(
                "its agent cannot be called without a certificate",
                where=f"host {host_name}",
                remedy="set ca, cert and key, or FORESHADOW_CA, FORESHADOW_CERT, FORESHADOW_KEY",
            )
        host = self._host(host_name)
        way = (host.name, host.address, host.port)
        with self._lock:
            if way not in self._clients:
                self._clients[way] = AgentClient(host, self._credentials, self._timeout)
            return self._clients[way]

    def _host(self, name: str) -> Host:
        """Return a host as it was registered a moment ago at most."""
        now = time.monotonic()
        host, until = self._known.get(name, (None, 0.0))
        if host is None or now >= until:
            host = self._hosts(name)
            self._known[name] = (host, now + KNOWN_SECONDS)
        return host

    def close(self) -> None:
        """Close all channels."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
