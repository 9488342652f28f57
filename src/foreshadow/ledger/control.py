"""What persons have decided: one row each, so that two of them do not undo each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from foreshadow.domain.clock import WallTime
from foreshadow.domain.control import EVERY, Control
from foreshadow.ledger.schema import control
from foreshadow.ledger.store import Store


class Controls(Store):
    """The decisions of persons that are in force."""

    def control(self) -> Control:
        """Return what is in force."""
        with self._database.read() as connection:
            return _read(connection)

    def put_control(self, wanted: Control) -> None:
        """Put this in force, whatever was before."""
        self.change_control(lambda _: wanted)

    def change_control(self, change: Callable[[Control], Control]) -> Control:
        """Change what is in force in one transaction, and return it.

        :param change: a pure function from what is in force to what shall be.
        """
        with self._database.write() as connection:
            before = _read(connection)
            after = replace(change(before), at=self._now())
            kept = {(kind, subject): value for kind, subject, value in _rows(before)}
            for kind, subject, value in _rows(after):
                if kept.pop((kind, subject), _ABSENT) == value:
                    continue
                _remove(connection, kind, subject)
                row = {"kind": kind, "subject": subject, "value": value, "at": after.at}
                connection.execute(insert(control).values(**row))
            for kind, subject in kept:
                _remove(connection, kind, subject)
            return _read(connection)


_ABSENT = object()


def _rows(value: Control) -> Iterator[tuple[str, str, Any]]:
    paused = [*([EVERY] if value.paused else []), *sorted(value.paused_resources)]
    yield from (("paused", subject, True) for subject in paused)
    yield from (("approved", plan_id, True) for plan_id in sorted(value.approved))
    yield from (("acknowledged", name, at) for name, at in value.acknowledged.items())
    yield from (("pinned", name, dict(weights)) for name, weights in value.pinned.items())


def _read(connection: Connection) -> Control:
    by_kind: dict[str, dict[str, Any]] = {}
    at = 0.0
    for row in connection.execute(select(control).order_by(control.c.subject)):
        by_kind.setdefault(row.kind, {})[row.subject] = row.value
        at = max(at, row.at)
    paused = set(by_kind.get("paused", {}))
    acknowledged = by_kind.get("acknowledged", {})
    return Control(
        paused=EVERY in paused,
        paused_resources=frozenset(paused - {EVERY}),
        approved=frozenset(by_kind.get("approved", {})),
        acknowledged={name: WallTime(seen) for name, seen in acknowledged.items()},
        pinned=by_kind.get("pinned", {}),
        at=WallTime(at),
    )


def _remove(connection: Connection, kind: str, subject: str) -> None:
    connection.execute(delete(control).where(control.c.kind == kind, control.c.subject == subject))
