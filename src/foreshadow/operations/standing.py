"""How a resource stands: what the guards and the choice of a destination look at."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from foreshadow.domain.clock import WallTime
from foreshadow.domain.decision import Ranked
from foreshadow.domain.errors import ForeshadowError
from foreshadow.domain.fleet import Role
from foreshadow.domain.moves import Outcome, Switchover
from foreshadow.domain.spec import ResourceSpec
from foreshadow.ledger.holder import is_dead
from foreshadow.operations.context import Context
from foreshadow.operations.machines import machines
from foreshadow.operations.reservations import ahead_of
from foreshadow.operations.switch_drill import drilled_at
from foreshadow.operations.sync_calls import SyncCalls
from foreshadow.policy.destinations import Candidate
from foreshadow.policy.failure_domains import shared_trouble
from foreshadow.policy.flapping import Moved
from foreshadow.policy.guards import Facts

_DAY = 86400.0
_MANY = 10_000
_MOVED = {Outcome.SWITCHED, Outcome.REVERSED, Outcome.RECOVERED, Outcome.ROLLED_BACK}


def facts_of(context: Context, spec: ResourceSpec) -> Facts:
    """Return the facts for the guards, as the ledger and the directors have them."""
    actor, drift = _actor(context, spec.name), _drift(context, spec)
    return replace(recorded_facts(context, spec), actor=actor, drift=drift)


def recorded_facts(context: Context, spec: ResourceSpec) -> Facts:
    """Return the facts that the ledger has, without who acts now and what the directors show."""
    ledger, name, now = context.ledger, spec.name, context.now()
    control, moves = ledger.control(), _made(ledger.switchovers(name, steps=False))
    today = ledger.switchovers(since=WallTime(now - _DAY), limit=_MANY, steps=False)
    return Facts(
        now=now,
        policy=spec.policy,
        blackouts=spec.blackouts,
        paused=control.pause_of(name),
        arrived_at=moves[0].at if moves else None,
        moves_today=len(_made(today)),
        moves=moves,
        acknowledged=control.acknowledged.get(name),
        moved_at=_moved_at(context, name),
        others_moving=len({move.resource for move in ahead_of(context, name)}),
    )


def _made(moves: Sequence[Switchover]) -> tuple[Moved, ...]:
    """Return the moves that were made, in their order; drills are none."""
    return tuple(
        Moved(move.source, move.destination, move.ended_at or move.started_at)
        for move in moves
        if move.pivoted and not move.plan.drill
    )


def candidates(
    context: Context, spec: ResourceSpec, ranked: Sequence[Ranked], peaks: Mapping[str, float]
) -> list[Candidate]:
    """Return the hosts that have a shadow, in the order of the ranking.

    :param peaks: by kind, the demand that is forecast.
    """
    ledger = context.ledger
    instances = ledger.instances(spec.name)
    shadows = {i.host for i in instances if i.role is Role.SHADOW}
    moves = _made(ledger.switchovers(spec.name, steps=False))
    left = {move.source: move.at for move in reversed(moves)}
    troubles = troubles_of(context, spec, shadows)
    fresh = captured(context, spec) if spec.state and shadows else {}
    return [
        Candidate(
            ranked=row,
            captured_at=fresh.get(row.host),
            drilled_at=drilled_at(ledger, spec.name, row.host),
            utilization=utilization(context, row.host, peaks),
            left_at=left.get(row.host),
            trouble=troubles[row.host],
        )
        for row in ranked
        if row.host in shadows
    ]


def troubles_of(
    context: Context, spec: ResourceSpec, destinations: Collection[str]
) -> dict[str, str]:
    """Return why a resource would fare no better on each destination, in words, or nothing."""
    if not destinations:
        return {}
    source = context.ledger.primary(spec.name)
    known = {instance.host for instance in context.ledger.instances(spec.name)}
    asked = sorted({source, *destinations, *known})
    found = machines(context, spec, asked, spec.triggers.utilization)
    return {
        host: shared_trouble(found[host], found[source], list(found.values()))
        for host in destinations
    }


def captured(context: Context, spec: ResourceSpec) -> dict[str, WallTime]:
    """Return of when the state of each shadow is: as its source says, else as the ledger knows."""
    known = context.ledger.acknowledgements(spec.name)
    found = {host: row.captured_at for host, row in known.items()}
    try:
        calls = SyncCalls(context, spec.name, context.ledger.primary(spec.name))
        rows = [calls.acknowledged(result) for result in calls.status().results]
    except ForeshadowError:
        return found
    for row in rows:
        if row is not None:
            found[row.host] = max(row.captured_at, found.get(row.host, row.captured_at))
    return found


def utilization(context: Context, host: str, peaks: Mapping[str, float]) -> float | None:
    """Return the share of a host that a demand takes, of the kind that is the tightest."""
    limits = context.ledger.host(host).capacity.limits()
    shares = [peak / limits[kind] for kind, peak in peaks.items() if kind in limits]
    return max(shares, default=None)


def _actor(context: Context, resource: str) -> str | None:
    unfinished = context.ledger.unfinished(resource)
    if unfinished:
        return f"switchover {unfinished[0].id}"
    lease = context.ledger.lease(resource)
    if lease is None or lease.expires_at <= context.now() or is_dead(lease.holder):
        return None
    return lease.holder


def _moved_at(context: Context, resource: str) -> WallTime | None:
    for move in context.ledger.switchovers(resource, steps=False):
        if move.outcome in _MOVED and not move.plan.drill:
            return move.ended_at
    return None


def _drift(context: Context, spec: ResourceSpec) -> str:
    """Return how traffic differs from all of it on the primary, in words."""
    primary = context.ledger.primary(spec.name)
    try:
        ends = [end for director in context.directors(spec) for end in director.read()]
    except ForeshadowError as error:
        return f"where traffic goes cannot be read ({error})"
    for end in ends:
        served = {host: weight for host, weight in end.weights.items() if weight}
        if end.drift:
            return f"{end.name}: {end.drift}"
        if set(served) != {primary}:
            told = ", ".join(f"{w} % to {h}" for h, w in sorted(served.items())) or "nothing"
            return f"{end.name} sends {told}, not all to the primary {primary}"
    return ""
