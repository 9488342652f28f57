"""A small world in memory: agents, directors and state sync that keep count of what they allow.

It outlives a controller that is killed, as the real one does. Every effect is an event before which
the controller may die: with the journal's writes among them, that is before an action, after it
and before it is written down, and after that. Whatever would lose a request is written down in
``violations``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import DirectorError, FencedError, ServiceError, UnreachableError
from foreshadow.domain.fleet import RESTING, Acknowledged, Instance, Role, RunState
from foreshadow.domain.protocols import Director, Endpoint, Health
from foreshadow.domain.spec import Mode, ResourceSpec, parse_resource

A, B, C = "edge-a", "edge-b", "edge-c"
NAME = "checkout"
REQUEST_SECONDS = 2.0


class Killed(BaseException):
    """The controller's process is gone: nothing of it runs any more, no handler either."""


@dataclass
class Machine:
    """One host: its instance and its agent.

    :ivar hanging: requests that it never answers, and that directors wait for.
    :ivar written: the writes in its state, ``received`` those in the last version that it applied.
    """

    name: str
    role: Role = Role.SHADOW
    state: RunState = RunState.FROZEN
    mode: Mode = Mode.WARM
    token: int = 0
    healthy: bool = True
    reachable: bool = True
    thawed_at: float = 0.0
    left_at: float = -100.0
    follows: tuple[str, ...] = ()
    sends_with: int = 0
    stuck: bool = False
    hanging: int = 0
    sealed: bool = False
    websockets: int = 0
    late_websockets: int = 0
    written: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)

    @property
    def serves(self) -> bool:
        return self.state is RunState.RUNNING and self.healthy


@dataclass
class Server:
    """One load balancer: by host its administrative state and weight.

    :ivar saved: what it comes back with from a reload.
    """

    name: str
    lines: dict[str, tuple[str, int]]
    reachable: bool = True
    token: int = 0
    held_until: float = 0.0
    held_since: float = 0.0
    saved: dict[str, tuple[str, int]] = field(init=False)

    def __post_init__(self) -> None:
        self.saved = dict(self.lines)

    def carried(self) -> dict[str, int]:
        ready = {h: w for h, (admin, w) in self.lines.items() if admin == "ready" and w}
        total = sum(ready.values())
        return {host: round(100 * weight / total) for host, weight in ready.items()}


@dataclass
class World:
    """Everything that a controller acts on."""

    spec: ResourceSpec
    machines: dict[str, Machine]
    servers: dict[str, list[Server]]
    at: float = 1_000_000.0
    events: list[str] = field(default_factory=list)
    die_at: int | None = None
    dead: bool = False
    violations: list[str] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    fencing: bool = True
    before_event: Callable[[str], None] = lambda _: None
    one_at_a_time: RLock = field(default_factory=RLock, repr=False)

    def now(self) -> WallTime:
        return WallTime(self.at)

    def sleep(self, seconds: float) -> None:
        self.alive()
        self.at += seconds

    def alive(self) -> None:
        if self.dead:
            raise Killed

    def _die_if_due(self) -> None:
        if self.die_at is None:
            return
        if self.die_at == 0:
            self.dead = True
            raise Killed
        self.die_at -= 1

    @contextmanager
    def event(self, label: str) -> Iterator[None]:
        """Wrap one effect: the controller may die before it.

        Directors are told at once, each by a thread: what one effect is, nobody sees half of.
        """
        with self.one_at_a_time:
            self.alive()
            self._die_if_due()
        self.before_event(label)
        with self.one_at_a_time:
            self.events.append(label)
            yield
            self.check(label)
            if self.spec.policy.pause_writes:
                self.write()

    def directors(self) -> tuple[Director, ...]:
        return tuple(FakeDirector(self, servers) for servers in self.servers.values())

    def all_servers(self) -> list[Server]:
        return [server for servers in self.servers.values() for server in servers]

    def has_traffic(self, host: str) -> bool:
        return any(
            host in server.carried() and server.held_until <= self.at
            for server in self.all_servers()
        )

    def write(self) -> None:
        """Let a client write through each load balancer: acknowledged, refused or held."""
        for server in self.all_servers():
            for host in server.carried() if server.held_until <= self.at else ():
                machine = self.machines[host]
                if machine.serves and machine.role is Role.PRIMARY and not machine.sealed:
                    number = len(self.acknowledged)
                    self.acknowledged.append(number)
                    machine.written.append(number)

    def in_flight(self, host: str) -> int:
        machine = self.machines[host]
        if machine.stuck or self.has_traffic(host):
            return 5
        if machine.websockets:
            return machine.websockets
        return 3 if self.at - machine.left_at < REQUEST_SECONDS else 0

    def check(self, label: str) -> None:
        """Write down what no event may bring about."""
        for server in self.all_servers():
            carried = server.carried()
            if not any(self.machines[host].serves for host in carried):
                self.violations.append(f"{label}: {server.name} has nobody that serves")
            for host in carried:
                if self.machines[host].role is not Role.PRIMARY:
                    self.violations.append(f"{label}: {host} has traffic and no writable state")

    def must_be_idle(self, host: str, label: str) -> None:
        machine = self.machines[host]
        if machine.state is RunState.RUNNING and machine.healthy and self.in_flight(host):
            self.violations.append(f"{label}: {host} has requests in flight")


