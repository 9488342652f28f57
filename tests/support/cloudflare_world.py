"""A service on two hosts behind Cloudflare, with a clock that waits for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from foreshadow.directors.cloudflare.dns import CloudflareDnsDirector
from foreshadow.directors.cloudflare.lb import CloudflareLbDirector
from foreshadow.directors.cloudflare.times import Times
from foreshadow.domain.clock import WallTime
from foreshadow.domain.spec import DirectorSpec
from foreshadow.wire.access import Access
from tests.support.agents import loopback
from tests.support.cloudflare import ACCOUNT, TOKEN, ZONE, FakeCloudflare, running_cloudflare
from tests.support.haproxy import free_port
from tests.support.wells import Wells, listening

NAME, RESOURCE = "www.example.com", "checkout"
POOLS = ("1" * 32, "2" * 32)
SOURCE, DESTINATION = "edge-a", "edge-b"
NO_AGENTS = cast("Access", None)
"""Neither director calls an agent."""


@dataclass
class Clock:
    """The time of directors and of Cloudflare: it passes when somebody sleeps."""

    at: float = 1_700_000_000.0

    def now(self) -> WallTime:
        return WallTime(self.at)

    def sleep(self, seconds: float) -> None:
        self.at += seconds

    def times(self) -> Times:
        return Times(self.now, lambda: self.at, self.sleep, lambda: 0.5)


@dataclass
class CloudflareWorld:
    """What both directors' worlds have in common."""

    fake: FakeCloudflare
    wells: Wells
    clock: Clock
    token_file: Path

    def written(self, **options: Any) -> DirectorSpec:
        """Return a director as a person would write it."""
        common = {
            "token_file": str(self.token_file),
            "base_url": self.fake.url,
            "timeout": "5s",
            "propagation": "500ms",
        }
        return DirectorSpec.model_validate({**common, **options})

    def pass_time(self, seconds: float) -> None:
        self.clock.at += seconds

    @contextmanager
    def unwell(self, host: str) -> Iterator[None]:
        with self.wells.frozen(host):
            yield

    @contextmanager
    def silent(self) -> Iterator[None]:
        self.fake.silent = True
        try:
            yield
        finally:
            self.fake.silent = False

    @contextmanager
    def request_open(self, host: str) -> Iterator[None]:
        """Do nothing: Cloudflare does not tell who has requests open."""
        yield


@dataclass
class DnsWorld(CloudflareWorld):
    """One name that leads to ``edge-a``, and beside it records of a person."""

    ttl: float = 300.0

    def spec(self, **options: Any) -> DirectorSpec:
        own = {
            "kind": "cloudflare_dns",
            "zone_id": ZONE,
            "name": NAME,
            "ttl": int(self.ttl),
            "check": {"port": self.wells.port, "path": "/healthz", "timeout": "200ms"},
            "targets": dict(self.wells.addresses),
        }
        return self.written(**{**own, **options})

    def director(self, **options: Any) -> CloudflareDnsDirector:
        spec = self.spec(**options)
        return CloudflareDnsDirector(spec, RESOURCE, NO_AGENTS, times=self.clock.times())

    def hasty_director(self) -> CloudflareDnsDirector:
        return self.director(admit_timeout="500ms")

    def rest(self) -> None:
        zone = self.fake.zone
        zone.records.clear()
        zone.limit, zone.plan = None, "free"
        zone.put("A", NAME, self.wells.addresses[SOURCE], ttl=int(self.ttl))
        zone.put("MX", NAME, "mail.example.com", comment="mail of the office")
        zone.put("A", f"other.{NAME}", "192.0.2.77")
        zone.put("TXT", f"_foreshadow.{NAME}", '"a note"', comment="a person's")
        zone.written.clear()
        self.fake.reset_calls()

    def served_by(self) -> set[str]:
        """Return the hosts to which a client is led."""
        led = {r["content"] for r in self.fake.zone.at(NAME, "A", "AAAA", "CNAME")}
        return {host for host, address in self.wells.addresses.items() if address in led}


@dataclass
class LbWorld(CloudflareWorld):
    """Pools with the origins of both hosts, and one of a person that is disabled."""

    used: tuple[str, ...] = POOLS

    def spec(self, **options: Any) -> DirectorSpec:
        own = {
            "kind": "cloudflare_lb",
            "account_id": ACCOUNT,
            "pools": list(self.used),
            "targets": {host: f"origin-{host}" for host in self.wells.addresses},
        }
        return self.written(**{**own, **options})

    def director(self, **options: Any) -> CloudflareLbDirector:
        spec = self.spec(**options)
        return CloudflareLbDirector(spec, RESOURCE, NO_AGENTS, times=self.clock.times())

    def hasty_director(self) -> CloudflareLbDirector:
        return self.director(admit_timeout="500ms")

    def rest(self) -> None:
        origins = [
            {
                "name": f"origin-{host}",
                "address": address,
                "port": self.wells.port,
                "enabled": host == SOURCE,
                "weight": 1 if host == SOURCE else 0,
                "header": {"Host": ["www.example.com"]},
            }
            for host, address in self.wells.addresses.items()
        ]
        person = {"name": "museum", "address": "192.0.2.77", "enabled": False, "weight": 0.5}
        for pool in self.used:
            self.fake.pools.put(pool, [*origins, person], description="the shop's origins")
        self.fake.pools.forget()
        self.fake.pools.written.clear()
        self.fake.reset_calls()

    def served_by(self) -> set[str]:
        """Return the hosts that get requests in any pool."""
        return {
            origin["name"].removeprefix("origin-")
            for pool in self.fake.pools.pools.values()
            for origin in pool["origins"]
            if origin.get("enabled", True) and origin.get("weight", 1)
        }


@dataclass
class OnePoolWorld(LbWorld):
    """The same with one pool."""

    used: tuple[str, ...] = POOLS[:1]


@contextmanager
def running_world(kind: type[CloudflareWorld], folder: Path) -> Iterator[Any]:
    """Run a world until the end of the block."""
    clock = Clock()
    token_file = folder / "cloudflare-token"
    token_file.write_text(f"{TOKEN}\n")
    with ExitStack() as stack:
        fake = stack.enter_context(running_cloudflare(clock.now))
        addresses = {host: loopback() for host in (SOURCE, DESTINATION)}
        wells = stack.enter_context(listening(addresses, free_port(addresses[SOURCE])))
        world = kind(fake, wells, clock, token_file)
        cast("Any", world).rest()
        yield world
