"""Room that is held on hosts for moves whose outcome is not known yet.

While a resource is on its way it needs its room at both ends; when it has arrived, the room at its
old primary is held until the move has shown what it is worth: for the cooldown, or until a drill
is home. Others see it as load, so that the way back stays open.
"""

from __future__ import annotations

from collections.abc import Iterator

from foreshadow.domain.clock import WallTime
from foreshadow.domain.moves import Switchover
from foreshadow.domain.spec import ResourceSpec
from foreshadow.operations import switch_drill as drill
from foreshadow.operations.context import Context

_MANY = 10_000
_LONGEST_MOVE = 3600.0
"""Seconds that a move may take: it is found by when it began."""


def reserved(context: Context, resource: str | None = None) -> dict[str, frozenset[str]]:
    """Return by host the resources that hold room on it and whose primary is elsewhere.

    :param resource: for whom it is asked: its own room is no load to it, nor is that of moves that
        began after its own, which see the room that it holds.
    """
    found: dict[str, set[str]] = {}
    for name, host in _held(context, resource):
        if context.ledger.primary(name) != host:
            found.setdefault(host, set()).add(name)
    return {host: frozenset(names) for host, names in found.items()}


def ahead_of(context: Context, resource: str | None) -> tuple[Switchover, ...]:
    """Return the moves of others that are under way and began before that of a resource, if any."""
    moves = context.ledger.unfinished()
    mine = next((move for move in moves if move.resource == resource), None)
    return tuple(
        move
        for move in moves
        if move.resource != resource and (mine is None or _began(move) < _began(mine))
    )


def _held(context: Context, resource: str | None) -> Iterator[tuple[str, str]]:
    """Yield resources and hosts on which they hold room."""
    for move in ahead_of(context, resource):
        yield move.resource, move.source
        yield move.resource, move.destination
    ledger, now = context.ledger, context.now()
    specs = {spec.name: spec for spec in ledger.resources() if spec.name != resource}
    longest = max((spec.policy.cooldown for spec in specs.values()), default=0.0)
    since = WallTime(now - longest - _LONGEST_MOVE)
    for move in ledger.switchovers(since=since, limit=_MANY, steps=False):
        spec = specs.get(move.resource)
        if spec is not None and _may_go_back(context, spec, move, now):
            yield move.resource, move.source


def _may_go_back(context: Context, spec: ResourceSpec, move: Switchover, now: WallTime) -> bool:
    if not move.pivoted or move.ended_at is None:
        return False
    if move.plan.drill:
        away = drill.away(context.ledger, spec.name)
        return away is not None and away.id == move.id
    return now - move.ended_at < spec.policy.cooldown


def _began(move: Switchover) -> tuple[float, str]:
    return (move.started_at, move.id)