@dataclass
class FakeInstances:
    """The instance driver of one host."""

    world: World
    machine: Machine

    def _heard(self, token: int | None = None) -> None:
        self.world.alive()
        if not self.machine.reachable:
            raise UnreachableError("does not answer", where=f"host {self.machine.name}")
        if token is not None:
            if token < self.machine.token and self.world.fencing:
                raise FencedError("a newer token was seen", where=f"host {self.machine.name}")
            self.machine.token = token

    def _seen(self) -> Instance:
        machine = self.machine
        return Instance(
            resource=NAME, host=machine.name, role=machine.role, mode=machine.mode,
            state=machine.state, address="127.0.0.1", port=8080,
        )  # fmt: skip

    def get(self, resource: str) -> Instance | None:
        self._heard()
        return self._seen()

    def create(self, spec: ResourceSpec, mode: Mode, token: int) -> Instance:
        raise NotImplementedError

    def adopt(self, spec: ResourceSpec, token: int) -> Instance:
        raise NotImplementedError

    def activate(self, spec: ResourceSpec, token: int) -> WallTime:
        self._heard(token)
        with self.world.event(f"activate {self.machine.name}"):
            if self.machine.state is not RunState.RUNNING:
                self.machine.state = RunState.RUNNING
                self.machine.thawed_at = self.world.at
            if not self.machine.healthy:
                raise ServiceError("never passed its health check", where=self.machine.name)
        return WallTime(self.machine.thawed_at)

    def freeze(self, spec: ResourceSpec, mode: Mode, token: int) -> Instance:
        self._heard(token)
        label = f"freeze {self.machine.name}"
        self.world.must_be_idle(self.machine.name, label)
        with self.world.event(label):
            if self.machine.role is Role.PRIMARY:
                self.world.violations.append(f"{label}: it is a primary")
            self.machine.state = RESTING[mode]
        return self._seen()

    def prepare(self, resource: str, token: int) -> None:
        self._heard(token)
        with self.world.event(f"prepare {self.machine.name}"):
            pass

    def promote(self, resource: str, token: int, within: float | None = None) -> Instance:
        self._heard(token)
        with self.world.event(f"promote {self.machine.name}"):
            if self.machine.role is not Role.PRIMARY:
                self.machine.written = list(self.machine.received)
            self.machine.role = Role.PRIMARY
            self.machine.sealed = False
        if not self.machine.serves:
            raise ServiceError("fails its health check", where=self.machine.name)
        return self._seen()

    def seal(self, resource: str, token: int, within: float = 0.0) -> None:
        self._heard(token)
        end = self.world.at + within
        while within and self.in_flight(resource):
            if self.world.at >= end:
                raise ServiceError("still has requests open", where=self.machine.name)
            self.world.sleep(0.1)
        with self.world.event(f"seal {self.machine.name}"):
            self.machine.sealed = True

    def unseal(self, resource: str, token: int) -> None:
        self._heard(token)
        with self.world.event(f"unseal {self.machine.name}"):
            self.machine.sealed = False

    def go_away(self, resource: str, token: int) -> None:
        self._heard(token)
        with self.world.event(f"go away {self.machine.name}"):
            if self.world.has_traffic(self.machine.name):
                self.world.violations.append(f"go away {self.machine.name}: they only come back")
            self.machine.websockets = self.machine.late_websockets
            self.machine.late_websockets = 0

    def demote(self, resource: str, token: int) -> Instance:
        self._heard(token)
        label = f"demote {self.machine.name}"
        self.world.must_be_idle(self.machine.name, label)
        with self.world.event(label):
            if self.machine.role is Role.PRIMARY:
                self.machine.received = list(self.machine.written)
            self.machine.role = Role.SHADOW
        return self._seen()

    def deactivate(self, resource: str, token: int) -> None:
        raise NotImplementedError

    def remove(self, resource: str, token: int) -> None:
        raise NotImplementedError

    def health(self, resource: str, successes: int = 1) -> Health:
        self._heard()
        well = self.machine.serves
        return Health(well, "200" if well else "connection refused", self.world.now())

    def in_flight(self, resource: str) -> int:
        self._heard()
        if not self.machine.serves:
            raise ServiceError("does not answer", where=f"{resource} on {self.machine.name}")
        return self.world.in_flight(self.machine.name)


