"""A record of a service on two hosts, and everything that answers about it."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.name
import dns.query
import dns.tsig

from foreshadow.directors.rfc2136 import Rfc2136Director
from foreshadow.domain.clock import WallTime
from foreshadow.domain.spec import DirectorSpec
from tests.support.agents import loopback
from tests.support.dns_server import Resolver, Running, Secondary, Zone, serving
from tests.support.haproxy import free_port
from tests.support.wells import Wells, listening

ZONE, NAME, KEY = "example.org", "www.example.org", "foreshadow.example.org"
SECRET = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
RESOURCE = "checkout"


@dataclass
class DnsWorld:
    """One zone on a server and a secondary, a resolver, and a service on each host.

    :ivar shift: seconds by which the time of the directors and of the resolver is ahead.
    """

    zone: Zone
    secondary: Secondary
    resolver: Resolver
    primary_server: Running
    secondary_server: Running
    resolver_server: Running
    wells: Wells
    key_file: Path
    ttl: float = 60.0
    shift: float = 0.0

    def spec(self, **options: Any) -> DirectorSpec:
        """Return the director as a person would write it."""
        written: dict[str, Any] = {
            "kind": "rfc2136",
            "zone": ZONE,
            "name": NAME,
            "server": str(self.primary_server.server),
            "servers": [str(self.secondary_server.server)],
            "resolvers": [str(self.resolver_server.server)],
            "key": {"name": KEY, "file": str(self.key_file)},
            "check": {"port": self.wells.port, "path": "/healthz", "timeout": "300ms"},
            "targets": self.wells.addresses,
            "timeout": "400ms",
            "propagation": "2s",
        }
        return DirectorSpec.model_validate({**written, **options})

    def director(self, actor: str | None = None, **options: Any) -> Rfc2136Director:
        """Return a new director, as another run of the controller would have it."""
        return Rfc2136Director(self.spec(**options), RESOURCE, actor=actor, now=self.now)

    def hasty_director(self) -> Rfc2136Director:
        """Return one that gives a host half a second to be admitted."""
        return self.director(admit_timeout="500ms")

    def now(self) -> WallTime:
        """Return the time as directors see it."""
        return WallTime(time.time() + self.shift)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.shift += seconds

    def rest(self) -> None:
        """Bring everything back to how it was at first."""
        self.zone.sets.clear()
        self.zone.put(NAME, "A", int(self.ttl), self.wells.addresses["edge-a"])
        self.zone.put(NAME, "MX", 300, "10 mail.example.org.")
        self.zone.put(f"_foreshadow.{NAME}", "TXT", 300, '"a note of a person"')
        self.zone.lose_replies = self.zone.swallow = self.zone.updates = 0
        self.zone.stale, self.zone.cached = 0, None
        self.zone.late.clear()
        self.zone.before_update = lambda: None
        self.secondary.lag = 0.0
        self.secondary.follow()
        self.resolver.floor = 0.0
        self.resolver._cache.clear()
        self.shift = 0.0
        for server in (self.primary_server, self.secondary_server, self.resolver_server):
            server.silent = False

    @contextmanager
    def unwell(self, host: str) -> Iterator[None]:
        """Make the service on a host not answer, as a frozen one."""
        with self.wells.frozen(host):
            yield

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Make one server of the zone not answer."""
        self.secondary_server.silent = True
        try:
            yield
        finally:
            self.secondary_server.silent = False

    @contextmanager
    def request_open(self, host: str) -> Iterator[None]:
        """Do nothing: no DNS server knows of requests."""
        yield

    def served_by(self) -> set[str]:
        """Return the hosts that every server of the zone leads to."""
        query = dns.message.make_query(NAME, "A")
        found = set()
        for running in (self.primary_server, self.secondary_server):
            reply = dns.query.udp(query, running.server.address, 2, running.server.port)
            found |= {data.to_text() for answer in reply.answer for data in answer}
        return {host for host, address in self.wells.addresses.items() if address in found}


@contextmanager
def running_dns(folder: Path, hosts: tuple[str, ...] = ("edge-a", "edge-b")) -> Iterator[DnsWorld]:
    """Run it until the end of the block; ``edge-a`` has the record."""
    key = dns.tsig.Key(dns.name.from_text(KEY), SECRET, "hmac-sha256.")
    key_file = folder / "tsig.key"
    key_file.write_text(f'key "{KEY}" {{\n  algorithm hmac-sha256;\n  secret "{SECRET}";\n}};\n')
    zone = Zone(ZONE, key)
    secondary = Secondary(zone)
    with ExitStack() as stack:
        addresses = {host: loopback() for host in hosts}
        wells = stack.enter_context(listening(addresses, free_port(addresses[hosts[0]])))
        primary = stack.enter_context(serving(zone.answer, key))
        second = stack.enter_context(serving(secondary.answer))
        resolver = Resolver(primary.server)
        named = stack.enter_context(serving(resolver.answer))
        world = DnsWorld(zone, secondary, resolver, primary, second, named, wells, key_file)
        resolver.now = lambda: time.monotonic() + world.shift
        world.rest()
        yield world
