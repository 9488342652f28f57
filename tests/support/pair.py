"""A pair of HAProxy processes before a small service on several hosts, all on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from foreshadow.directors.haproxy import HaproxyDirector
from foreshadow.domain.spec import DirectorSpec
from tests.support.agents import loopback
from tests.support.haproxy import Haproxy, free_port, running_haproxy, service, wait_until
from tests.support.relays import LocalAccess, local_relays
from tests.support.service import COMMAND, ENVIRONMENT

BACKEND = "app"
RESOURCE = "checkout"


@dataclass
class Running:
    """One instance of the service."""

    name: str
    where: str
    process: subprocess.Popen[bytes]

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def in_flight(self) -> int:
        """Return how many requests the service itself says that it has open."""
        return int(json.loads(fetch(f"http://{self.where}/inflight"))["in_flight"])


@contextmanager
def running_service(name: str, *options: str) -> Iterator[Running]:
    """Run the service, without any state, until the end of the block."""
    address = loopback()
    where = f"{address}:{free_port(address)}"
    process = subprocess.Popen(
        [*COMMAND, "--listen", where, "--state", "/none", "--name", name, *options],
        env={**os.environ, **ENVIRONMENT},
    )
    try:
        wait_until(lambda: fetch(f"http://{where}/healthz") == "ok", f"{name} to answer")
        yield Running(name, where, process)
    finally:
        process.kill()
        process.wait()


def fetch(url: str, timeout: float = 5.0) -> str:
    """Return the body that a URL answers with."""
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return str(answer.read().decode())


@dataclass
class Pair:
    """Two load balancers that share the traffic of one service.

    :ivar services: by host.
    :ivar fronts: ``address:port`` of each load balancer, as clients use them.
    """

    haproxies: dict[str, Haproxy]
    services: dict[str, Running]
    fronts: list[str]
    access: LocalAccess

    def spec(self, **options: Any) -> DirectorSpec:
        """Return the director as a person would write it."""
        written: dict[str, Any] = {
            "kind": "haproxy",
            "backend": BACKEND,
            "endpoints": [
                {"agent": name, "socket": str(haproxy.socket)}
                for name, haproxy in self.haproxies.items()
            ],
        }
        return DirectorSpec.model_validate({**written, **options})

    def director(self, **options: Any) -> HaproxyDirector:
        """Return a new director, as another run of the controller would have it."""
        return HaproxyDirector(self.spec(**options), RESOURCE, self.access.typed())

    def states(self, host: str) -> list[str]:
        """Return the status of a host's line at each load balancer, as HAProxy tells it."""
        rows = [
            line.split(",")
            for haproxy in self.haproxies.values()
            for line in haproxy.ask("show stat -1 4 -1").splitlines()
        ]
        return [row[17] for row in rows if row[:2] == [BACKEND, host]]

    def answers(self) -> list[str]:
        """Return which host answers a request at each load balancer."""
        return [fetch(f"http://{front}/").strip() for front in self.fronts]


@contextmanager
def running_pair(
    hosts: tuple[str, ...] = ("edge-a", "edge-b"),
    relay_timeout: float = 2.0,
    *,
    service_options: tuple[str, ...] = (),
    hold: bool = False,
    **variables: Any,
) -> Iterator[Pair]:
    """Run two load balancers and a service on each host; the first one has the traffic."""
    with ExitStack() as stack:
        services = {
            host: stack.enter_context(running_service(host, *service_options)) for host in hosts
        }
        servers = {host: running.where for host, running in services.items()}
        haproxies: dict[str, Haproxy] = {}
        fronts = []
        for name in ("lb-1", "lb-2"):
            address = loopback()
            bind = f"{address}:{free_port(address)}"
            entry = service(BACKEND, bind, hosts[0], servers, hold=hold)
            haproxies[name] = stack.enter_context(running_haproxy([entry], **variables))
            fronts.append(bind)
        sockets = {name: [haproxy.socket] for name, haproxy in haproxies.items()}
        access = stack.enter_context(local_relays(sockets, relay_timeout))
        pair = Pair(haproxies, services, fronts, access)
        wait_until(lambda: _answering(pair, hosts[0]), "both load balancers to serve")
        yield pair


def _answering(pair: Pair, host: str) -> bool:
    try:
        return pair.answers() == [host] * len(pair.fronts)
    except urllib.error.HTTPError:
        return False
