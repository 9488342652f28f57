"""The fakes and a real ledger behind an unreliable network, and controllers that use them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from foreshadow.domain.fleet import Acknowledged, Instance
from foreshadow.domain.moves import Lease, StepRecord, StepState, Switchover
from foreshadow.switchover.keeper import LeaseKeeper
from foreshadow.switchover.stage import Ports
from tests.unit.switchover.controller import Controllers, MortalLedger
from tests.unit.switchover.shaky import LEDGER, ShakyWorld
from tests.unit.switchover.world import NAME, FakeDirector, FakeInstances, FakeSync

STARTED, UNDOING = StepState.STARTED, StepState.UNDOING
_LOOKS = ("get", "health", "in_flight", "read", "converged", "drained", "held", "persist")
_ACTS = ("activate", "freeze", "promote", "demote", "seal", "unseal", "go_away", "prepare",
         "admit", "apply", "retire", "hold", "deliver", "release", "evict", "send",
         "hand_over", "schedule")  # fmt: skip


class _Fenced(FakeInstances):
    def raise_fence(self, token: int) -> None:
        self._heard(token)


class ShakyInstances(_Fenced):
    """The agent of one host."""


class ShakyDirector(FakeDirector):
    """A director."""


class ShakySync(FakeSync):
    """State sync. In a handover the source is called, and then calls the destination."""


def _target(port: Any, args: tuple[Any, ...]) -> str:
    if isinstance(port, FakeInstances):
        return port.machine.name
    if isinstance(port, FakeDirector):
        return "/".join(server.name for server in port.servers)
    return str(args[0])


def _through_the_network(kind: type, name: str, *, acts: bool) -> None:
    """Let a method of a class go through the network; an action carries a token.

    It becomes an attribute of the class, for what a director can do is looked up there.
    """

    def method(port: Any, *args: Any, **named: Any) -> Any:
        target, inner = _target(port, args), getattr(super(kind, port), name)
        token = inspect.signature(inner).bind(*args, **named).arguments["token"] if acts else None
        result = port.world.call(target, name, lambda: inner(*args, **named), token)
        if name == "health" and result.healthy:
            port.world.seen_well(target)
        return result

    setattr(kind, name, method)


for _kind in (ShakyInstances, ShakyDirector, ShakySync):
    for _name in (*_LOOKS, *_ACTS, "raise_fence", "fence"):
        if hasattr(_kind, _name):
            _through_the_network(_kind, _name, acts=_name not in _LOOKS)


class ShakyLedger(MortalLedger):
    """A real ledger that may not answer, or whose answer is lost."""

    world: ShakyWorld

    def acquire(self, resource: str, holder: str, ttl: float, is_dead: Any = None) -> Lease:
        lease = super().acquire(resource, holder, ttl, is_dead)
        self.world.newest = lease.token
        return lease

    def begin(self, lease: Lease, switchover: Switchover) -> None:
        write = super().begin
        self._through("begin", lambda: write(lease, switchover), lease.token)

    def step(self, lease: Lease, switchover_id: str, step: StepRecord) -> None:
        write = super().step

        def noted() -> None:
            write(lease, switchover_id, step)
            self._note(lease.token, step)

        self._through("step", noted, lease.token)

    def pivot(self, lease: Lease, switchover_id: str, lines: Sequence[StepRecord] = ()) -> None:
        write = super().pivot

        def judged() -> None:
            moved = super(ShakyLedger, self).switchover(switchover_id)
            write(lease, switchover_id, lines)
            for line in lines:
                self._note(lease.token, line)
            if not moved.pivoted:
                self.world.judge_pivot(moved.source, moved.destination)

        self._through("pivot", judged, lease.token)

    def finish(self, lease: Lease, switchover: Switchover) -> None:
        write = super().finish

        def judged() -> None:
            write(lease, switchover)
            left = [s.name for s in switchover.steps if s.state in (STARTED, UNDOING)]
            self.world.violations += [f"finished while {name} is open" for name in left]

        self._through("finish", judged, lease.token)

    def put_instance(self, instance: Instance) -> None:
        write = super().put_instance
        self._through("put_instance", lambda: write(instance))

    def acknowledge(self, acknowledged: Acknowledged) -> None:
        write = super().acknowledge
        self._through("acknowledge", lambda: write(acknowledged))

    def switchover(self, switchover_id: str) -> Switchover:
        read = super().switchover
        return self.world.call(LEDGER, "switchover", lambda: read(switchover_id))

    def _through(self, name: str, write: Callable[[], None], token: int | None = None) -> None:
        self.world.call(LEDGER, name, write, token)

    def _note(self, token: int, step: StepRecord) -> None:
        """Keep in mind which steps are open."""
        world = self.world
        if step.state not in (STARTED, UNDOING):
            world.open[token].discard(step.name)
            return
        world.open[token].add(step.name)
        way_back = "undo " if step.state is UNDOING else ""
        world.place = way_back + step.name, 0


class QuietKeeper(LeaseKeeper):
    """A keeper that renews when it is asked, and not by itself: the time of the world is ours."""

    def _keep(self) -> None:
        return


class ShakyControllers(Controllers):
    """Processes whose every call may go wrong."""

    world: ShakyWorld
    ledger: ShakyLedger
    holder = ""

    def ports(self) -> Ports:
        world = self.world

        def instances(host: str) -> ShakyInstances:
            return ShakyInstances(world, world.machines[host])

        return Ports(
            instances=instances,
            directors=tuple(ShakyDirector(world, servers) for servers in world.servers.values()),
            sync=ShakySync(world),
            raise_fence=lambda host, token: instances(host).raise_fence(token),
        )

    def keeper(self) -> LeaseKeeper:
        self.holder = f"controller-{next(self._holders)}"
        return QuietKeeper(
            self.ledger, NAME, self.holder, lambda holder: holder in self.dead, self.world.now
        )
