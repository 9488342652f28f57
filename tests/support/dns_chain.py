"""A pair of real HAProxy behind a record: moved there, and turned back half-way, under load."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from foreshadow.directors.rfc2136 import Rfc2136Director
from foreshadow.domain.errors import RolledBackError
from foreshadow.domain.moves import Outcome, Switchover
from foreshadow.operations.switch import SwitchRequest, switch_over
from tests.support.agents import loopback
from tests.support.dns_clients import DnsClients
from tests.support.fleet import NAME as RESOURCE
from tests.support.fleet import PORT, Fleet, running_fleet
from tests.support.haproxy import wait_until

HOSTS = ("edge-a", "edge-b")
Shown = dict[str, Mapping[str, int]]


@dataclass
class Chain:
    """A fleet whose clients find a load balancer by name: the one that stands beside the primary.

    :ivar turns: for each time the name was made to lead elsewhere, the host whose load balancer it
        was led to, and what the load balancers showed at that moment.
    """

    fleet: Fleet
    turns: list[tuple[str, Shown]] = field(default_factory=list)

    def shown(self) -> Shown:
        """Return the weights at each load balancer."""
        pair, _ = self.fleet.context.directors(self.fleet.spec)
        return {endpoint.name: endpoint.weights for endpoint in pair.read()}

    def move(self) -> Switchover:
        """Move the service to the other host."""
        self.fleet.wait_for_state(HOSTS[1])
        switch_over(self.fleet.context, SwitchRequest(resource=RESOURCE, to=HOSTS[1])).apply()
        return self.fleet.ledger.switchovers(RESOURCE, limit=1)[0]

    def turn_back(self) -> Switchover:
        """Begin the same move while the primary has a request that does not end in time."""
        instances = self.fleet.ledger.instances(RESOURCE)
        (primary,) = [one.address for one in instances if one.host == HOSTS[0]]
        with socket.create_connection((primary, PORT), 5.0) as slow:
            slow.sendall(b"GET /slow?seconds=300 HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(RolledBackError, match="still has requests open"):
                self.move()
        return self.fleet.ledger.switchovers(RESOURCE, limit=1)[0]


def front_addresses() -> dict[str, str]:
    """Return, by host, the address of the load balancer beside it."""
    return {host: loopback() for host in HOSTS}


@contextmanager
def running_chain(
    folder: Path,
    fronts: Mapping[str, str],
    director: Mapping[str, Any],
    patch: pytest.MonkeyPatch,
) -> Iterator[Chain]:
    """Run it until the end of the block; the name leads to the first load balancer already.

    :param director: the name's options, without check and targets.
    """
    name = {
        "kind": "rfc2136",
        "check": {"port": PORT, "path": "/healthz"},
        "targets": dict(fronts),
        **director,
    }
    listen = [f"{address}:{PORT}" for address in fronts.values()]
    drain = {"source": "service", "path": "/inflight", "timeout": "5s"}
    service, policy = {"drain": drain}, {"soak": 0}
    with running_fleet(
        folder, HOSTS, fronts=listen, outer=[name], service=service, policy=policy
    ) as fleet:
        chain = Chain(fleet)
        apply = Rfc2136Director.apply

        def noted(self: Rfc2136Director, weights: Mapping[str, int], token: int) -> None:
            if not self.converged(weights):
                (host,) = weights
                chain.turns.append((host, chain.shown()))
            apply(self, weights, token)

        patch.setattr(Rfc2136Director, "apply", noted)
        yield chain


def prove(chain: Chain, clients: DnsClients) -> None:
    """Turn back half-way, then move; the name never leads to what is not ready.

    On the way there the load balancers come first, on the way back last.
    """
    there = {name: {HOSTS[1]: 100} for name in chain.shown()}
    wait_until(lambda: clients.seen.ok > 20, "clients to be served")
    turned_back = chain.turn_back()
    assert turned_back.outcome is Outcome.ROLLED_BACK
    assert chain.turns == [(HOSTS[1], there), (HOSTS[0], there)]
    assert chain.shown() == {name: {HOSTS[0]: 100} for name in there}
    chain.turns.clear()
    moved = chain.move()
    assert (moved.outcome, moved.error) == (Outcome.SWITCHED, None)
    assert chain.turns == [(HOSTS[1], there)]
    chain.fleet.assert_agreement(HOSTS[1], HOSTS[:1])
