"""Clients that find a service by name: each keeps an answer for its TTL, and asks again then."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import dns.message
import dns.query

from foreshadow.directors.rfc2136_options import Server
from tests.support.dns_world import NAME
from tests.support.raw_http import get


@dataclass
class Served:
    """What clients saw.

    :ivar last: by host, the wall time at which the last answer of it came.
    :ivar changes: each change of what the resolver gave to any client: wall time and address.
    """

    ok: int = 0
    errors: list[str] = field(default_factory=list)
    served: list[tuple[float, str]] = field(default_factory=list)
    changes: list[tuple[float, str]] = field(default_factory=list)

    def first_given(self, address: str, after: float) -> float:
        """Return when the resolver first gave an address to a client, after a time."""
        return next(at for at, given in self.changes if given == address and at >= after)


class DnsClients:
    """Requests at a rate, by clients that share nothing, for the length of a ``with`` block.

    :param rate: requests per second of all clients together. None is ever repeated.
    """

    def __init__(self, resolver: Server, port: int, rate: float, clients: int = 10) -> None:
        self.seen = Served()
        self._resolver = resolver
        self._port = port
        self._every = clients / rate
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._last = ""
        self._threads = [
            threading.Thread(target=self._client, args=(i * self._every / clients,))
            for i in range(clients)
        ]

    def __enter__(self) -> DnsClients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _client(self, offset: float) -> None:
        due = time.monotonic() + offset
        address, until = "", 0.0
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += self._every
            try:
                if time.monotonic() >= until:
                    asked = time.monotonic()
                    address, ttl = self._resolve()
                    until = asked + ttl
                host = get(address, self._port, "/", 10.0)
            except Exception as error:  # noqa: BLE001 whatever it was, the request failed
                with self._lock:
                    self.seen.errors.append(f"{time.time():.3f} {address}: {error!r}")
                continue
            with self._lock:
                self.seen.ok += 1
                self.seen.served.append((time.time(), host))

    def _resolve(self) -> tuple[str, float]:
        query = dns.message.make_query(NAME, "A")
        reply = dns.query.udp(query, self._resolver.address, 5.0, self._resolver.port)
        (answer,) = reply.answer
        (data,) = answer
        with self._lock:
            if data.address != self._last:
                self._last = data.address
                self.seen.changes.append((time.time(), data.address))
        return str(data.address), float(answer.ttl)
