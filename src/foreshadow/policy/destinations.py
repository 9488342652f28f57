"""Where to: the best-ranked shadow that is fresh, proven, and really better off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foreshadow.domain.clock import WallTime
from foreshadow.domain.decision import Block, Blocked, Ranked
from foreshadow.domain.spec import PolicyMode, PolicySpec
from foreshadow.domain.units import format_duration


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host with a shadow.

    :ivar captured_at: wall time of the capture that it acknowledged last; ``None``: none yet.
    :ivar drilled_at: wall time of the last drill to it that came home.
    :ivar utilization: what is forecast for the resource there; ``None`` when it cannot be told.
    :ivar left_at: wall time at which the resource left it last; ``None``: it never was there.
    :ivar trouble: why it would fare no better there, whatever is forecast; empty: nothing.
    """

    ranked: Ranked
    captured_at: WallTime | None = None
    drilled_at: WallTime | None = None
    utilization: float | None = None
    left_at: WallTime | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """What a destination has to offer.

    :ivar max_staleness: seconds; ``None`` where the resource has no state to lose.
    :ivar utilization: what is forecast for the resource where it is.
    :ivar threshold: of the utilization.
    """

    now: WallTime
    policy: PolicySpec
    max_staleness: float | None = None
    utilization: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The destination, and what stands against it; ``None`` when there is no shadow at all."""

    destination: Ranked | None
    blocks: tuple[Blocked, ...] = ()


def choose(candidates: Sequence[Candidate], need: Need) -> Choice:
    """Return the best candidate against which nothing stands, else the best and what does.

    :param candidates: the best first.
    """
    if not candidates:
        return Choice(None, (Blocked(Block.NO_SHADOW, "no host has a shadow of it"),))
    choices = [Choice(c.ranked, tuple(_against(c, need))) for c in candidates]
    return next((choice for choice in choices if not choice.blocks), choices[0])


def _against(candidate: Candidate, need: Need) -> Iterator[Blocked]:
    host, rejected = candidate.ranked.host, candidate.ranked.rejected
    if rejected is not None:
        by = Block.CAPACITY if rejected.rule == Block.CAPACITY else Block.NO_SHADOW
        yield Blocked(by, f"the shadow on {host} cannot take over: {rejected.reason}")
    yield from _stale(candidate, need)
    yield from unproven(host, candidate.drilled_at, need.policy, need.now)
    if candidate.trouble:
        yield Blocked(Block.NO_BENEFIT, candidate.trouble)
    yield from _no_benefit(candidate, need)


def unproven(
    host: str, drilled_at: WallTime | None, policy: PolicySpec, now: WallTime
) -> Iterator[Blocked]:
    """Yield that automation asks for a drill to a host that is younger than the last one."""
    wanted = policy.drill_max_age
    if policy.mode is not PolicyMode.AUTOMATIC or wanted is None:
        return
    if drilled_at is None or now - drilled_at > wanted:
        yield Blocked(
            Block.DRILL,
            f"no drill to {host} in the last {format_duration(wanted)} has proved the way",
        )


def _stale(candidate: Candidate, need: Need) -> Iterator[Blocked]:
    host = candidate.ranked.host
    if need.max_staleness is None:
        return
    if candidate.captured_at is None:
        yield Blocked(Block.STALENESS, f"the shadow on {host} has received no state yet")
        return
    age = need.now - candidate.captured_at
    if age > need.max_staleness:
        yield Blocked(
            Block.STALENESS,
            f"the state on {host} is {format_duration(age)} old, "
            f"max_staleness is {format_duration(need.max_staleness)}",
        )


def _no_benefit(candidate: Candidate, need: Need) -> Iterator[Blocked]:
    host, there = candidate.ranked.host, candidate.utilization
    if there is None:
        return
    back_below = _back_below(candidate, need)
    if back_below is not None and there >= back_below:
        yield Blocked(
            Block.NO_BENEFIT,
            f"{host} was left {_ago(candidate, need)} ago and would be at {there:.2f}; it is gone "
            f"back to below {back_below:.2f}",
        )
    elif need.threshold is not None and there >= need.threshold:
        yield Blocked(
            Block.NO_BENEFIT,
            f"{host} would be at {there:.2f} too, the threshold is {need.threshold:.2f}",
        )
    elif need.utilization is not None and there >= need.utilization:
        yield Blocked(
            Block.NO_BENEFIT,
            f"{host} would be at {there:.2f}, no better than {need.utilization:.2f} here",
        )


def _back_below(candidate: Candidate, need: Need) -> float | None:
    """Return the threshold for going back to a host that was left lately; ``None`` for others."""
    if need.threshold is None or candidate.left_at is None:
        return None
    if need.now - candidate.left_at >= need.policy.flap_window:
        return None
    return need.threshold * (1 - need.policy.hysteresis)


def _ago(candidate: Candidate, need: Need) -> str:
    return format_duration(need.now - (candidate.left_at or need.now))
