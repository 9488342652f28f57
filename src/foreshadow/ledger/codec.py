"""Frozen values as JSON, and back, exactly: no rounding, and the same identity."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, RowMapping

from foreshadow.domain.clock import WallTime
from foreshadow.domain.moves import (
    Convergence,
    Outcome,
    Plan,
    Seen,
    StepRecord,
    StepState,
    Switchover,
)


def plan_body(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON types."""
    return asdict(plan)


def plan_from(body: dict[str, Any]) -> Plan:
    """Return the plan, with the id that it had."""
    seen = body["seen"]
    traffic = tuple(tuple((str(h), int(w)) for h, w in row) for row in seen["traffic"])
    return Plan(
        **{
            **body,
            "seen": Seen(**{**seen, "traffic": traffic}),
            "steps": tuple(body["steps"]),
            "weights": tuple(body["weights"]),
        }
    )


def written(text: str) -> str:
    """Return a text as every database can keep it.

    What a service or a tool said may hold anything; PostgreSQL takes no NUL, and neither database
    half a character.
    """
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def step_from(row: Row[Any]) -> StepRecord:
    """Return a line of the journal."""
    ended_at = None if row.ended_at is None else WallTime(row.ended_at)
    convergence = tuple(Convergence(**one) for one in row.convergence or ())
    return StepRecord(
        row.name, StepState(row.state), WallTime(row.started_at), ended_at, row.detail, convergence
    )


def switchover_row(switchover: Switchover) -> dict[str, Any]:
    """Return the columns of a switchover; its steps have a table of their own."""
    row = {name: getattr(switchover, name) for name in Switchover.__dataclass_fields__}
    del row["steps"]
    return {
        **row,
        "plan": plan_body(switchover.plan),
        "outcome": None if switchover.outcome is None else switchover.outcome.value,
        "error": None if switchover.error is None else written(switchover.error),
    }


def switchover_from(row: RowMapping, steps: tuple[StepRecord, ...]) -> Switchover:
    """Return a switchover from its row and its steps in order."""
    return Switchover(
        **{
            **row,
            "plan": plan_from(row["plan"]),
            "outcome": None if row["outcome"] is None else Outcome(row["outcome"]),
            "steps": steps,
        }
    )
