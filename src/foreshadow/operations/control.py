"""What a person decides: pauses, approvals, acknowledgements, and the weights of placement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from foreshadow.domain.change import Change
from foreshadow.domain.clock import WallTime, isoformat, parse_instant
from foreshadow.domain.control import Control, ControlState
from foreshadow.domain.decision import Block
from foreshadow.domain.errors import SpecError, StalePlanError
from foreshadow.domain.problems import first_problem
from foreshadow.domain.spec import WeightsSpec
from foreshadow.operations.context import Context
from foreshadow.placement.weights import normalised

_TOLD = {Block.FLAPPING.value, Block.DRIFT.value}
"""What a decision may be blocked by that asks for a person to look."""


def set_control(
    context: Context,
    state: str,
    resource: str | None = None,
    plan_id: str | None = None,
    weights: Mapping[str, Any] | None = None,
) -> Change:
    """Put a person's decision in force.

    - ``paused`` / ``resumed``: nothing is switched by itself, for the resource or for all. A
      global ``resumed`` leaves a resource paused that was paused by name, and the reverse.
    - ``approved``: the plan may be applied.
    - ``acknowledged``: a person has looked at what happened to the resource, or to any; without
      anything new since the last time there is nothing to do.
    - ``pinned``: these affinity weights hold, and learning does not move them.
    - ``reset``: pinned and learned weights are forgotten; those of the spec hold again.

    :return: ``control``: what is in force.
    :raises SpecError: when the arguments do not fit the state, or a name is unknown.
    :raises StalePlanError: when the plan to approve has expired.
    """
    wanted = _state(state)
    _refuse_misfits(wanted, resource, plan_id, weights)
    if resource is not None:
        context.ledger.resource(resource)
    if wanted is ControlState.RESET:
        return _reset(context, resource)
    alter = _alteration(context, wanted, resource, plan_id, weights)
    before = context.ledger.control()
    after = alter(before).plain()

    def perform() -> dict[str, Any]:
        return {"control": context.ledger.change_control(alter).plain()}

    return Change({"control": before.plain()}, {"control": after}, {"control": after}, perform)


def _alteration(
    context: Context,
    wanted: ControlState,
    resource: str | None,
    plan_id: str | None,
    weights: Mapping[str, Any] | None,
) -> Callable[[Control], Control]:
    match wanted:
        case ControlState.PAUSED:
            return lambda control: control.pause(resource)
        case ControlState.RESUMED:
            return lambda control: control.resume(resource)
        case ControlState.APPROVED:
            approved = _unexpired(context, plan_id or "")
            return lambda control: control.approve(approved)
        case ControlState.PINNED:
            pinned = _normalised(context, resource, weights or {})
            return lambda control: control.pin(resource, pinned)
        case _:
            return _acknowledgement(context, resource)


def _reset(context: Context, resource: str | None) -> Change:
    ledger = context.ledger
    names = [spec.name for spec in ledger.resources(None if resource is None else [resource])]
    learned = {
        name: {"weights": ledger.learned_weights(name), "pair_terms": ledger.pair_terms(name)}
        for name in names
    }
    learned = {name: known for name, known in learned.items() if any(known.values())}
    before = ledger.control()
    after = before.unpin(resource).plain()

    def perform() -> dict[str, Any]:
        ledger.forget_learned(resource)
        return {"control": ledger.change_control(lambda now: now.unpin(resource)).plain()}

    return Change(
        {"control": before.plain(), "learned": learned},
        {"control": after, "learned": {}},
        {"control": after},
        perform,
    )


def _acknowledgement(context: Context, resource: str | None) -> Callable[[Control], Control]:
    specs = context.ledger.resources(None if resource is None else [resource])
    newest = {spec.name: _newest_event(context, spec.name) for spec in specs}
    now = context.now()

    def alter(control: Control) -> Control:
        for name, at in newest.items():
            if at is not None and at > control.acknowledged.get(name, float("-inf")):
                # Where clocks differ it may seem to lie ahead: it was looked at all the same.
                control = control.acknowledge(name, max(now, at))
        return control

    return alter


def _newest_event(context: Context, resource: str) -> WallTime | None:
    """Return when something last happened to a resource that a person may want to look at."""
    ledger = context.ledger
    # At most one switchover of a resource is under way: of two one has ended.
    ended = [move.ended_at for move in ledger.switchovers(resource, limit=2, steps=False)]
    told = [
        WallTime(parse_instant(decision["decided_at"]))
        for decision in ledger.decisions(resource, limit=1)
        if _TOLD & set(decision["blocked_by"])
    ]
    return max((at for at in [*ended, *told] if at is not None), default=None)


def _state(state: str) -> ControlState:
    try:
        return ControlState(state)
    except ValueError:
        known = ", ".join(each.value for each in ControlState)
        raise SpecError(
            f"unknown state {state}", where="control", remedy=f"use one of {known}"
        ) from None


def _refuse_misfits(
    wanted: ControlState,
    resource: str | None,
    plan_id: str | None,
    weights: Mapping[str, Any] | None,
) -> None:
    where = f"control, state {wanted.value}"
    if (wanted is ControlState.APPROVED) != (plan_id is not None):
        if plan_id is None:
            raise SpecError("needs the plan to approve", where=where, remedy="give its plan_id")
        raise SpecError("plan_id is for state approved", where=where, remedy="leave it out")
    if plan_id is not None and resource is not None:
        raise SpecError(
            "a plan belongs to its own resource", where=where, remedy="give plan_id alone"
        )
    if (wanted is ControlState.PINNED) != (weights is not None):
        if weights is None:
            raise SpecError("needs weights", where=where, remedy="give such as {availability: 0.5}")
        raise SpecError("weights are for state pinned", where=where, remedy="leave them out")


def _unexpired(context: Context, plan_id: str) -> str:
    plan = context.ledger.plan(plan_id)
    if plan.expires_at <= context.now():
        raise StalePlanError(
            f"has expired at {isoformat(plan.expires_at)}",
            where=f"plan {plan_id} of {plan.resource}",
            remedy="plan again, and approve the new one",
        )
    return plan.id


def _normalised(
    context: Context, resource: str | None, weights: Mapping[str, Any]
) -> dict[str, float]:
    """Return all three weights, summing to 1; a term that is left out weighs what is written."""
    try:
        given = WeightsSpec.model_validate(weights).model_dump(exclude_unset=True)
        written = context.ledger.resource(resource).placement.weights if resource else WeightsSpec()
        merged = WeightsSpec.model_validate({**written.model_dump(), **given})
    except ValidationError as error:
        raise first_problem(error, "control, weights", WeightsSpec) from None
    return {term: round(weight, 9) for term, weight in normalised(merged.model_dump()).items()}
