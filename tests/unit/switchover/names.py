"""A world with a name before its load balancers, which clients and resolvers keep for its TTL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import DirectorError, FencedError, SpecError
from foreshadow.domain.protocols import Answer, Director, Endpoint
from tests.unit.switchover.world import A, World, make_world, spec_of

TTL = 30.0


@dataclass
class Keeper:
    """A server that follows the name, or a resolver that keeps it.

    :ivar lag: seconds after which it leads where the name was made to lead.
    """

    name: str
    authoritative: bool
    lag: float
    silent: bool = False


@dataclass
class Name:
    """Where the name leads, and until when somebody may still have where it led before.

    :ivar reads: how often somebody looked at the name itself; ``looks``: at who answers what.
    """

    host: str = A
    changed_at: float = 0.0
    before: str = A
    kept: dict[str, float] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    token: int = 0
    ttl: float = TTL
    reads: int = 0
    looks: int = 0

    def known(self, host: str, at: float) -> bool:
        """Return whether a client may come to a host by the name."""
        return host == self.host or self.kept.get(host, 0.0) > at


@dataclass
class NamedWorld(World):
    """The world, and a name that leads directly to the hosts."""

    name: Name = field(default_factory=Name)
    keepers: list[Keeper] = field(
        default_factory=lambda: [Keeper("ns1", True, 0.0), Keeper("resolver", False, TTL - 1)]
    )

    def directors(self) -> tuple[Director, ...]:
        return (NameDirector(self), *super().directors())

    def has_traffic(self, host: str) -> bool:
        return super().has_traffic(host) or self.name.known(host, self.at)

    def check(self, label: str) -> None:
        super().check(label)
        for host, machine in self.machines.items():
            if self.name.known(host, self.at) and not machine.serves:
                self.violations.append(f"{label}: {host} is still known by name and does not serve")


@dataclass
class NameDirector:
    """The director of the name."""

    world: NamedWorld
    name: str = "name shop.example.org"

    def _heard(self, token: int) -> Name:
        self.world.alive()
        record = self.world.name
        if token < record.token:
            raise FencedError("a newer token was seen", where=self.name)
        record.token = token
        return record

    def shares(self) -> bool:
        return False

    def read(self) -> tuple[Endpoint, ...]:
        self.world.alive()
        self.world.name.reads += 1
        well = {h: self.world.now() for h, m in self.world.machines.items() if m.serves}
        return (Endpoint("ns1", {self.world.name.host: 100}, well, {}),)

    def admit(self, host: str, since: WallTime, token: int) -> None:
        record = self._heard(token)
        if not self.world.machines[host].serves:
            raise DirectorError(f"{host} passed no check", where=self.name)
        with self.world.event(f"admit {host} by name"):
            record.ready.add(host)

    def apply(self, weights: Mapping[str, int], token: int) -> None:
        if len(weights) != 1:
            raise SpecError("cannot share", where=self.name)
        record, (host,) = self._heard(token), weights
        if host == record.host:
            return
        if host not in record.ready | {A}:
            raise DirectorError(f"{host} is not admitted", where=self.name)
        with self.world.event(f"name leads to {host}"):
            now = self.world.at
            record.kept[record.host] = now + record.ttl
            record.before, record.host, record.changed_at = record.host, host, now
            record.ready |= {record.before, host}

    def converged(self, weights: Mapping[str, int]) -> bool:
        self.world.alive()
        return {host: share for host, share in weights.items() if share} == {
            self.world.name.host: 100
        }

    def drained(self, host: str) -> bool:
        self.world.alive()
        return not self.world.name.known(host, self.world.at) and all(
            host not in answer.hosts for answer in self.answers()
        )

    def retire(self, host: str, token: int) -> None:
        record = self._heard(token)
        if record.known(host, self.world.at):
            self.world.violations.append(f"retire {host} by name: it is still known")
        with self.world.event(f"retire {host} by name"):
            record.ready.discard(host)

    def persist(self) -> None:
        self.world.alive()

    def answers(self) -> tuple[Answer, ...]:
        self.world.alive()
        record, now = self.world.name, self.world.at
        record.looks += 1
        out = []
        for keeper in self.world.keepers:
            since = record.changed_at + keeper.lag
            host = record.host if now >= since else record.before
            hosts, problem = ((), "does not answer") if keeper.silent else ((host,), "")
            at = WallTime(since if now >= since else record.changed_at)
            out.append(Answer(keeper.name, keeper.authoritative, hosts, record.ttl, at, problem))
        return tuple(out)

    def cached_until(self, host: str) -> WallTime:
        self.world.alive()
        record = self.world.name
        if host == record.host:
            return WallTime(self.world.at + record.ttl)
        return WallTime(record.kept.get(host, 0.0))

    def ttl(self) -> float:
        return self.world.name.ttl

    def set_ttl(self, seconds: float, token: int) -> None:
        record = self._heard(token)
        with self.world.event(f"TTL {seconds:g}"):
            record.ttl = seconds

    def armed_ttl(self) -> float | None:
        return 5.0


def named_world(**changes: Any) -> NamedWorld:
    """Return the world with a name, which the spec has first."""
    kinds = [{"kind": kind} for kind in ("name", "pair", "single")]
    plain = make_world(spec_of(directors=kinds, **changes))
    return NamedWorld(plain.spec, plain.machines, plain.servers)
