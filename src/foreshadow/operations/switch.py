"""Moving a resource's traffic: planned, switched, reversed, drilled, recovered.

Reading the world gives a plan, or the reasons against one. Applying it takes the lease, ends what
an earlier run left, looks again, and moves. A refusal is a result: the caller decides what it
makes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foreshadow.domain.change import Change
from foreshadow.domain.errors import (
    FencedError,
    ForeshadowError,
    LeaseHeldError,
    RefusedError,
    SpecError,
)
from foreshadow.domain.moves import Switchover
from foreshadow.domain.spec import ResourceSpec
from foreshadow.ledger.holder import is_dead
from foreshadow.operations import switch_shown as shown
from foreshadow.operations.context import Context
from foreshadow.operations.switch_actor import Actor
from foreshadow.operations.switch_aim import SwitchRequest, aim_of, refuse_misfits
from foreshadow.operations.switch_guards import Guards
from foreshadow.operations.switch_move import Move

_LOOKS = 5
"""How often the world is looked at anew for a resource that others keep moving meanwhile."""

__all__ = ["SwitchRequest", "recover", "switch_over"]


def switch_over(context: Context, request: SwitchRequest) -> Change:
    """Plan, make or reverse a move; with state ``recovered``, see :func:`recover`.

    :return: ``switchover``: its keys as the module documents them, and beside them ``error`` and
        ``refused_by``, the names of the guards behind an outcome ``refused``.
    :raises SpecError: when the request does not fit together, or names what is not there.
    :raises UnreachableError: when a director does not answer, so that nothing can be planned.
    :raises RolledBackError: on applying, when it failed and was undone.
    :raises UnfinishedError: on applying, when it failed and could not be undone completely.
    """
    if request.state == "recovered":
        refuse_misfits(request)
        return recover(context, request.resource)
    if request.resource is None:
        raise SpecError("is required", where="switchover, resource", remedy="name the resource")
    spec = context.ledger.resource(request.resource)
    if not spec.directors:
        raise SpecError(
            "has no director, so nothing could send its traffic elsewhere",
            where=f"resource {spec.name}",
            remedy="add one to its spec",
        )
    for _ in range(_LOOKS):
        source = context.ledger.primary(spec.name)
        try:
            return _looked_at(context, spec, request)
        except FencedError:
            raise
        except RefusedError as error:
            refusal, moved = _reason(context, spec.name, source, error)
        if not moved:
            break
    refused = shown.refusal(refusal, source, request.to, request.decision_id)
    return Change({}, {}, {"switchover": refused})


def _looked_at(context: Context, spec: ResourceSpec, request: SwitchRequest) -> Change:
    aim = aim_of(context.ledger, spec.name, request, context.now())
    _refuse_while_moved(context, spec.name)
    planning = request.state == "planned"
    guards = Guards(context, spec, aim, planning=planning)
    return Move(context, spec, aim, guards.against).change(planned_only=planning)


def _reason(
    context: Context, resource: str, source: str, error: RefusedError
) -> tuple[RefusedError, bool]:
    """Return why it is refused, and whether somebody has moved it while it was looked at.

    What was read then may be half of their move. While they are at it they are the reason; once
    they have moved it, the world has to be looked at anew.
    """
    if isinstance(error, LeaseHeldError):
        return error, False
    try:
        _refuse_while_moved(context, resource)
    except LeaseHeldError as moving:
        return moving, False
    return error, context.ledger.primary(resource) != source


def recover(context: Context, resource: str | None = None) -> Change:
    """Finish or undo what dead controllers left, for one resource or for all.

    What a live controller is at work on is left to it.

    :return: ``switchovers``: those that were left, each with its ``direction``; and with a
        resource also ``switchover``, the last of them.
    :raises UnfinishedError: on applying, when something is still in the way; the others are
        brought to their end first.
    """
    if resource is not None:
        context.ledger.resource(resource)
    left = [
        one
        for one in context.ledger.unfinished(resource)
        if _live_holder(context, one.resource) is None
    ]
    names = sorted({one.resource for one in left})

    def perform() -> dict[str, Any]:
        ended: list[Switchover] = []
        problems = []
        for name in names:
            try:
                with Actor(context, context.ledger.resource(name)) as actor:
                    ended += actor.recover()
            except LeaseHeldError:
                continue  # another recovery was faster
            except ForeshadowError as error:
                problems.append(error)
        if problems:
            raise problems[0]
        return _recovered(context, resource, ended)

    return Change(
        {"unfinished": [one.id for one in left]},
        {"unfinished": []},
        _recovered(context, resource, left),
        perform,
    )


def _refuse_while_moved(context: Context, resource: str) -> None:
    holder = _live_holder(context, resource)
    if holder is not None:
        raise LeaseHeldError(
            f"is being moved by {holder}", where=f"resource {resource}", remedy="wait for it"
        )


def _live_holder(context: Context, resource: str) -> str | None:
    """Return who acts on a resource now."""
    lease = context.ledger.lease(resource)
    if lease is None or lease.expires_at <= context.now() or is_dead(lease.holder):
        return None
    return lease.holder


def _recovered(
    context: Context, resource: str | None, ended: Sequence[Switchover]
) -> dict[str, Any]:
    every = [shown.moved(one) for one in ended]
    if resource is None:
        return {"switchovers": every}
    last = every[-1] if every else shown.unchanged(context.ledger.primary(resource))
    return {"switchover": last, "switchovers": every}
