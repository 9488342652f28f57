"""A switchover, a plan or a refusal as the module ``switchover`` gives it: plain types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from foreshadow.domain.decision import Block
from foreshadow.domain.errors import LeaseHeldError, RefusedError, StalePlanError
from foreshadow.domain.moves import Outcome, Plan, Switchover
from foreshadow.switchover.stage import BlockedError

_EMPTY: dict[str, Any] = {
    "id": None, "outcome": None, "source": None, "destination": None, "steps": [], "plan": None,
    "decision_id": None, "switch_ms": None, "pause_ms": None, "rto_seconds": None,
    "rpo_seconds": None, "requests": None, "errors": None, "convergence": [], "error": None,
    "refused_by": [],
}  # fmt: skip


def moved(switchover: Switchover) -> dict[str, Any]:
    """Return a switchover that took place.

    One that has committed is ``switched``, also while its last steps wait for a recovery: then
    ``error`` says which.
    """
    known = switchover
    if known.outcome is None and known.pivoted:
        known = replace(known, outcome=Outcome.SWITCHED)
    return {**known.plain(), "refused_by": []}


def planned(
    plan: Plan | None, source: str, destination: str, decision_id: str | None
) -> dict[str, Any]:
    """Return what would be done; without a plan, something that was left comes first."""
    shown = None if plan is None else plan.plain()
    return _of(Outcome.PLANNED, source, destination, decision_id) | {"plan": shown}


def unchanged(primary: str, decision_id: str | None = None) -> dict[str, Any]:
    """Return that the resource is where it is wanted."""
    return _of(Outcome.UNCHANGED, primary, primary, decision_id)


def left_alone(result: Mapping[str, Any]) -> bool:
    """Return whether nothing was moved: it was refused, or somebody else had been faster.

    :param result: of a switchover or a recovery, as applied or as previewed.
    """
    if result.get("recovered"):
        return False
    if "switchovers" in result:
        return not result["switchovers"]
    return result["switchover"]["outcome"] in (Outcome.REFUSED, Outcome.UNCHANGED)


def refusal(
    error: RefusedError, source: str, destination: str | None, decision_id: str | None
) -> dict[str, Any]:
    """Return why nothing was done, in words and as the names of the guards."""
    match error:
        case BlockedError():
            names = list(dict.fromkeys(one.by.value for one in error.blocked))
        case LeaseHeldError():
            names = [Block.IN_PROGRESS.value]
        case StalePlanError():
            names = [Block.DRIFT.value]
        case _:
            names = []
    refused = {"error": str(error), "refused_by": names}
    return _of(Outcome.REFUSED, source, destination, decision_id) | refused


def _of(
    outcome: Outcome, source: str, destination: str | None, decision_id: str | None
) -> dict[str, Any]:
    return _EMPTY | {
        "outcome": outcome.value,
        "source": source,
        "destination": destination,
        "decision_id": decision_id,
    }
