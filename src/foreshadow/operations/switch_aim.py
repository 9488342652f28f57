"""What a request for a switchover asks for, in terms of one move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from foreshadow.domain.clock import WallTime, parse_instant
from foreshadow.domain.decision import Block, Verdict
from foreshadow.domain.errors import RefusedError, SpecError, StalePlanError
from foreshadow.domain.moves import Outcome, Plan, Switchover
from foreshadow.domain.units import format_duration
from foreshadow.ledger import Ledger
from foreshadow.switchover.plan import LIFETIME

State = Literal["planned", "switched", "reversed", "recovered"]


@dataclass(frozen=True, slots=True)
class SwitchRequest:
    """What a person or a playbook asks for: the options of the module ``switchover``.

    Exactly one of ``to``, ``plan_id`` and ``decision_id`` says where to; ``reversed`` takes
    ``switchover_id`` instead, and ``recovered`` none of them.
    """

    resource: str | None = None
    to: str | None = None
    plan_id: str | None = None
    decision_id: str | None = None
    switchover_id: str | None = None
    state: State = "switched"
    drill: bool = False
    failover: bool = False


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a resource is to be moved, and on whose word.

    :ivar outcome: what the completed move is called.
    :ivar decision_id: the decision that asks for it; ``None`` when a person does.
    :ivar plan: a plan that was made before, and has to hold still.
    """

    destination: str
    outcome: Outcome = Outcome.SWITCHED
    decision_id: str | None = None
    plan: Plan | None = None
    drill: bool = False
    failover: bool = False


def refuse_misfits(request: SwitchRequest) -> None:
    """Refuse what a recovery would not heed: it ends what was left, and moves nothing.

    :raises SpecError: naming the options.
    """
    ignored = ("to", "plan_id", "decision_id", "switchover_id", "drill", "failover")
    given = [name for name in ignored if getattr(request, name)]
    if given:
        raise SpecError(
            f"does not heed {' and '.join(given)}",
            where="switchover, state recovered",
            remedy="leave that out, or move with state switched afterwards",
        )


def aim_of(ledger: Ledger, resource: str, request: SwitchRequest, now: WallTime) -> Aim:
    """Return what a request asks for.

    :raises SpecError: when its options do not fit together, or name what is not there.
    :raises RefusedError: when the decision or the plan that it names does not ask for a move now.
    """
    named = ("to", "plan_id", "decision_id", "switchover_id")
    given = [name for name in named if getattr(request, name) is not None]
    if request.drill and (request.failover or request.state == "reversed"):
        raise _misfit(resource, "a drill goes to a shadow and comes back: give drill alone")
    if request.state == "reversed":
        if given != ["switchover_id"]:
            raise _misfit(resource, "state reversed takes switchover_id, and only that")
        return _reversed(ledger, resource, request)
    if len(given) != 1 or given == ["switchover_id"]:
        raise _misfit(resource, "give exactly one of to, plan_id and decision_id")
    if request.plan_id is not None:
        return _of_plan(ledger, resource, request)
    if request.decision_id is not None:
        return _of_decision(ledger, resource, request, now)
    destination = ledger.host(str(request.to))
    if destination.relay:
        raise SpecError(
            "is a load balancer's host, which carries no instances",
            where=f"host {destination.name}",
            remedy=f"move {resource} to one with a shadow",
        )
    return Aim(destination.name, drill=request.drill, failover=request.failover)


def _reversed(ledger: Ledger, resource: str, request: SwitchRequest) -> Aim:
    earlier: Switchover = ledger.switchover(str(request.switchover_id))
    _same_resource(resource, earlier.resource, f"switchover {earlier.id}")
    primary = ledger.primary(resource)
    if earlier.outcome is not None and primary not in (earlier.source, earlier.destination):
        raise RefusedError(
            f"the primary has moved on to {primary} since",
            where=f"switchover {earlier.id}",
            remedy=f"move it with to: {earlier.source}",
        )
    return Aim(earlier.source, Outcome.REVERSED, failover=request.failover)


def _of_plan(ledger: Ledger, resource: str, request: SwitchRequest) -> Aim:
    plan = ledger.plan(str(request.plan_id))
    _same_resource(resource, plan.resource, f"plan {plan.id}")
    return Aim(
        plan.seen.destination,
        decision_id=plan.decision_id,
        plan=plan,
        drill=plan.drill,
        failover=plan.failover,
    )


def _of_decision(ledger: Ledger, resource: str, request: SwitchRequest, now: WallTime) -> Aim:
    decision: dict[str, Any] = ledger.decision(str(request.decision_id))
    where = f"decision {decision['id']}"
    _same_resource(resource, decision["resource"], where)
    # In manual mode nothing but the mode stands against it: then it may be planned, for approval.
    planned = request.state == "planned" and decision["blocked_by"] == [Block.MODE]
    wanted = decision["verdict"] == Verdict.SWITCH or planned
    if not wanted or decision["destination"] is None:
        reasons = "; ".join(decision["reasons"]) or "no reason given"
        raise RefusedError(f"its verdict is {decision['verdict']}: {reasons}", where=where)
    age = now - parse_instant(decision["decided_at"])
    if age > LIFETIME:
        raise StalePlanError(
            f"is {format_duration(age)} old", where=where, remedy="evaluate the resource again"
        )
    destination = decision["destination"]["host"]
    return Aim(
        destination, decision_id=decision["id"], drill=request.drill, failover=request.failover
    )


def _same_resource(resource: str, other: str, where: str) -> None:
    if resource != other:
        raise SpecError(f"is about {other}, not {resource}", where=where, remedy="name the other")


def _misfit(resource: str, problem: str) -> SpecError:
    return SpecError(problem, where=f"switchover of {resource}")
