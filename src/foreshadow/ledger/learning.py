"""What was observed after switchovers, and what was learned from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from sqlalchemy import delete, select

from foreshadow.domain.clock import WallTime
from foreshadow.domain.outcomes import Observed
from foreshadow.ledger.registry import require
from foreshadow.ledger.schema import hosts, learned_weights, outcomes, pair_terms, resources
from foreshadow.ledger.store import Store, upsert


class Learning(Store):
    """Outcomes, learned weights and pair terms."""

    def record_outcome(self, observed: Observed) -> None:
        """Write down what became of a switchover; measured again, it replaces the first."""
        with self._database.write() as connection:
            values = {
                "resource": observed.resource,
                "measured_at": observed.measured_at,
                "body": asdict(observed),
            }
            upsert(connection, outcomes, {"switchover": observed.switchover_id}, values)

    def outcomes(
        self, resource: str | None = None, since: WallTime | None = None, limit: int = 100
    ) -> tuple[Observed, ...]:
        """Return outcomes measured at or after ``since``, the newest first."""
        query = select(outcomes.c.body).order_by(outcomes.c.measured_at.desc()).limit(limit)
        if resource is not None:
            query = query.where(outcomes.c.resource == resource)
        if since is not None:
            query = query.where(outcomes.c.measured_at >= since)
        with self._database.read() as connection:
            return tuple(Observed(**body) for body in connection.execute(query).scalars())

    def learned_weights(self, resource: str) -> dict[str, float] | None:
        """Return the affinity weights that outcomes have taught, or ``None``."""
        query = select(learned_weights.c.weights).where(learned_weights.c.resource == resource)
        with self._database.read() as connection:
            found: dict[str, float] | None = connection.execute(query).scalar()
        return found

    def put_learned_weights(self, resource: str, weights: Mapping[str, float]) -> None:
        """Keep the affinity weights that outcomes have taught.

        :raises UnknownNameError: when the resource is not registered.
        """
        with self._database.write() as connection:
            require(connection, resources, "resource", resource)
            values = {"weights": dict(weights), "updated_at": self._now()}
            upsert(connection, learned_weights, {"resource": resource}, values)

    def pair_terms(self, resource: str) -> dict[str, float]:
        """Return by host the correction that outcomes have taught for this resource there."""
        query = select(pair_terms.c.host, pair_terms.c.value)
        query = query.where(pair_terms.c.resource == resource).order_by(pair_terms.c.host)
        with self._database.read() as connection:
            return {row.host: row.value for row in connection.execute(query)}

    def put_pair_term(self, resource: str, host: str, value: float) -> None:
        """Keep the correction for a resource on a host.

        :raises UnknownNameError: when one of them is not registered.
        """
        with self._database.write() as connection:
            require(connection, resources, "resource", resource)
            require(connection, hosts, "host", host)
            values = {"value": value, "updated_at": self._now()}
            upsert(connection, pair_terms, {"resource": resource, "host": host}, values)

    def forget_learned(self, resource: str | None = None) -> None:
        """Forget the weights and pair terms that were learned for a resource, or for all."""
        with self._database.write() as connection:
            for table in (learned_weights, pair_terms):
                query = delete(table)
                if resource is not None:
                    query = query.where(table.c.resource == resource)
                connection.execute(query)
