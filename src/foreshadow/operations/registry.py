"""Registering and removing resources and hosts.

All is validated before anything is written, and what is written is written at once. ``primary``
says where a resource runs at first: once its primary is in care the ledger knows better, and
another ``primary`` in the spec is no move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from foreshadow.domain.change import Change
from foreshadow.domain.drivers import CAPTURE, DIRECTORS, INSTANCES, METRICS, load_driver
from foreshadow.domain.errors import RefusedError, SpecError
from foreshadow.domain.fleet import Host, parse_host
from foreshadow.domain.near import unknown
from foreshadow.domain.problems import not_a_mapping
from foreshadow.domain.secrets import refuse_secret_in, refuse_secrets
from foreshadow.domain.spec import ResourceSpec, parse_resource
from foreshadow.operations.context import Context
from foreshadow.placement.fleet import observers
from foreshadow.sync.captures import load_captures
from foreshadow.sync.profile import compiled


def register_resources(
    context: Context,
    specs: Sequence[Mapping[str, Any]],
    defaults: Mapping[str, Any] | None = None,
    *,
    prune: bool = False,
) -> Change:
    """Register resources, and with ``prune`` remove those that are not listed.

    :param specs: what a person wrote, one mapping for each resource.
    :param defaults: merged under every one of them.
    :return: ``resources``: the specs with their defaults filled in.
    :raises SpecError: names the resource, the place in its spec, and the way out.
    :raises RefusedError: when one to prune still has instances or moves.
    """
    wanted = [parse_resource(raw, defaults) for raw in specs]
    _refuse_duplicates("resource", [spec.name for spec in wanted])
    hosts = {host.name: host for host in context.ledger.hosts()}
    there = {spec.name: spec for spec in context.ledger.resources()}
    named = {spec.name: spec for spec in wanted}
    for spec in wanted:
        _refuse_unknown_names(spec, hosts, there.keys() | named.keys())
        _refuse_unusable(context, spec, hosts)
    pruned = set(there) - set(named) if prune else set()
    context.ledger.refuse_bound_resources(pruned)
    changed = [spec for name, spec in named.items() if there.get(name) != spec]
    result = {"resources": [spec.plain() for spec in wanted]}

    def perform() -> dict[str, Any]:
        context.ledger.change_resources(put=changed, remove=pruned)
        return result

    before = {name: spec for name, spec in there.items() if name in named or name in pruned}
    return Change(_by_name("resources", before), _by_name("resources", named), result, perform)


def remove_resources(context: Context, entries: Sequence[Mapping[str, Any] | str]) -> Change:
    """Remove resources, named or given as specs; one that is not registered is no error.

    :return: ``resources``: an empty list.
    :raises RefusedError: when one still has instances or moves.
    """
    names = {_name_of("resource", entry) for entry in entries}
    there = {spec.name: spec for spec in context.ledger.resources() if spec.name in names}
    context.ledger.refuse_bound_resources(there)

    def perform() -> dict[str, Any]:
        context.ledger.change_resources(remove=there)
        return {"resources": []}

    before = _by_name("resources", there)
    return Change(before, _by_name("resources", {}), {"resources": []}, perform)


def register_hosts(context: Context, hosts: Sequence[Mapping[str, Any]]) -> Change:
    """Register hosts.

    :return: ``hosts``: the hosts with their defaults filled in.
    :raises SpecError: names the host, the key, and the way out.
    """
    wanted = [parse_host(raw) for raw in hosts]
    _refuse_duplicates("host", [host.name for host in wanted])
    for host in wanted:
        _refuse_unknown_kind(INSTANCES, host.driver, f"host {host.name}, driver")
        refuse_secret_in({"labels": host.labels}, f"host {host.name}")
        if host.relay:
            _refuse_carrier(context, host.name)
    named = {host.name: host for host in wanted}
    there = {host.name: host for host in context.ledger.hosts() if host.name in named}
    changed = [host for name, host in named.items() if there.get(name) != host]
    result = {"hosts": [host.plain() for host in wanted]}

    def perform() -> dict[str, Any]:
        context.ledger.change_hosts(put=changed)
        return result

    return Change(_by_name("hosts", there), _by_name("hosts", named), result, perform)


def remove_hosts(context: Context, entries: Sequence[Mapping[str, Any] | str]) -> Change:
    """Remove hosts, named or given as mappings; one that is not registered is no error.

    :return: ``hosts``: an empty list.
    :raises RefusedError: when one carries instances, is where a primary belongs, or directs
        traffic.
    """
    names = {_name_of("host", entry) for entry in entries}
    there = {host.name: host for host in context.ledger.hosts() if host.name in names}
    context.ledger.refuse_bound_hosts(there)
    for spec in context.ledger.resources():
        for name in observers(spec, context.ledger.primary(spec.name)):
            if name in there:
                raise RefusedError(
                    f"directs the traffic of {spec.name}",
                    where=f"host {name}",
                    remedy=f"take it out of the directors of {spec.name} first",
                )

    def perform() -> dict[str, Any]:
        context.ledger.change_hosts(remove=there)
        return {"hosts": []}

    return Change(_by_name("hosts", there), _by_name("hosts", {}), {"hosts": []}, perform)


def _refuse_unknown_names(
    spec: ResourceSpec, hosts: Collection[str], resources: Collection[str]
) -> None:
    """Refuse a name that stands for nothing: a slip would choose from, or keep apart, nothing."""
    named: tuple[tuple[str, str, Iterable[str], Collection[str]], ...] = (
        ("primary", "host", (spec.primary,), hosts),
        ("shadows.candidates.hosts", "host", spec.shadows.candidates.hosts, hosts),
        ("placement.anti_affinity", "resource", spec.placement.anti_affinity, resources),
        ("directors", "host", observers(spec, spec.primary), hosts),
    )
    for key, what, names, known in named:
        for name in names:
            if name not in known:
                raise unknown(what, name, known, where=f"resource {spec.name}, {key}")


def _refuse_unusable(context: Context, spec: ResourceSpec, hosts: Mapping[str, Host]) -> None:
    """Refuse a spec that is well-formed, and cannot be worked with."""
    where = f"resource {spec.name}"
    refuse_secrets(spec)
    for i, director in enumerate(spec.directors):
        _refuse_unknown_kind(DIRECTORS, director.kind, f"{where}, directors[{i}].kind")
    for i, source in enumerate(spec.metrics.sources):
        _refuse_unknown_kind(METRICS, source.kind, f"{where}, metrics.sources[{i}].kind")
    for i, state in enumerate(spec.state):
        _refuse_unknown_kind(CAPTURE, state.kind, f"{where}, state[{i}].kind")
    if hosts[spec.primary].relay:
        raise SpecError(
            f"{spec.primary} is a load balancer's host",
            where=f"{where}, primary",
            remedy="name a host without relay: true",
        )
    # Each driver knows its own keys: it says here what is wrong with them, not at the first move.
    context.directors(spec)
    load_captures(spec.state)
    for source in spec.metrics.sources:
        context.source(source, spec.metrics.clock.clock())
    if spec.service.profile is not None:
        compiled(spec.service.profile.query)


def _refuse_carrier(context: Context, host: str) -> None:
    carried = [i.resource for i in context.ledger.instances() if i.host == host]
    if carried:
        raise RefusedError(
            f"carries instances of {', '.join(sorted(carried))}, and a load balancer's host has "
            "none",
            where=f"host {host}",
            remedy="leave relay out, or remove them first",
        )


def _refuse_unknown_kind(group: str, kind: str, where: str) -> None:
    try:
        load_driver(group, kind)
    except SpecError as error:
        raise SpecError(error.problem, where=where, remedy=error.remedy) from None


def _refuse_duplicates(what: str, names: Iterable[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise SpecError(
            "is given more than once", where=f"{what} {twice[0]}", remedy="give each name once"
        )


def _name_of(what: str, entry: Mapping[str, Any] | str) -> str:
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, Mapping):
        raise not_a_mapping(what, entry)
    name = entry.get("name")
    if not isinstance(name, str):
        raise SpecError("has no name", where=what, remedy="add its name")
    return name


def _by_name(key: str, specs: Mapping[str, ResourceSpec] | Mapping[str, Host]) -> dict[str, Any]:
    return {key: {name: specs[name].plain() for name in sorted(specs)}}
