"""Switchovers back and forth on real DNS, under load by name: what clients lose, and when."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from foreshadow.domain.moves import Outcome, Switchover
from foreshadow.operations.switch import SwitchRequest, switch_over
from tests.support.dns_clients import DnsClients, Served
from tests.support.dns_daemons import running_daemons
from tests.support.dns_fleet import HOSTS, addresses_of, running_dns_fleet
from tests.support.fleet import NAME as RESOURCE
from tests.support.fleet import PORT


@dataclass
class Trial:
    """What came of it.

    :ivar seconds: of each switchover.
    :ivar apart: for each, the seconds between when the record says that the resolver followed
        and when it first gave the new address to a client.
    :ivar by_deactivated: answers of an old primary after it was taken out of service.
    """

    ttl: int
    seen: Served
    rate: float = 0.0
    moves: list[Switchover] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)
    by_deactivated: int = 0


def trial(folder: Path, kind: str, moves: int, rate: float, ttl: int = 5) -> Trial:
    """Move the resource so often, with clients at a rate, and return what came of it."""
    addresses = addresses_of()
    with running_daemons(folder, kind, [addresses[HOSTS[0]]], ttl) as daemons:
        with (
            running_dns_fleet(folder, addresses, daemons.director()) as fleet,
            DnsClients(daemons.resolver, PORT, rate) as clients,
        ):
            result = Trial(ttl, clients.seen)
            began = time.monotonic()
            time.sleep(1)
            for number in range(moves):
                request = SwitchRequest(resource=RESOURCE, to=HOSTS[1 - number % 2])
                switch_over(fleet.context, request).apply()
                (move,) = fleet.ledger.switchovers(RESOURCE, limit=1)
                if move.outcome is not Outcome.SWITCHED or move.error:
                    raise RuntimeError(f"move {number + 1}: {move.outcome}, {move.error}")
                result.moves.append(move)
            time.sleep(1)
            seconds = time.monotonic() - began
        result.rate = (clients.seen.ok + len(clients.seen.errors)) / seconds
    for move in result.moves:
        _measure(result, move, addresses)
    return result


def _measure(result: Trial, move: Switchover, addresses: dict[str, str]) -> None:
    assert move.ended_at is not None
    result.seconds.append(move.ended_at - move.started_at)
    by_name = {step.name: step for step in move.steps}
    (resolver,) = [row for row in move.convergence if not row.authoritative]
    assert resolver.converged_at is not None
    given = result.seen.first_given(addresses[move.destination], move.started_at)
    result.apart.append(abs(resolver.converged_at - given))
    following = [m.started_at for m in result.moves if m.started_at > move.started_at]
    out, until = by_name["retire"].started_at, min(following, default=float("inf"))
    result.by_deactivated += sum(
        host == move.source for at, host in result.seen.served if out < at < until
    )
