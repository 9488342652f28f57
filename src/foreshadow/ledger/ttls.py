"""TTLs that were lowered for a move that is ahead, and what they were before."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select, update

from foreshadow.domain.clock import WallTime
from foreshadow.ledger.schema import lowered_ttls
from foreshadow.ledger.store import Store, upsert


@dataclass(frozen=True, slots=True)
class LoweredTtl:
    """One director's TTL, lowered.

    :ivar director: its name.
    :ivar before: seconds, to which it is restored.
    :ivar lowered: seconds, to which it was, or is being, lowered.
    :ivar movable_at: when every answer with the old TTL has run out; ``None`` while it is being
        lowered.
    """

    resource: str
    director: str
    before: float
    lowered: float
    movable_at: WallTime | None = None


class Ttls(Store):
    """What has to be restored. Written before a TTL is lowered, removed after it is restored."""

    def lowered_ttls(self, resource: str) -> dict[str, LoweredTtl]:
        """Return the lowered TTLs of a resource by director."""
        query = select(lowered_ttls).where(lowered_ttls.c.resource == resource)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return {row["director"]: LoweredTtl(**row) for row in rows}

    def resources_with_lowered_ttls(self) -> frozenset[str]:
        """Return the resources that have lowered TTLs."""
        with self._database.read() as connection:
            return frozenset(connection.execute(select(lowered_ttls.c.resource)).scalars())

    def begin_lowering(self, one: LoweredTtl) -> None:
        """Write down what a TTL is before it is lowered."""
        values = {"before": one.before, "lowered": one.lowered, "movable_at": one.movable_at}
        with self._database.write() as connection:
            key = {"resource": one.resource, "director": one.director}
            upsert(connection, lowered_ttls, key, values)

    def end_lowering(self, one: LoweredTtl, movable_at: WallTime) -> None:
        """Write down when the resource may be moved."""
        with self._database.write() as connection:
            connection.execute(
                update(lowered_ttls)
                .where(
                    lowered_ttls.c.resource == one.resource,
                    lowered_ttls.c.director == one.director,
                )
                .values(movable_at=movable_at)
            )

    def forget_lowered(self, one: LoweredTtl) -> None:
        """Remove it: the TTL is restored, or is somebody else's now."""
        with self._database.write() as connection:
            connection.execute(
                delete(lowered_ttls).where(
                    lowered_ttls.c.resource == one.resource,
                    lowered_ttls.c.director == one.director,
                )
            )
