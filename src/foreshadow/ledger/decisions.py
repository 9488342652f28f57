"""Decisions and plans. Not every tick is kept: changes of verdict are, and one in a period."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from foreshadow.domain.clock import WallTime
from foreshadow.domain.decision import Decision
from foreshadow.domain.moves import Plan
from foreshadow.domain.near import unknown
from foreshadow.ledger.codec import plan_body, plan_from
from foreshadow.ledger.schema import decisions, plans, switchovers
from foreshadow.ledger.store import Store, upsert

ROLLUP_SECONDS = 4 * 3600.0
"""Of each such period the first decision is kept even when nothing changed: plots show the quiet
time too, and a month of a thousand resources stays at about 200 MB."""

RECENT_SECONDS = 600.0
"""Every decision is kept this long: a person or a playbook acts on its id in the meantime."""


class Decisions(Store):
    """What was decided, thinned out, and the plans that were made of it."""

    def record_decision(self, decision: Decision) -> bool:
        """Write down a decision; return whether this tick of the resource was new.

        Kept for the retention are changes of the verdict, of what blocks it or of a gate, the first
        decision of each period, and what a plan or a switchover refers to. The others go when they
        are no longer recent, and the kept one before them counts them in its ``ticks``.
        """
        with self._database.write(durable=False) as connection:
            mine = decisions.c.resource == decision.resource
            known = connection.execute(
                select(decisions.c.id).where(
                    or_(decisions.c.id == decision.id, mine & (decisions.c.at == decision.at))
                )
            ).first()
            if known is not None:
                return False
            before = connection.execute(
                select(decisions)
                .where(mine, decisions.c.at < decision.at)
                .order_by(decisions.c.at.desc())
                .limit(1)
            ).first()
            body = decision.plain()
            connection.execute(
                insert(decisions).values(
                    id=decision.id,
                    resource=decision.resource,
                    at=decision.at,
                    decided_at=decision.decided_at,
                    verdict=decision.verdict.value,
                    kept=before is None or _differs(before, body, decision.decided_at),
                    ticks=1,
                    body=body,
                )
            )
            _thin_out(connection, decision)
            return True

    def decisions(
        self, resource: str | None = None, since: WallTime | None = None, limit: int = 100
    ) -> tuple[dict[str, Any], ...]:
        """Return decisions made at or after ``since`` (wall time) as JSON types, the newest first.

        Each has, beside the keys of a decision, ``ticks``: how many equal verdicts it stands for.
        """
        query = select(decisions).order_by(decisions.c.decided_at.desc(), decisions.c.at.desc())
        if resource is not None:
            query = query.where(decisions.c.resource == resource)
        if since is not None:
            query = query.where(decisions.c.decided_at >= since)
        with self._database.read() as connection:
            rows = connection.execute(query.limit(limit)).all()
        return tuple({**row.body, "ticks": row.ticks} for row in rows)

    def decision(self, decision_id: str) -> dict[str, Any]:
        """Return one decision as JSON types.

        :raises UnknownNameError: when there is none of this id, or it was too old to keep.
        """
        with self._database.read() as connection:
            row = connection.execute(select(decisions).where(decisions.c.id == decision_id)).first()
            if row is None:
                raise unknown("decision", decision_id, _newest_ids(connection))
        return {**row.body, "ticks": row.ticks}

    def put_plan(self, plan: Plan) -> None:
        """Keep a plan; the same plan made again gets the later expiry."""
        with self._database.write() as connection:
            values = {
                "resource": plan.resource,
                "decision_id": plan.decision_id,
                "body": plan_body(plan),
                "expires_at": plan.expires_at,
            }
            upsert(connection, plans, {"id": plan.id}, values)

    def plan(self, plan_id: str) -> Plan:
        """Return a plan, expired or not.

        :raises UnknownNameError: when there is none of this id.
        """
        with self._database.read() as connection:
            row = connection.execute(select(plans).where(plans.c.id == plan_id)).first()
            if row is None:
                ids = connection.execute(
                    select(plans.c.id).order_by(plans.c.expires_at.desc()).limit(100)
                ).scalars()
                raise unknown("plan", plan_id, ids)
        return plan_from(row.body)


def _differs(before: Row[Any], body: dict[str, Any], decided_at: WallTime) -> bool:
    """Return whether a decision says something new, or begins a period."""
    if before.verdict != body["verdict"] or before.body["blocked_by"] != body["blocked_by"]:
        return True
    if _opened(before.body) != _opened(body):
        return True
    last = float(before.decided_at)
    return math.floor(decided_at / ROLLUP_SECONDS) != math.floor(last / ROLLUP_SECONDS)


def _opened(body: dict[str, Any]) -> dict[str, bool]:
    """Return by metric whether its gate is open; that of the decision where it names no others."""
    gates = body.get("gates") or {"": body["gate"]}
    return {name: gate["open"] for name, gate in gates.items()}


def _thin_out(connection: Connection, newest: Decision) -> None:
    """Remove what is neither kept, nor recent, nor referred to, and count it where it stood."""
    mine = decisions.c.resource == newest.resource
    passing = connection.execute(
        select(decisions.c.id, decisions.c.at, decisions.c.ticks).where(
            mine,
            decisions.c.kept.is_(False),
            decisions.c.decided_at < newest.decided_at - RECENT_SECONDS,
            decisions.c.at < newest.at,
            decisions.c.id.not_in(
                select(plans.c.decision_id).where(plans.c.decision_id.is_not(None))
            ),
            decisions.c.id.not_in(
                select(switchovers.c.decision_id).where(switchovers.c.decision_id.is_not(None))
            ),
        )
    ).all()
    for row in passing:
        connection.execute(delete(decisions).where(decisions.c.id == row.id))
        standing = (
            select(decisions.c.id)
            .where(mine, decisions.c.at < row.at, decisions.c.kept.is_(True))
            .order_by(decisions.c.at.desc())
            .limit(1)
            .scalar_subquery()
        )
        connection.execute(
            update(decisions)
            .where(decisions.c.id == standing)
            .values(ticks=decisions.c.ticks + row.ticks)
        )


def _newest_ids(connection: Connection) -> list[str]:
    query = select(decisions.c.id).order_by(decisions.c.decided_at.desc()).limit(100)
    return list(connection.execute(query).scalars())
