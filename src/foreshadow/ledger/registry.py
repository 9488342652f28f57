"""The resources and hosts that a person has registered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, bindparam, delete, select

from foreshadow.domain.errors import RefusedError
from foreshadow.domain.fleet import Host, parse_host
from foreshadow.domain.near import unknown
from foreshadow.domain.secrets import refuse_secrets
from foreshadow.domain.spec import ResourceSpec, parse_resource
from foreshadow.ledger.schema import hosts, instances, resources, switchovers
from foreshadow.ledger.store import Store, upsert

# Built once: a move asks it some twenty times.
_NAMED = {
    table: select(table)
    .where(table.c.name.in_(bindparam("names", expanding=True)))
    .order_by(table.c.name)
    for table in (resources, hosts)
}


class Registry(Store):
    """Specs by name. Several are put and removed in one transaction, or none of them."""

    def put_resource(self, spec: ResourceSpec) -> None:
        """Register a resource, or give it a new spec."""
        self.change_resources(put=[spec])

    def remove_resource(self, name: str) -> None:
        """Forget a resource; what it decided and how it moved stays until it is old."""
        self.change_resources(remove=[name])

    def change_resources(
        self, put: Iterable[ResourceSpec] = (), remove: Collection[str] = ()
    ) -> None:
        """Put and remove resources in one transaction; an unknown name to remove is no error.

        :raises SpecError: when a spec holds what looks like a secret.
        :raises RefusedError: when one to remove still has instances or an unfinished switchover.
        """
        with self._database.write() as connection:
            for name in sorted(remove):
                _refuse_bound_resource(connection, name)
                connection.execute(delete(resources).where(resources.c.name == name))
            for spec in put:
                refuse_secrets(spec)
                row = {"spec": spec.plain(), "updated_at": self._now()}
                upsert(connection, resources, {"name": spec.name}, row)

    def refuse_bound_resources(self, names: Iterable[str]) -> None:
        """Refuse the removal of resources that still have instances or move.

        :raises RefusedError: names the first of them, where it is, and the way out.
        """
        with self._database.read() as connection:
            for name in sorted(names):
                _refuse_bound_resource(connection, name)

    def resource(self, name: str) -> ResourceSpec:
        """Return the spec of a resource.

        :raises UnknownNameError: suggests a near name.
        """
        return self.resources([name])[0]

    def resources(self, names: Sequence[str] | None = None) -> tuple[ResourceSpec, ...]:
        """Return the specs of these resources, or of all, sorted by name.

        :raises UnknownNameError: when one of the names is not registered.
        """
        with self._database.read() as connection:
            rows = _rows(connection, resources, "resource", names)
        return tuple(parse_resource(row.spec) for row in rows)

    def primary(self, resource: str) -> str:
        """Return the host on which the primary is; the spec's word until one is in care.

        :raises UnknownNameError: when the resource is not registered.
        """
        with self._database.read() as connection:
            row = _rows(connection, resources, "resource", [resource])[0]
        return str(row.primary_host or row.spec["primary"])

    def primaries(self) -> dict[str, str]:
        """Return the host of each primary by resource, as :meth:`primary` has it."""
        query = select(resources.c.name, resources.c.primary_host, resources.c.spec)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {row.name: str(row.primary_host or row.spec["primary"]) for row in rows}

    def put_host(self, host: Host) -> None:
        """Register a host, or describe it anew."""
        self.change_hosts(put=[host])

    def remove_host(self, name: str) -> None:
        """Forget a host."""
        self.change_hosts(remove=[name])

    def change_hosts(self, put: Iterable[Host] = (), remove: Collection[str] = ()) -> None:
        """Put and remove hosts in one transaction; an unknown name to remove is no error.

        :raises RefusedError: when one to remove carries instances, or is where a primary belongs.
        """
        with self._database.write() as connection:
            for name in sorted(remove):
                _refuse_bound_host(connection, name)
                connection.execute(delete(hosts).where(hosts.c.name == name))
            for host in put:
                row = {"spec": host.plain(), "updated_at": self._now()}
                upsert(connection, hosts, {"name": host.name}, row)

    def refuse_bound_hosts(self, names: Iterable[str]) -> None:
        """Refuse the removal of hosts that carry instances, or where a primary belongs.

        :raises RefusedError: names the first of them, its resources, and the way out.
        """
        with self._database.read() as connection:
            for name in sorted(names):
                _refuse_bound_host(connection, name)

    def host(self, name: str) -> Host:
        """Return a host.

        :raises UnknownNameError: suggests a near name.
        """
        with self._database.read() as connection:
            return parse_host(_rows(connection, hosts, "host", [name])[0].spec)

    def hosts(self) -> tuple[Host, ...]:
        """Return all hosts, sorted by name."""
        with self._database.read() as connection:
            rows = _rows(connection, hosts, "host", None)
        return tuple(parse_host(row.spec) for row in rows)


def require(connection: Connection, table: Table, what: str, name: str) -> None:
    """Refuse a name that is not registered.

    :raises UnknownNameError: suggests a near name.
    """
    _rows(connection, table, what, [name])


def _rows(
    connection: Connection, table: Table, what: str, names: Sequence[str] | None
) -> Sequence[Row[Any]]:
    if names is None:
        return connection.execute(select(table).order_by(table.c.name)).all()
    rows = connection.execute(_NAMED[table], {"names": names}).all()
    missing = sorted(set(names) - {row.name for row in rows})
    if missing:
        raise unknown(what, missing[0], connection.execute(select(table.c.name)).scalars())
    return rows


def _refuse_bound_resource(connection: Connection, name: str) -> None:
    on = connection.execute(
        select(instances.c.host).where(instances.c.resource == name).order_by(instances.c.host)
    ).scalars()
    if places := ", ".join(on):
        raise RefusedError(
            f"still has instances on {places}",
            where=f"resource {name}",
            remedy="remove them first: shadow_instance with state absent",
        )
    moving = connection.execute(
        select(switchovers.c.id).where(
            switchovers.c.resource == name, switchovers.c.outcome.is_(None)
        )
    ).scalar()
    if moving is not None:
        raise RefusedError(
            f"switchover {moving} is unfinished",
            where=f"resource {name}",
            remedy="run the switchover with state recovered first",
        )


def _refuse_bound_host(connection: Connection, name: str) -> None:
    of = connection.execute(
        select(instances.c.resource).where(instances.c.host == name).order_by(instances.c.resource)
    ).scalars()
    if carried := ", ".join(of):
        raise RefusedError(
            f"still carries instances of {carried}",
            where=f"host {name}",
            remedy="remove them, or switch over to another host, first",
        )
    for row in connection.execute(select(resources).order_by(resources.c.name)):
        if (row.primary_host or row.spec["primary"]) == name:
            raise RefusedError(
                f"is the primary host of {row.name}",
                where=f"host {name}",
                remedy=f"register {row.name} with another primary, or remove it, first",
            )
