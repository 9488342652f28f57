"""Where shadows were placed, and the round trips that placement reckons with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from foreshadow.domain.clock import WallTime
from foreshadow.ledger.registry import require
from foreshadow.ledger.schema import hosts, placements, resources, round_trips
from foreshadow.ledger.store import Store, upsert


class Placements(Store):
    """Placements by resource, and round trips by pair of hosts."""

    def put_placement(self, resource: str, body: Mapping[str, Any]) -> None:
        """Keep, as JSON types, where the shadows of a resource should stand, and why.

        :raises UnknownNameError: when the resource is not registered.
        """
        with self._database.write() as connection:
            require(connection, resources, "resource", resource)
            values = {"body": dict(body), "updated_at": self._now()}
            upsert(connection, placements, {"resource": resource}, values)

    def placement(self, resource: str) -> dict[str, Any] | None:
        """Return what :meth:`put_placement` kept, or ``None``."""
        query = select(placements.c.body).where(placements.c.resource == resource)
        with self._database.read() as connection:
            found: dict[str, Any] | None = connection.execute(query).scalar()
        return found

    def put_round_trips(self, seconds: Mapping[tuple[str, str], float], at: WallTime) -> None:
        """Keep measured round trips, each from a source host to a destination host.

        Pairs with a host that is not registered are left out.
        """
        with self._database.write(durable=False) as connection:
            known = set(connection.execute(select(hosts.c.name)).scalars())
            for (source, destination), value in seconds.items():
                if source in known and destination in known:
                    key = {"source": source, "destination": destination}
                    values = {"seconds": value, "measured_at": at}
                    upsert(connection, round_trips, key, values)

    def round_trips(self, since: WallTime | None = None) -> dict[tuple[str, str], float]:
        """Return the last measured seconds by source and destination host.

        :param since: leaves out what was measured before this wall time.
        """
        query = select(round_trips)
        if since is not None:
            query = query.where(round_trips.c.measured_at >= since)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {(row.source, row.destination): row.seconds for row in rows}
