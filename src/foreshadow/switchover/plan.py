"""A switchover as a pure value: what it saw and what it will do."""

from __future__ import annotations

import json

from blake3 import blake3

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import StalePlanError
from foreshadow.domain.moves import Plan, Seen
from foreshadow.domain.spec import ResourceSpec
from foreshadow.switchover.view import View

LIFETIME = 900.0
"""Seconds for which a plan holds."""

COMMIT = "commit"
"""The pivot: steps before it can be undone, steps after it only finished."""

HANDOVER, DELIVER = "handover", "deliver"
"""With ``pause_writes``: from the beginning of the first to the end of the second requests are
held. All traffic moves after the commit, so no write is acknowledged on a way that may be undone.
"""


def held_steps(plan: Plan) -> tuple[str, ...]:
    """Return the steps before the commit that are taken while requests are held; often none."""
    if HANDOVER not in plan.steps:
        return ()
    return plan.steps[plan.steps.index(HANDOVER) : plan.steps.index(COMMIT)]


def make_plan(
    view: View,
    now: WallTime,
    *,
    drill: bool = False,
    failover: bool = False,
    decision_id: str | None = None,
) -> Plan:
    """Return the plan for moving a resource in the world that was seen.

    A failover moves everything at once: there is nobody to share the traffic with. So it is with a
    director that cannot share it, such as a single record.
    """
    policy = view.spec.policy
    weights = (100,) if failover or not view.splits else policy.steps
    soak = 0.0 if failover else policy.soak
    instance = view.destination.instance
    return Plan(
        resource=view.spec.name,
        seen=Seen(
            spec=digest(view.spec),
            source=view.source.host,
            destination=view.destination.host,
            traffic=tuple(
                tuple(sorted((host, share) for host, share in servers[0].weights.items() if share))
                for servers in view.traffic
            ),
            shadow_state="absent" if instance is None else instance.state.value,
        ),
        steps=_steps(view, weights, soak, pausing=policy.pause_writes and not failover),
        weights=weights,
        soak=soak,
        drill=drill,
        failover=failover,
        decision_id=decision_id,
        expires_at=WallTime(now + LIFETIME),
    )


def _steps(view: View, weights: tuple[int, ...], soak: float, *, pausing: bool) -> tuple[str, ...]:
    sync, resync = (("sync",), ("resync",)) if view.spec.state else ((), ())
    converge = ("converge",) if view.cached else ()
    if pausing:
        return ("preflight", "fence", *sync, "activate", "admit", "prepare", HANDOVER, "promote",
                COMMIT, DELIVER, "retire", "persist", "demote", "freeze", *resync)  # fmt: skip
    kinds = ("shift", "soak") if soak else ("shift",)
    shifts = [f"{kind}-{weight}" for weight in weights for kind in kinds]
    before = ("preflight", "fence", *sync, "activate", "promote", "admit", *shifts, "verify")
    after = ("retire", "persist", "demote", "freeze", *resync)
    return (*before, *converge, "drain", COMMIT, *after)


def digest(spec: ResourceSpec) -> str:
    """Return the BLAKE3 of a spec with its defaults filled in, in hex."""
    return blake3(json.dumps(spec.plain(), sort_keys=True).encode()).hexdigest(16)


def require_fresh(plan: Plan, remade: Plan, now: WallTime) -> None:
    """Refuse a plan that is too old, or that was made in another world.

    :param remade: the same request planned now.
    :raises StalePlanError: naming what differs.
    """
    where = f"plan {plan.id}"
    if now >= plan.expires_at:
        raise StalePlanError("the plan has expired", where=where, remedy="plan again")
    if plan.id == remade.id:
        return
    before, after = plan.plain()["seen"], remade.plain()["seen"]
    changed = [key for key in before if before[key] != after[key]] or ["what it would do"]
    raise StalePlanError(
        f"the world has changed since it was made: {', '.join(changed)}",
        where=where,
        remedy="plan again",
    )
