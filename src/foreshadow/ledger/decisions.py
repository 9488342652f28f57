"""Decisions and plans. Not every tick is kept: changes of verdict are, and one in a period."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, or_, select, update

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

_AT_ONCE = 250
"""Decisions that are written in one transaction: it takes a fraction of a second."""


class Decisions(Store):
    """What was decided, thinned out, and the plans that were made of it."""

    def record_decision(self, decision: Decision) -> bool:
        """Write down a decision; return whether this tick of the resource was new.

        See :meth:`record_decisions`.
        """
        return bool(self.record_decisions([decision]))

    def record_decisions(self, made: Sequence[Decision]) -> frozenset[str]:
        """Write down decisions, one of each resource; return the ids of those whose tick was new.

        Kept for the retention are changes of the verdict, of what blocks it or of a gate, the first
        decision of each period, and what a plan or a switchover refers to. The others go when they
        are no longer recent, and the kept one before them counts them in its ``ticks``.

        Some hundred are written in one transaction: one for each would make a large fleet wait, one
        for all would make the other writers wait.
        """
        found: set[str] = set()
        for begin in range(0, len(made), _AT_ONCE):
            by_tick: dict[float, list[Decision]] = defaultdict(list)
            for decision in made[begin : begin + _AT_ONCE]:
                by_tick[decision.at].append(decision)
            with self._database.write(durable=False) as connection:
                for at, some in by_tick.items():
                    found |= _recorded(connection, at, some)
        return frozenset(found)

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


def _recorded(connection: Connection, at: float, made: Sequence[Decision]) -> set[str]:
    """Write down decisions of one tick, and return the ids of those that were new."""
    ids, names = [one.id for one in made], [one.resource for one in made]
    mine = decisions.c.resource.in_(names)
    there = connection.execute(
        select(decisions.c.id, decisions.c.resource).where(
            or_(decisions.c.id.in_(ids), mine & (decisions.c.at == at))
        )
    ).all()
    known = {row.id for row in there} | {row.resource for row in there}
    fresh = [one for one in made if not {one.id, one.resource} & known]
    last = (
        select(decisions.c.resource, func.max(decisions.c.at).label("at"))
        .where(mine, decisions.c.at < at)
        .group_by(decisions.c.resource)
        .subquery()
    )
    same = (decisions.c.resource == last.c.resource) & (decisions.c.at == last.c.at)
    before = {row.resource: row for row in connection.execute(select(decisions).join(last, same))}
    rows = [_row(one, before.get(one.resource)) for one in fresh]
    if rows:
        connection.execute(insert(decisions), rows)
        _thin_out(connection, fresh)
    return {one.id for one in fresh}


def _row(decision: Decision, before: Row[Any] | None) -> dict[str, Any]:
    body = decision.plain()
    return {
        "id": decision.id,
        "resource": decision.resource,
        "at": decision.at,
        "decided_at": decision.decided_at,
        "verdict": decision.verdict.value,
        "kept": before is None or _differs(before, body, decision.decided_at),
        "ticks": 1,
        "body": body,
    }


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


def _thin_out(connection: Connection, newest: Sequence[Decision]) -> None:
    """Remove what is neither kept, nor recent, nor referred to, and count it where it stood.

    :param newest: of one tick, one of each resource.
    """
    decided_at = {one.resource: one.decided_at for one in newest}
    passing = [
        row
        for row in connection.execute(
            select(
                decisions.c.id,
                decisions.c.resource,
                decisions.c.at,
                decisions.c.ticks,
                decisions.c.decided_at,
            ).where(
                decisions.c.resource.in_(decided_at),
                decisions.c.kept.is_(False),
                decisions.c.decided_at < max(decided_at.values()) - RECENT_SECONDS,
                decisions.c.at < newest[0].at,
                decisions.c.id.not_in(
                    select(plans.c.decision_id).where(plans.c.decision_id.is_not(None))
                ),
                decisions.c.id.not_in(
                    select(switchovers.c.decision_id).where(switchovers.c.decision_id.is_not(None))
                ),
            )
        )
        if row.decided_at < decided_at[row.resource] - RECENT_SECONDS
    ]
    if not passing:
        return
    older = decisions.alias("older")
    standing = (
        select(older.c.id)
        .where(
            older.c.resource == bindparam("of"),
            older.c.at < bindparam("before"),
            older.c.kept.is_(True),
        )
        .order_by(older.c.at.desc())
        .limit(1)
        .scalar_subquery()
    )
    connection.execute(
        delete(decisions).where(decisions.c.id == bindparam("gone")),
        [{"gone": row.id} for row in passing],
    )
    connection.execute(
        update(decisions)
        .where(decisions.c.id == standing)
        .values(ticks=decisions.c.ticks + bindparam("more")),
        [{"of": row.resource, "before": row.at, "more": row.ticks} for row in passing],
    )


def _newest_ids(connection: Connection) -> list[str]:
    query = select(decisions.c.id).order_by(decisions.c.decided_at.desc()).limit(100)
    return list(connection.execute(query).scalars())
