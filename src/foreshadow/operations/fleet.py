"""The fleet as it is now, for placement: from the ledger, the agents and the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points

from foreshadow.domain.clock import WallTime
from foreshadow.domain.drivers import INSTANCES
from foreshadow.domain.errors import ForeshadowError
from foreshadow.domain.fleet import Host
from foreshadow.domain.spec import ResourceSpec
from foreshadow.operations.context import Context
from foreshadow.operations.reservations import reserved
from foreshadow.placement.fleet import Amounts, Fleet, observers
from foreshadow.wire.gen.agent_pb2 import Peer, RoundTripsRequest

ROUND_TRIP_AGE = 900.0
"""Wall seconds after which a round trip is measured again."""

_PROBES = 5
_PATIENCE = 5.0
_AT_ONCE = 8


def read_fleet(
    context: Context,
    ranked: Iterable[str],
    peaks: Mapping[str, Amounts],
    trips: Mapping[tuple[str, str], float] | None = None,
) -> Fleet:
    """Return the fleet as the ledger has it.

    :param ranked: names of the resources whose history counts.
    :param peaks: by resource, the demand to plan for.
    :param trips: round trips that were measured just now, and are not in the ledger yet.
    """
    ledger = context.ledger
    specs = {spec.name: spec for spec in ledger.resources()}
    return Fleet(
        hosts=ledger.hosts(),
        specs=specs,
        primaries={name: ledger.primary(name) for name in specs},
        instances=ledger.instances(),
        peaks=peaks,
        round_trips={**ledger.round_trips(), **(trips or {})},
        reserved=reserved(context),
        pair_terms={name: ledger.pair_terms(name) for name in ranked},
        drivers=frozenset(entry_points(group=INSTANCES).names),
    )


def fresh_round_trips(
    context: Context, specs: Sequence[ResourceSpec]
) -> dict[tuple[str, str], float]:
    """Return how far the candidates are, as agents measure it, where that is not known or is old.

    Each primary's host and each load balancer measures for itself. An agent that does not answer
    is left out: until it does, zones stand in for its distances.
    """
    ledger, now = context.ledger, context.now()
    known = ledger.round_trips(since=WallTime(now - ROUND_TRIP_AGE))
    hosts = {host.name: host for host in ledger.hosts()}
    asked: dict[str, set[str]] = {}
    for spec in specs:
        for observer in observers(spec, ledger.primary(spec.name)):
            for name, host in hosts.items():
                if not host.relay and name != observer and (observer, name) not in known:
                    asked.setdefault(observer, set()).add(name)
    here = {name: peers for name, peers in asked.items() if name in hosts}
    if not here:
        return {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = pool.map(
            lambda item: _measure(context, item[0], [hosts[name] for name in sorted(item[1])]),
            sorted(here.items()),
        )
        return {pair: seconds for answer in answers for pair, seconds in answer.items()}


def _measure(
    context: Context, observer: str, peers: Sequence[Host]
) -> dict[tuple[str, str], float]:
    """Return the round trips from one host in seconds, without peers that did not answer it."""
    request = RoundTripsRequest(
        peers=[Peer(host=peer.name, address=peer.address, port=peer.port) for peer in peers],
        count=_PROBES,
    )
    try:
        client = context.access.client(observer)
        reply = client.call(client.agent.MeasureRoundTrips, request, timeout=_PATIENCE)
    except ForeshadowError:
        return {}
    return {(observer, row.host): row.seconds for row in reply.round_trips if row.seconds >= 0}
