"""The journal of switchovers: written before and after each step, by the newest token only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, insert, select, update

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import FencedError, RefusedError
from foreshadow.domain.fleet import Role
from foreshadow.domain.moves import Lease, StepRecord, StepState, Switchover
from foreshadow.domain.near import unknown
from foreshadow.ledger.codec import step_from, switchover_from, switchover_row, written
from foreshadow.ledger.instances import change_role
from foreshadow.ledger.leases import check_token
from foreshadow.ledger.schema import resources, steps, switchovers
from foreshadow.ledger.store import Store

# Built once, for a commit and the writes before it: clients wait for it.
_ONE = select(switchovers).where(switchovers.c.id == bindparam("of"))
_PIVOT = update(switchovers).where(switchovers.c.id == bindparam("of")).values(pivoted=True)
_PRIMARY = update(resources).where(resources.c.name == bindparam("of"))
_LINES = select(steps.c.name).where(steps.c.switchover == bindparam("of"))
_LINE = update(steps).where(
    steps.c.switchover == bindparam("of"), steps.c.name == bindparam("line")
)
_NEW = insert(steps)


class Journal(Store):
    """Switchovers and their steps.

    Every write checks the lease in its own transaction and raises
    :class:`~foreshadow.domain.errors.FencedError` when its token is no longer the newest.
    """

    def begin(self, lease: Lease, switchover: Switchover) -> None:
        """Write down that a switchover begins, with the lease's token as its own.

        :raises RefusedError: when another one of the resource was left unfinished.
        """
        with self._database.write() as connection:
            check_token(connection, lease)
            _check_resource(lease, switchover.resource)
            left = connection.execute(
                select(switchovers.c.id).where(
                    switchovers.c.resource == switchover.resource, switchovers.c.outcome.is_(None)
                )
            ).scalar()
            if left is not None:
                raise RefusedError(
                    f"switchover {left} was left unfinished",
                    where=f"resource {switchover.resource}",
                    remedy="run the switchover with state recovered first",
                )
            row = switchover_row(switchover) | {"token": lease.token}
            connection.execute(insert(switchovers).values(**row))
            _put_steps(connection, switchover.id, switchover.steps)

    def step(self, lease: Lease, switchover_id: str, step: StepRecord) -> None:
        """Write down a step, in place of what the journal has under its name.

        The disk has it before what it announces is done. That something was done needs no such
        wait: the next announcement brings it along, and whoever finds only the announcement takes
        the step again, or takes it back, as after a crash in the middle of it.
        """
        announces = step.state in (StepState.STARTED, StepState.UNDOING)
        with self._database.write(durable=announces) as connection:
            check_token(connection, lease)
            _check_resource(lease, _one(connection, switchover_id).resource)
            _put_steps(connection, switchover_id, [step])

    def pivot(self, lease: Lease, switchover_id: str, lines: Sequence[StepRecord] = ()) -> None:
        """Commit: from here on only forward.

        In one transaction the switchover is pivoted, its destination is the primary and its
        source a shadow. A second call does nothing.

        :param lines: of the journal, written in the same transaction: while requests are held,
            nothing waits for the disk that need not.
        """
        with self._database.write() as connection:
            check_token(connection, lease)
            row = _one(connection, switchover_id)
            _check_resource(lease, row.resource)
            if row.pivoted:
                return
            connection.execute(_PIVOT, {"of": switchover_id})
            connection.execute(_PRIMARY, {"of": row.resource, "primary_host": row.destination})
            now = self._now()
            change_role(connection, row.resource, row.source, Role.SHADOW, now)
            change_role(connection, row.resource, row.destination, Role.PRIMARY, now)
            _put_steps(connection, switchover_id, lines)

    def finish(self, lease: Lease, switchover: Switchover) -> None:
        """Write down how it ended; whether it had pivoted stays as the journal has it."""
        with self._database.write() as connection:
            check_token(connection, lease)
            pivoted = _one(connection, switchover.id).pivoted
            _check_resource(lease, switchover.resource)
            row = switchover_row(switchover) | {"token": lease.token, "pivoted": pivoted}
            connection.execute(
                update(switchovers).where(switchovers.c.id == switchover.id).values(**row)
            )
            _put_steps(connection, switchover.id, switchover.steps)

    def switchover(self, switchover_id: str) -> Switchover:
        """Return one switchover with its steps.

        :raises UnknownNameError: when there is none of this id.
        """
        with self._database.read() as connection:
            _one(connection, switchover_id)
            query = select(switchovers).where(switchovers.c.id == switchover_id)
            return _with_steps(connection, query)[0]

    def switchovers(
        self,
        resource: str | None = None,
        since: WallTime | None = None,
        limit: int = 100,
        *,
        steps: bool = True,
    ) -> tuple[Switchover, ...]:
        """Return switchovers that started at or after ``since``, the newest first.

        :param steps: bring the lines of the journal along; most questions need none.
        """
        query = select(switchovers).order_by(switchovers.c.started_at.desc()).limit(limit)
        if resource is not None:
            query = query.where(switchovers.c.resource == resource)
        if since is not None:
            query = query.where(switchovers.c.started_at >= since)
        with self._database.read() as connection:
            return _with_steps(connection, query) if steps else _alone(connection, query)

    def moved_resources(self) -> frozenset[str]:
        """Return the resources that have a switchover, ended or not."""
        with self._database.read() as connection:
            return frozenset(connection.execute(select(switchovers.c.resource)).scalars())

    def unfinished(self, resource: str | None = None) -> tuple[Switchover, ...]:
        """Return the switchovers that have no outcome yet, under way or left behind."""
        query = select(switchovers).where(switchovers.c.outcome.is_(None))
        if resource is not None:
            query = query.where(switchovers.c.resource == resource)
        with self._database.read() as connection:
            return _with_steps(connection, query.order_by(switchovers.c.started_at))


def _one(connection: Connection, switchover_id: str) -> Row[Any]:
    row = connection.execute(_ONE, {"of": switchover_id}).first()
    if row is None:
        ids = connection.execute(
            select(switchovers.c.id).order_by(switchovers.c.started_at.desc()).limit(100)
        ).scalars()
        raise unknown("switchover", switchover_id, ids)
    return row


def _check_resource(lease: Lease, resource: str) -> None:
    if lease.resource != resource:
        raise FencedError(
            f"the lease is for {lease.resource}",
            where=f"resource {resource}",
            remedy="acquire the lease of the resource that is moved",
        )


def _put_steps(connection: Connection, switchover_id: str, lines: Sequence[StepRecord]) -> None:
    there = set(connection.execute(_LINES, {"of": switchover_id}).scalars())
    known = [
        {"of": switchover_id, "line": line.name, **_step_row(line)}
        for line in lines
        if line.name in there
    ]
    if known:
        connection.execute(_LINE, known)
    new = [line for line in lines if line.name not in there]
    rows = [
        {"switchover": switchover_id, "name": line.name, "position": position, **_step_row(line)}
        for position, line in enumerate(new, len(there))
    ]
    if rows:
        connection.execute(_NEW, rows)


def _step_row(step: StepRecord) -> dict[str, Any]:
    return {
        "state": step.state.value,
        "started_at": step.started_at,
        "ended_at": step.ended_at,
        "detail": written(step.detail),
        "convergence": [asdict(one) for one in step.convergence] or None,
    }


def _alone(connection: Connection, query: Select[Any]) -> tuple[Switchover, ...]:
    return tuple(switchover_from(row, ()) for row in connection.execute(query).mappings())


def _with_steps(connection: Connection, query: Select[Any]) -> tuple[Switchover, ...]:
    rows = connection.execute(query).mappings().all()
    lines: dict[str, list[StepRecord]] = {row["id"]: [] for row in rows}
    for line in connection.execute(
        select(steps).where(steps.c.switchover.in_(lines)).order_by(steps.c.position)
    ):
        lines[line.switchover].append(step_from(line))
    return tuple(switchover_from(row, tuple(lines[row["id"]])) for row in rows)
