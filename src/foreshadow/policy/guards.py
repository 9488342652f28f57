"""What stands against moving a resource now, wherever to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from foreshadow.domain.clock import WallTime
from foreshadow.domain.decision import Block, Blocked
from foreshadow.domain.spec import PolicyMode, PolicySpec
from foreshadow.domain.units import format_duration
from foreshadow.domain.windows import WindowSpec
from foreshadow.policy.flapping import Moved, flapped
from foreshadow.policy.windows import shut


@dataclass(frozen=True, slots=True)
class Facts:
    """What the guards look at; all times are wall time.

    :ivar paused: that a person has paused this resource, or everything, in words; empty: nobody.
    :ivar actor: who moves this resource now, or what an interrupted run left; ``None``: nobody.
    :ivar moved_at: when the last move of the resource ended, well or not; drills do not count.
    :ivar arrived_at: when it came to the host that it is on; ``None``: it was always there.
    :ivar moves_today: how many moves the whole ledger has seen in the last day, without drills.
    :ivar moves: those of this resource, without drills.
    :ivar acknowledged: until when a person has looked at what happened to it.
    :ivar others_moving: how many other resources are being moved now.
    :ivar blackouts: when nothing may be moved, beside ``policy.windows``.
    :ivar drift: how traffic differs from what the ledger says, in words; empty: it does not.
    """

    now: WallTime
    policy: PolicySpec
    paused: str = ""
    actor: str | None = None
    moved_at: WallTime | None = None
    others_moving: int = 0
    drift: str = ""
    arrived_at: WallTime | None = None
    moves_today: int = 0
    moves: tuple[Moved, ...] = ()
    acknowledged: WallTime | None = None
    blackouts: tuple[WindowSpec, ...] = ()


def guards(facts: Facts) -> tuple[Blocked, ...]:
    """Return each reason against a move, in the order in which a person would deal with them."""
    return tuple(_guards(facts))


def _guards(facts: Facts) -> Iterator[Blocked]:
    if facts.paused:
        yield Blocked(Block.PAUSED, facts.paused)
    if facts.actor is not None:
        yield Blocked(Block.IN_PROGRESS, f"a switchover is under way ({facts.actor})")
    if facts.drift:
        yield Blocked(Block.DRIFT, facts.drift)
    closed = shut(facts.policy.windows, facts.blackouts, facts.now)
    if closed is not None:
        yield Blocked(Block.WINDOW, closed.reason)
    cooled = (facts.moved_at or 0.0) + facts.policy.cooldown
    if facts.moved_at is not None and facts.now < cooled:
        left, ago = format_duration(cooled - facts.now), format_duration(facts.now - facts.moved_at)
        yield Blocked(Block.COOLDOWN, f"it was moved {ago} ago; the cooldown ends in {left}")
    yield from _too_often(facts)
    if facts.others_moving >= facts.policy.max_concurrent:
        yield Blocked(
            Block.CONCURRENCY,
            f"{facts.others_moving} other resources are being moved, "
            f"max_concurrent is {facts.policy.max_concurrent}",
        )
    match facts.policy.mode:
        case PolicyMode.FORECAST_ONLY:
            yield Blocked(Block.MODE, "policy.mode is forecast_only: nothing is switched by itself")
        case PolicyMode.MANUAL:
            yield Blocked(Block.MODE, "policy.mode is manual: plan it, and have a person approve")


def _too_often(facts: Facts) -> Iterator[Blocked]:
    policy = facts.policy
    stayed = None if facts.arrived_at is None else facts.now - facts.arrived_at
    if stayed is not None and stayed < policy.min_stay:
        least = format_duration(policy.min_stay)
        yield Blocked(Block.COOLDOWN, f"it came {format_duration(stayed)} ago, min_stay is {least}")
    most = policy.max_moves_per_day
    if most is not None and facts.moves_today >= most:
        yield Blocked(
            Block.COOLDOWN,
            f"{facts.moves_today} moves were made in the last day, max_moves_per_day is {most}",
        )
    if flapped(facts.moves, policy.flap_window, facts.acknowledged):
        yield Blocked(
            Block.FLAPPING,
            f"it went back twice within {format_duration(policy.flap_window)}; look why, then "
            "acknowledge it with control",
        )
