"""What runs where, which instance is the primary, and what each shadow has acknowledged."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, select, update

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import RefusedError
from foreshadow.domain.fleet import Acknowledged, Instance, Role
from foreshadow.ledger.registry import require
from foreshadow.ledger.schema import acknowledgements, hosts, instances, resources
from foreshadow.ledger.store import Store, upsert

# Built once, for a commit: clients wait for it.
_MINE = (instances.c.resource == bindparam("of"), instances.c.host == bindparam("on"))
_SPEC = select(instances.c.spec).where(*_MINE)
_CHANGE = update(instances).where(*_MINE)


class Instances(Store):
    """Instances by resource and host; at most one of a resource is the primary."""

    def put_instance(self, instance: Instance) -> None:
        """Write down an instance as its driver reports it.

        The first primary of a resource is taken at its word; from then on only a switchover's
        pivot makes another one.

        :raises UnknownNameError: when the resource or the host is not registered.
        :raises RefusedError: when its role is not what the ledger knows.
        """
        with self._database.write() as connection:
            require(connection, resources, "resource", instance.resource)
            require(connection, hosts, "host", instance.host)
            self._settle_primary(connection, instance)
            upsert(
                connection,
                instances,
                {"resource": instance.resource, "host": instance.host},
                {
                    "role": instance.role.value,
                    "spec": instance.plain(),
                    "updated_at": self._now(),
                },
            )

    def _settle_primary(self, connection: Connection, instance: Instance) -> None:
        of = resources.c.name == instance.resource
        known = connection.execute(select(resources.c.primary_host).where(of)).scalar_one()
        if known is None:
            if instance.role is Role.PRIMARY:
                connection.execute(update(resources).where(of).values(primary_host=instance.host))
            return
        expected = Role.PRIMARY if instance.host == known else Role.SHADOW
        if instance.role is not expected:
            raise RefusedError(
                f"is a {instance.role.value} there, and the ledger has the primary on {known}",
                where=f"resource {instance.resource} on host {instance.host}",
                remedy="only a switchover moves the primary: run it, or recover it",
            )

    def instances(
        self, resource: str | None = None, host: str | None = None
    ) -> tuple[Instance, ...]:
        """Return the instances of a resource, on a host, or all; sorted by resource and host."""
        query = select(instances.c.spec).order_by(instances.c.resource, instances.c.host)
        if resource is not None:
            query = query.where(instances.c.resource == resource)
        if host is not None:
            query = query.where(instances.c.host == host)
        with self._database.read() as connection:
            rows = connection.execute(query).scalars().all()
        return tuple(Instance.model_validate(row) for row in rows)

    def remove_instance(self, resource: str, host: str) -> None:
        """Forget an instance and what it has acknowledged; one that is not there is no error."""
        with self._database.write() as connection:
            for table in (instances, acknowledgements):
                connection.execute(
                    delete(table).where(table.c.resource == resource, table.c.host == host)
                )
            # Without an instance no primary is in care: the spec's word counts again when this
            # was the last one, so that the resource can be set up anew elsewhere.
            left = select(instances.c.host).where(instances.c.resource == resource)
            if connection.execute(left).first() is None:
                connection.execute(
                    update(resources).where(resources.c.name == resource).values(primary_host=None)
                )

    def acknowledge(self, acknowledged: Acknowledged) -> None:
        """Write down what a shadow has applied, in place of what it had before.

        :raises UnknownNameError: when the resource is not registered.
        """
        with self._database.write() as connection:
            require(connection, resources, "resource", acknowledged.resource)
            upsert(
                connection,
                acknowledgements,
                {"resource": acknowledged.resource, "host": acknowledged.host},
                {
                    "version": acknowledged.version,
                    "root": acknowledged.root,
                    "captured_at": acknowledged.captured_at,
                    "acknowledged_at": acknowledged.acknowledged_at,
                },
            )

    def acknowledgements(self, resource: str) -> dict[str, Acknowledged]:
        """Return by host what the shadows of a resource have acknowledged last."""
        query = select(acknowledgements).where(acknowledgements.c.resource == resource)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(acknowledgements.c.host)).mappings().all()
        return {row["host"]: Acknowledged(**row) for row in rows}


def change_role(
    connection: Connection, resource: str, host: str, role: Role, now: WallTime
) -> None:
    """Give an instance another role, within the transaction of a pivot."""
    mine = {"of": resource, "on": host}
    spec = connection.execute(_SPEC, mine).scalar()
    if spec is not None:
        values = {"role": role.value, "spec": {**spec, "role": role.value}, "updated_at": now}
        connection.execute(_CHANGE, mine | values)