@dataclass
class FakeDirector:
    """A director of one or more servers, which act one after the other."""

    world: World
    servers: list[Server]

    def _heard(self, server: Server, token: int | None = None) -> None:
        self.world.alive()
        if not server.reachable:
            raise UnreachableError("does not answer", where=server.name)
        if token is not None:
            if token < server.token and self.world.fencing:
                raise FencedError("a newer token was seen", where=server.name)
            server.token = token

    def read(self) -> tuple[Endpoint, ...]:
        for server in self.servers:
            self._heard(server)
        return tuple(
            Endpoint(
                name=server.name,
                weights=server.carried(),
                checked={
                    host: self.world.now()
                    for host, (admin, _) in server.lines.items()
                    if admin != "maint" and self.world.machines[host].serves
                },
                in_flight={},
            )
            for server in self.servers
        )

    def fence(self, token: int) -> None:
        silent = [server.name for server in self.servers if not server.reachable]
        for server in self.servers:
            if server.reachable:
                self._heard(server, token)
                with self.world.event(f"fence on {server.name}"):
                    pass
        if silent:
            raise UnreachableError("does not answer", where=silent[0])

    def admit(self, host: str, since: WallTime, token: int) -> None:
        for server in self.servers:
            self._heard(server, token)
            with self.world.event(f"admit {host} on {server.name}"):
                if server.lines[host][0] == "maint":
                    server.lines[host] = ("drain", 0)
        if not self.world.machines[host].serves:
            raise DirectorError(f"does not see {host} pass its check", where=self.servers[0].name)

    def apply(self, weights: Mapping[str, int], token: int) -> None:
        for server in self.servers:
            self._heard(server, token)
            for host in weights:
                if server.lines[host][0] == "maint":
                    raise DirectorError(f"{host} is not admitted", where=server.name)
        for server in self.servers:
            self._heard(server, token)
            for host, weight in weights.items():
                with self.world.event(f"{host} ready {weight} on {server.name}"):
                    server.lines[host] = ("ready", weight)
        for server in self.servers:
            for host, (admin, _) in server.lines.items():
                if host not in weights and admin == "ready":
                    with self.world.event(f"{host} drain on {server.name}"):
                        server.lines[host] = ("drain", 0)
                        self.world.machines[host].left_at = self.world.at

    def converged(self, weights: Mapping[str, int]) -> bool:
        for server in self.servers:
            self._heard(server)
        return all(server.carried() == weights for server in self.servers)

    def drained(self, host: str) -> bool:
        # As after a reload: the new process knows nothing of what the old one still holds.
        if self.world.machines[host].hanging:
            return False
        return not any(
            host in server.carried() and server.held_until <= self.world.at
            for server in self.servers
        )

    def retire(self, host: str, token: int) -> None:
        for server in self.servers:
            self._heard(server, token)
            if host in server.carried():
                raise DirectorError(f"{host} has traffic", where=server.name)
        for server in self.servers:
            self._heard(server, token)
            label = f"retire {host} on {server.name}"
            if not self.world.has_traffic(host):  # else they are another server's
                self.world.must_be_idle(host, label)
            with self.world.event(label):
                server.lines[host] = ("maint", 0)

    def hold(self, host: str, seconds: float, within: float, token: int) -> bool:
        for server in self.servers:
            self._heard(server, token)
            since = self.world.at
            with self.world.event(f"hold on {server.name}"):
                server.held_until = self.world.at + seconds
                server.held_since = since
                for carried in server.carried():
                    self.world.machines[carried].left_at = self.world.at
        return self.drained(host)

    def deliver(self, weights: Mapping[str, int], token: int) -> float | None:
        held = []
        for server in self.servers:
            self._heard(server, token)
            if any(server.lines[host][0] == "maint" for host in weights):
                raise DirectorError("was not admitted", where=server.name)
            with self.world.event(f"deliver on {server.name}"):
                for host in server.carried():
                    self.world.machines[host].left_at = self.world.at
                server.lines |= {host: ("ready", weight) for host, weight in weights.items()}
                server.lines |= {
                    host: ("drain", 0) for host, (admin, _) in server.lines.items()
                    if admin == "ready" and host not in weights
                }  # fmt: skip
            with self.world.event(f"release on {server.name}"):
                held.append(min(self.world.at, server.held_until) - server.held_since)
                server.held_until = 0.0
        return max(held)

    def held(self) -> bool:
        for server in self.servers:
            self._heard(server)
        return all(server.held_until > self.world.at for server in self.servers)

    def release(self, token: int) -> None:
        for server in self.servers:
            self._heard(server, token)
            with self.world.event(f"release on {server.name}"):
                server.held_until = 0.0

    def evict(self, host: str, token: int) -> None:
        for server in self.servers:
            self._heard(server, token)
            if host in server.carried():
                raise DirectorError(f"{host} still has traffic", where=server.name)
            if not self.world.machines[host].serves:
                with self.world.event(f"evict {host} on {server.name}"):
                    self.world.machines[host].hanging = 0

    def persist(self) -> None:
        for server in self.servers:
            self._heard(server)
        with self.world.event("persist"):
            for server in self.servers:
                server.saved = dict(server.lines)


