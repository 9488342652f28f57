"""Who may act on a resource now, and the fencing token that makes a late actor harmless."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, bindparam, select, update

from foreshadow.domain.clock import WallTime, isoformat
from foreshadow.domain.errors import FencedError, LeaseHeldError
from foreshadow.domain.moves import Lease
from foreshadow.ledger import holder as holders
from foreshadow.ledger.schema import leases
from foreshadow.ledger.store import Store, upsert

_LEASE = select(leases).where(leases.c.resource == bindparam("of"))
"""Built once: every write asks it, also the commit of a switchover, for which clients wait."""


class Leases(Store):
    """One lease per resource. The token grows with each acquisition and never starts again."""

    def acquire(
        self,
        resource: str,
        holder: str,
        ttl: float,
        is_dead: Callable[[str], bool] = holders.is_dead,
    ) -> Lease:
        """Take the lease when nobody has it, or whoever has it is expired or dead.

        A live lease is held against everybody, also against its own process: two tasks of one
        process are two actors.

        :param ttl: seconds.
        :raises LeaseHeldError: names the holder.
        """
        with self._database.write() as connection:
            now = self._now()
            row = connection.execute(select(leases).where(leases.c.resource == resource)).first()
            if row and row.holder and row.expires_at > now and not is_dead(row.holder):
                raise LeaseHeldError(
                    f"is being moved by {row.holder} until {isoformat(row.expires_at)}",
                    where=f"resource {resource}",
                    remedy="wait for it, or let its lease expire",
                )
            token = row.token + 1 if row else 1
            expires_at = WallTime(now + ttl)
            upsert(
                connection,
                leases,
                {"resource": resource},
                {"token": token, "holder": holder, "expires_at": expires_at},
            )
            return Lease(resource, holder, token, expires_at)

    def renew(self, lease: Lease, ttl: float) -> Lease:
        """Return the lease, good for ``ttl`` seconds from now.

        An expired lease that nobody has taken over is renewed too.

        :raises FencedError: when somebody else has taken it, or it was released.
        """
        with self._database.write() as connection:
            check_token(connection, lease)
            expires_at = WallTime(self._now() + ttl)
            connection.execute(
                update(leases)
                .where(leases.c.resource == lease.resource)
                .values(expires_at=expires_at)
            )
            return Lease(lease.resource, lease.holder, lease.token, expires_at)

    def release(self, lease: Lease) -> None:
        """Give the lease back; one that somebody else has taken is left alone."""
        with self._database.write() as connection:
            connection.execute(
                update(leases)
                .where(leases.c.resource == lease.resource, leases.c.token == lease.token)
                .values(holder=None)
            )

    def lease(self, resource: str) -> Lease | None:
        """Return the lease of a resource, expired or not, or ``None`` when it is free."""
        with self._database.read() as connection:
            row = connection.execute(
                select(leases).where(leases.c.resource == resource, leases.c.holder.is_not(None))
            ).first()
        if row is None:
            return None
        return Lease(row.resource, row.holder, row.token, WallTime(row.expires_at))

    def newest_token(self, resource: str) -> int:
        """Return the newest token that was given out, also when nobody has it; 0 before any."""
        with self._database.read() as connection:
            chosen = select(leases.c.token).where(leases.c.resource == resource)
            return connection.execute(chosen).scalar() or 0


def check_token(connection: Connection, lease: Lease) -> None:
    """Refuse an actor whose lease is no longer the newest, within the transaction of its write.

    :raises FencedError: when a newer token was given out, or the lease was released.
    """
    row = connection.execute(_LEASE, {"of": lease.resource}).first()
    if row is None or row.token != lease.token or row.holder != lease.holder:
        now = f"{row.holder} has token {row.token}" if row and row.holder else "it was given back"
        raise FencedError(
            f"the lease with token {lease.token} is no longer valid: {now}",
            where=f"resource {lease.resource}",
            remedy="stop, and start again with a new lease",
        )
