"""Comparing the destination with the source while it carries its share of the traffic."""

from __future__ import annotations

from foreshadow.domain.errors import ServiceError, UnknownNameError
from foreshadow.switchover.comparison import Counts, Tally, worse
from foreshadow.switchover.stage import Stage


def refuse_worse(stage: Stage, counts: Counts, promised: float | None) -> None:
    """Refuse to go on with a destination that serves clients worse than it may.

    :param counts: what was counted while it had its present share.
    :raises ServiceError: which tells in what, with the figures.
    """
    shadow, primary = counts.tally(stage.destination), usual(stage, counts)
    reason = worse(shadow, primary, stage.spec.policy.soak_limits, promised)
    if reason:
        raise ServiceError(
            f"serves clients worse than {stage.source}: {reason}",
            where=f"{stage.resource} on {stage.destination}",
            remedy="look at the service there, or change policy.soak_limits",
        )


def usual(stage: Stage, counts: Counts) -> Tally:
    """Return what is known of the source: of this while, of this switchover, or of all before.

    A source that carries too little now is compared by what it served before.
    """
    enough = stage.spec.policy.soak_limits.requests
    for tally in (counts.tally(stage.source), stage.counts.tally(stage.source)):
        if tally.requests >= enough:
            return tally
    return stage.counts.ever(stage.source)


def promised_latency(stage: Stage) -> float | None:
    """Return the seconds below which the decision said that the latency would be; else ``None``."""
    if stage.plan.decision_id is None:
        return None
    try:
        decision = stage.ledger.decision(stage.plan.decision_id)
    except UnknownNameError:
        return None  # older than the ledger keeps decisions
    threshold = (decision["signals"].get("latency") or {}).get("threshold")
    return None if threshold is None else float(threshold)


def told(stage: Stage, counts: Counts) -> str:
    """Return what both served, for the journal."""
    if not counts.counted:
        return "nothing is counted"
    limits = stage.spec.policy.soak_limits
    shadow = counts.tally(stage.destination)
    few = "" if shadow.requests >= limits.requests else ", too few to compare"
    return f"{stage.destination} {shadow}{few}; {stage.source} {usual(stage, counts)}"