@dataclass
class FakeSync:
    """State sync: the destination refuses a sender whose token is older than one it has seen."""

    world: World

    def _heard(self, host: str, token: int) -> None:
        FakeInstances(self.world, self.world.machines[host])._heard(token)

    def standing(self, source: str, destination: str) -> Acknowledged | None:
        at = WallTime(self.world.now() - 1.0)
        return Acknowledged(NAME, destination, 7, "root", at, at)

    def hand_over(self, source: str, destination: str, token: int, within: float) -> Acknowledged:
        FakeInstances(self.world, self.world.machines[source]).seal(NAME, token, within)
        return self.send(source, destination, token)

    def send(self, source: str, destination: str, token: int) -> Acknowledged:
        self._heard(source, token)
        self._heard(destination, token)
        with self.world.event(f"send {source} to {destination}"):
            self.world.machines[destination].received = list(self.world.machines[source].written)
        at = self.world.now()
        return Acknowledged(NAME, destination, 8, "root", at, at)

    def schedule(self, source: str, destinations: Sequence[str], token: int) -> None:
        self._heard(source, token)
        with self.world.event(f"schedule {source} to {', '.join(destinations) or 'nobody'}"):
            self.world.machines[source].follows = tuple(destinations)
            self.world.machines[source].sends_with = token


def spec_of(**changes: Any) -> ResourceSpec:
    raw: dict[str, Any] = {
        "name": NAME,
        "primary": A,
        "service": {
            "command": ["serve"],
            "port": 8080,
            "health": {"path": "/healthz"},
            "drain": {"source": "service", "path": "/inflight", "timeout": 10},
        },
        "state": [{"kind": "files", "path": "{state}"}],
        "directors": [{"kind": "pair"}, {"kind": "single"}],
        "policy": {"steps": [50, 100], "soak": 1},
    }
    return parse_resource(raw | changes)


def pausing_spec(**policy: Any) -> ResourceSpec:
    """Return a resource with a single writer."""
    spec = spec_of().plain()
    hooks = {"fence": ["fence"], "promote": ["promote"]}
    service = {**spec["service"], "hooks": hooks}
    return parse_resource({**spec, "service": service, "policy": {"pause_writes": True, **policy}})


def make_world(spec: ResourceSpec | None = None) -> World:
    """Return a world with the primary on A and warm shadows on B and C."""
    machines = {name: Machine(name) for name in (A, B, C)}
    primary = machines[A]
    primary.role, primary.state = Role.PRIMARY, RunState.RUNNING
    primary.follows = (B, C)

    def server(name: str) -> Server:
        return Server(name, {A: ("ready", 100), B: ("maint", 0), C: ("maint", 0)})

    return World(
        spec or spec_of(),
        machines,
        {"pair": [server("lb-1"), server("lb-2")], "single": [server("lb-3")]},
    )
