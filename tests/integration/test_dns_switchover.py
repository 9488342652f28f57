"""A service that is found by name, moved there and back under load: agents, DNS, a resolver."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import dns.name
import dns.tsig
import pytest

from foreshadow.directors.rfc2136_options import Server
from foreshadow.domain.moves import Outcome
from foreshadow.operations.switch import SwitchRequest, switch_over
from tests.support.dns_chain import front_addresses, prove, running_chain
from tests.support.dns_clients import DnsClients
from tests.support.dns_fleet import HOSTS, addresses_of, running_dns_fleet
from tests.support.dns_server import Resolver, Secondary, Zone, serving
from tests.support.dns_world import KEY, NAME, SECRET, ZONE
from tests.support.fleet import NAME as RESOURCE
from tests.support.fleet import PORT

TTL = 2


def _zone(address: str) -> Zone:
    """Return a zone whose name leads to an address."""
    zone = Zone(ZONE, dns.tsig.Key(dns.name.from_text(KEY), SECRET, "hmac-sha256."))
    zone.put(NAME, "A", TTL, address)
    return zone


def _director(server: Server, resolver: Server, *others: Server) -> dict[str, Any]:
    """Return the options of a director, whose key is in the environment."""
    return {
        "zone": ZONE,
        "name": NAME,
        "server": str(server),
        "servers": [str(other) for other in others],
        "resolvers": [str(resolver)],
        "key": {"name": KEY, "environment": "DNS_KEY"},
    }


def test_moved_by_name_there_and_back_no_request_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DNS_KEY", SECRET)
    addresses = addresses_of()
    zone = _zone(addresses[HOSTS[0]])
    secondary = Secondary(zone)
    secondary.lag = 0.3
    with serving(zone.answer, zone.key) as first, serving(secondary.answer) as second:
        resolver = Resolver(first.server)
        with serving(resolver.answer) as named:
            director = _director(first.server, named.server, second.server)
            with (
                running_dns_fleet(tmp_path, addresses, director) as fleet,
                DnsClients(named.server, PORT, 40.0, clients=4) as clients,
            ):
                request = SwitchRequest(resource=RESOURCE, to=HOSTS[1], state="planned")
                planned = switch_over(fleet.context, request).preview["switchover"]["plan"]
                assert "converge" in planned["steps"]
                assert planned["weights"] == [100]
                time.sleep(0.5)
                for host in (HOSTS[1], HOSTS[0]):
                    switch_over(fleet.context, SwitchRequest(resource=RESOURCE, to=host)).apply()
                moves = fleet.ledger.switchovers(RESOURCE)
    assert clients.seen.errors == []
    assert clients.seen.ok > 100
    assert {host for _, host in clients.seen.served} == set(HOSTS)
    for move in moves:
        assert (move.outcome, move.error) == (Outcome.SWITCHED, None)
        assert [row.authoritative for row in move.convergence] == [True, True, False]
        times = [row.converged_at for row in move.convergence if row.converged_at is not None]
        assert len(times) == 3
        assert times[0] <= times[1]
        given = clients.seen.first_given(addresses[move.destination], move.started_at)
        assert abs(times[2] - given) < 3.0  # a second where the machine has nothing else to do
        drained = next(step for step in move.steps if step.name == "drain")
        assert drained.started_at >= times[0] + TTL
    assert SECRET not in Path(tmp_path / "ledger.db").read_bytes().decode("latin-1")


def test_load_balancers_behind_a_name_turn_first_there_and_last_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DNS_KEY", SECRET)
    fronts = front_addresses()
    zone = _zone(fronts[HOSTS[0]])
    with serving(zone.answer, zone.key) as first:
        resolver = Resolver(first.server)
        with serving(resolver.answer) as named:
            director = _director(first.server, named.server)
            with (
                running_chain(tmp_path, fronts, director, monkeypatch) as chain,
                DnsClients(named.server, PORT, 40.0, clients=4) as clients,
            ):
                prove(chain, clients)
    assert clients.seen.errors == []
    assert {host for _, host in clients.seen.served} == set(HOSTS)
