"""The steps behind the names in a plan."""

from __future__ import annotations

from foreshadow.domain.moves import Plan
from foreshadow.switchover import after, before
from foreshadow.switchover.converge import Converge
from foreshadow.switchover.handover import Deliver, Handover, Prepare
from foreshadow.switchover.plan import COMMIT
from foreshadow.switchover.step import Step, Undoable

_BEFORE: dict[str, type[Undoable]] = {
    "preflight": before.Preflight,
    "fence": before.Fence,
    "sync": before.Sync,
    "activate": before.Activate,
    "promote": before.Promote,
    "admit": before.Admit,
    "prepare": Prepare,
    "handover": Handover,
    "verify": before.Verify,
    "converge": Converge,
    "drain": before.Drain,
}
_BY_PERCENT = {"shift": before.Shift, "soak": before.Soak}
_AFTER: dict[str, type[Step]] = {
    "deliver": Deliver,
    "retire": after.Retire,
    "persist": after.Persist,
    "demote": after.Demote,
    "freeze": after.Freeze,
    "resync": after.Resync,
}


def steps_before(plan: Plan) -> tuple[Undoable, ...]:
    """Return the steps of a plan before its pivot, in order."""
    return tuple(_undoable(name) for name in plan.steps[: plan.steps.index(COMMIT)])


def steps_after(plan: Plan) -> tuple[Step, ...]:
    """Return the steps of a plan after its pivot, in order."""
    return tuple(_AFTER[name]() for name in plan.steps[plan.steps.index(COMMIT) + 1 :])


def _undoable(name: str) -> Undoable:
    kind, _, percent = name.partition("-")
    return _BY_PERCENT[kind](int(percent)) if percent else _BEFORE[name]()
