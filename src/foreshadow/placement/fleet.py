"""The fleet as placement sees it: what stands where, how much it needs, how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from foreshadow.domain.fleet import Host, Instance
from foreshadow.domain.spec import ResourceSpec

Amounts = Mapping[str, float]
"""Demand or capacity by kind, in absolute units (cores, bytes, requests per second)."""


@dataclass(frozen=True)
class Fleet:
    """Everything that a ranking depends on.

    :ivar hosts: every host, relays too.
    :ivar specs: every registered resource by name.
    :ivar primaries: the host that carries each resource now.
    :ivar instances: what stands where, primaries and shadows.
    :ivar peaks: by resource, its highest demand over the time that is planned for; a kind that is
        not known is absent and counts as none.
    :ivar round_trips: measured seconds from one host to another.
    :ivar pair_terms: by resource and host, how well it ran there, in -1..1.
    :ivar reserved: by host, the resources that hold room there for a move whose outcome is not
        known yet.
    :ivar drivers: the instance drivers that are installed.
    """

    hosts: tuple[Host, ...]
    specs: Mapping[str, ResourceSpec]
    primaries: Mapping[str, str]
    instances: tuple[Instance, ...] = ()
    peaks: Mapping[str, Amounts] = field(default_factory=dict)
    round_trips: Mapping[tuple[str, str], float] = field(default_factory=dict)
    pair_terms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reserved: Mapping[str, frozenset[str]] = field(default_factory=dict)
    drivers: frozenset[str] = frozenset({"agent"})

    def host(self, name: str) -> Host | None:
        """Return a host by its name."""
        return self._by_name.get(name)

    def peak(self, resource: str) -> Amounts:
        """Return the highest demand of a resource, as far as it is known."""
        return self.peaks.get(resource, {})

    def limits(self, host: str) -> Amounts:
        """Return the capacity of a host; a kind that is not limited is absent."""
        return self._limits.get(host, {})

    def load(self, host: str, without: str) -> dict[str, float]:
        """Return the summed peaks of what is, or holds room, on a host, one resource left out."""
        total = self._loads.get(host, {})
        holds = self.primaries.get(without) == host or without in self.reserved.get(host, ())
        if not holds:
            return total
        own = self.peak(without)
        return {kind: amount - own.get(kind, 0.0) for kind, amount in total.items()}

    def instance(self, resource: str, host: str) -> Instance | None:
        """Return the instance of a resource on a host."""
        return self._instances.get((resource, host))

    def residents(self, host: str) -> frozenset[str]:
        """Return the resources whose primary or shadow is on a host."""
        return self._residents.get(host, frozenset())

    def keep_apart(self, resource: str, other: str) -> bool:
        """Return whether one of two resources names the other in its anti-affinity."""
        pairs = ((resource, other), (other, resource))
        return any(b in self.specs[a].placement.anti_affinity for a, b in pairs if a in self.specs)

    def observers(self, resource: str) -> tuple[str, ...]:
        """Return the hosts from which distance counts: the primary's and the load balancers'."""
        return observers(self.specs[resource], self.primaries[resource])

    @cached_property
    def largest(self) -> dict[str, float]:
        """Return the largest capacity of each kind: what makes kinds comparable."""
        found: dict[str, float] = {}
        for limits in self._limits.values():
            for kind, limit in limits.items():
                found[kind] = max(found.get(kind, 0.0), limit)
        return found

    @cached_property
    def _limits(self) -> dict[str, dict[str, float]]:
        return {host.name: host.capacity.limits() for host in self.hosts}

    @cached_property
    def _by_name(self) -> dict[str, Host]:
        return {host.name: host for host in self.hosts}

    @cached_property
    def _loads(self) -> dict[str, dict[str, float]]:
        loads: dict[str, dict[str, float]] = {}
        held = [(name, host) for host, names in self.reserved.items() for name in names]
        for resource, host in [*self.primaries.items(), *held]:
            total = loads.setdefault(host, {})
            for kind, amount in self.peak(resource).items():
                total[kind] = total.get(kind, 0.0) + amount
        return loads

    @cached_property
    def _instances(self) -> dict[tuple[str, str], Instance]:
        return {(instance.resource, instance.host): instance for instance in self.instances}

    @cached_property
    def _residents(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for resource, host in self.primaries.items():
            found.setdefault(host, set()).add(resource)
        for instance in self.instances:
            found.setdefault(instance.host, set()).add(instance.resource)
        return {host: frozenset(resources) for host, resources in found.items()}


def observers(spec: ResourceSpec, primary: str) -> tuple[str, ...]:
    """Return the hosts from which distance counts for a resource.

    State travels from the primary's host, requests from each load balancer that a director names
    by its agent (``endpoints: [{agent: lb-1}]``).
    """
    found = [primary]
    for director in spec.directors:
        for endpoint in director.options().get("endpoints", ()):
            agent = endpoint.get("agent") if isinstance(endpoint, Mapping) else None
            if isinstance(agent, str) and agent not in found:
                found.append(agent)
    return tuple(found)
