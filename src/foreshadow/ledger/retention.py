"""The cache, the ledger's own settings, and what is old enough to go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from sqlalchemy import delete, insert, select, update

from foreshadow.domain.clock import WallTime
from foreshadow.ledger.schema import (
    cache,
    control,
    decisions,
    meta,
    outcomes,
    plans,
    round_trips,
    switchovers,
)
from foreshadow.ledger.store import Store, upsert

DAY = 86400.0

RETENTION: dict[str, float] = {
    # A year of moves: a drill, a season and an audit are looked up by them, and they are few.
    "switchovers": 365 * DAY,
    "outcomes": 365 * DAY,
    # Two weekly cycles beside each other in a plot, and the weeks before an incident review.
    "decisions": 30 * DAY,
    # Long past its expiry a plan only explains an approval.
    "plans": 7 * DAY,
    # A fitted model is made again from newer data every day at the least.
    "cache": 2 * DAY,
    # Of a pair that nobody has measured for a week, nothing is known.
    "round_trips": 7 * DAY,
}
"""Seconds of wall time that rows are kept; another number can be set with ``put_retention``."""


PRUNE_EVERY = DAY
"""Often enough: the shortest retention is two days."""


class Retention(Store):
    """What keeps the ledger small."""

    _due = float("-inf")  # when to look next whether it is time to prune

    def cached(self, key: str) -> str | None:
        """Return a cached text, or ``None``."""
        with self._database.read() as connection:
            return connection.execute(select(cache.c.text).where(cache.c.key == key)).scalar()

    def put_cached(self, key: str, text: str, now: WallTime) -> None:
        """Cache a text that can be computed again, such as a fitted model.

        :param key: a digest of all that the text was computed from.
        """
        with self._database.write(durable=False) as connection:
            upsert(connection, cache, {"key": key}, {"text": text, "stored_at": now})

    def all_cached(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the cached texts by key, of those that there are."""
        found: dict[str, str] = {}
        with self._database.read() as connection:
            for some in _some(keys):
                query = select(cache.c.key, cache.c.text).where(cache.c.key.in_(some))
                found |= {row.key: row.text for row in connection.execute(query)}
        return found

    def put_all_cached(self, texts: Mapping[str, str], now: WallTime) -> None:
        """Cache texts by key, all of them or none."""
        if not texts:
            return
        rows = [{"key": key, "text": text, "stored_at": now} for key, text in texts.items()]
        with self._database.write(durable=False) as connection:
            for some in _some(texts):
                connection.execute(delete(cache).where(cache.c.key.in_(some)))
            connection.execute(insert(cache), rows)

    def renew_cached(self, keys: Iterable[str], now: WallTime) -> None:
        """Mark cached texts as stored just now: they are still in use."""
        with self._database.write(durable=False) as connection:
            for some in _some(keys):
                renewed = update(cache).where(cache.c.key.in_(some)).values(stored_at=now)
                connection.execute(renewed)

    def retention(self) -> dict[str, float]:
        """Return the seconds that each kind of row is kept."""
        with self._database.read() as connection:
            query = select(meta.c.value).where(meta.c.key == "retention")
            set_here = connection.execute(query).scalar()
        return {**RETENTION, **(set_here or {})}

    def put_retention(self, seconds: dict[str, float]) -> None:
        """Keep these kinds of rows for other times than :data:`RETENTION` says.

        :param seconds: by kind; kinds that are not named keep the default.
        """
        with self._database.write() as connection:
            upsert(connection, meta, {"key": "retention"}, {"value": seconds})

    def prune_when_due(self) -> None:
        """Prune when nobody has for :data:`PRUNE_EVERY`; cheap to call on every tick."""
        if self._now() < self._due:
            return
        with self._database.read() as connection:
            last = connection.execute(select(meta.c.value).where(meta.c.key == "pruned_at"))
            pruned_at = last.scalar()
        if pruned_at is None or self._now() >= pruned_at + PRUNE_EVERY:
            pruned_at = self._now()
            self.prune(pruned_at)
        self._due = pruned_at + PRUNE_EVERY

    def prune(self, now: WallTime) -> dict[str, int]:
        """Remove what is older than its retention; return how many rows of each kind went.

        An unfinished switchover is never too old, and neither is the newest decision of a
        resource: the next one is compared with it.
        """
        before = {kind: now - seconds for kind, seconds in self.retention().items()}
        newer = decisions.alias("newer")
        has_newer = (
            select(newer.c.id)
            .where(newer.c.resource == decisions.c.resource, newer.c.at > decisions.c.at)
            .exists()
        )
        old = {
            "switchovers": delete(switchovers).where(
                switchovers.c.outcome.is_not(None), switchovers.c.ended_at < before["switchovers"]
            ),
            "outcomes": delete(outcomes).where(outcomes.c.measured_at < before["outcomes"]),
            "plans": delete(plans).where(plans.c.expires_at < before["plans"]),
            "decisions": delete(decisions).where(
                decisions.c.decided_at < before["decisions"], has_newer
            ),
            "cache": delete(cache).where(cache.c.stored_at < before["cache"]),
            "round_trips": delete(round_trips).where(
                round_trips.c.measured_at < before["round_trips"]
            ),
        }
        with self._database.write() as connection:
            upsert(connection, meta, {"key": "pruned_at"}, {"value": now})
            gone = {kind: connection.execute(query).rowcount for kind, query in old.items()}
            # An approval goes with its plan.
            connection.execute(
                delete(control).where(
                    control.c.kind == "approved", control.c.subject.not_in(select(plans.c.id))
                )
            )
        return gone


def _some(keys: Iterable[str]) -> Iterator[list[str]]:
    """Yield keys, as many at once as a query takes."""
    left = iter(keys)
    while some := list(islice(left, 500)):
        yield some
