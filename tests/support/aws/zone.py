"""A hosted zone with a weighted record for each host, and a small service behind each of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

import boto3

from foreshadow.directors.route53 import Route53Director
from foreshadow.domain.clock import WallTime
from foreshadow.domain.spec import DirectorSpec
from foreshadow.wire.clock import system_time
from tests.support.agents import loopback
from tests.support.aws.records import Records
from tests.support.aws.server import Cloud

NAME = "www.shop.example."
TTL = 60
FAST = {
    "timeout": "1s", "poll": "20ms", "admit_timeout": "5s", "propagation": "0s", "armed_ttl": "10s"
}  # fmt: skip


@dataclass
class Site:
    """What a record leads to: answers its check unless it is unwell."""

    address: str
    well: bool = True
    port: int = 0

    @contextmanager
    def serving(self) -> Iterator[None]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if site.well else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody has to read of every check."""

        server = ThreadingHTTPServer((self.address, self.port), Handler)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@dataclass
class WeightedZone:
    """The zone.

    :ivar skew: seconds by which every director's wall clock is ahead.
    """

    cloud: Cloud
    records: Records
    zone: str
    sites: Mapping[str, Site]
    client: Any
    skew: list[float] = field(default_factory=lambda: [0.0])

    def director(
        self, clocks: Mapping[str, Any] = MappingProxyType({}), **options: Any
    ) -> Route53Director:
        """Return a director of it, as another run of a controller would have it.

        :param clocks: what it has for the clocks of the machine.
        """
        port = next(iter(self.sites.values())).port
        check = {"port": port, "path": "/healthz", "timeout": "500ms"}
        raw = {"kind": "route53", "zone": self.zone, "record": NAME, "check": check}
        spec = DirectorSpec.model_validate({**raw, **FAST, **options})
        return Route53Director(spec, "checkout", None, **{"now": self.now, **clocks})

    def now(self) -> WallTime:
        return WallTime(system_time() + self.skew[0])

    def rest(self, weights: Mapping[str, int] | None = None) -> None:
        """Give ``edge-a`` all traffic, and forget claims."""
        self.records.forget()
        self.skew[0] = 0.0
        for site in self.sites.values():
            site.well = True
        shares = weights or {"edge-a": 100}
        self.put(*(self.record(host, shares.get(host, 0)) for host in self.sites))
        self.records.history.clear()
        self.cloud.forget()

    def record(self, host: str, weight: int) -> dict[str, Any]:
        """Return the record of a host."""
        return {
            "Name": NAME, "Type": "A", "SetIdentifier": host, "Weight": weight, "TTL": TTL,
            "ResourceRecords": [{"Value": self.sites[host].address}],
        }  # fmt: skip

    def put(self, *records: Mapping[str, Any]) -> None:
        """Change records as a person would."""
        changes = [{"Action": "UPSERT", "ResourceRecordSet": record} for record in records]
        self.client.change_resource_record_sets(
            HostedZoneId=self.zone, ChangeBatch={"Changes": changes}
        )

    def weights(self) -> dict[str, int]:
        """Return the weights above 0."""
        return {host: weight for host, weight in self.records.weights(NAME).items() if weight}


@contextmanager
def weighted_zone(cloud: Cloud, records: Records) -> Iterator[WeightedZone]:
    """Give a zone with a record, and a site, for each of two hosts."""
    client = boto3.client("route53")
    made = client.create_hosted_zone(Name="shop.example", CallerReference="tests")["HostedZone"]
    sites = {host: Site(loopback()) for host in ("edge-a", "edge-b")}
    with ExitStack() as stack:
        for site in sites.values():
            site.port = next(iter(sites.values())).port
            stack.enter_context(site.serving())
        yield WeightedZone(cloud, records, made["Id"].rpartition("/")[2], sites, client)
