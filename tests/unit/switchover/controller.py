"""Controllers over the world in memory, with a real ledger: run, killed, run again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from foreshadow.domain.fleet import Host, Role
from foreshadow.domain.moves import Lease, Outcome, Plan, StepRecord, Switchover
from foreshadow.ledger import Ledger
from foreshadow.switchover.engine import Engine
from foreshadow.switchover.keeper import LeaseKeeper
from foreshadow.switchover.pace import Clock, Pace, Stop
from foreshadow.switchover.plan import make_plan
from foreshadow.switchover.recovery import recover
from foreshadow.switchover.stage import Ports, Stage
from foreshadow.switchover.view import look
from tests.unit.switchover.world import (
    NAME,
    FakeInstances,
    FakeSync,
    Killed,
    World,
    make_world,
)


class MortalLedger(Ledger):
    """A real ledger whose controller may die around each write of the journal."""

    world: World

    def begin(self, lease: Lease, switchover: Switchover) -> None:
        with self.world.event("journal begin"):
            super().begin(lease, switchover)

    def step(self, lease: Lease, switchover_id: str, step: StepRecord) -> None:
        with self.world.event(f"journal {step.name} {step.state.value}"):
            super().step(lease, switchover_id, step)

    def pivot(self, lease: Lease, switchover_id: str, lines: Sequence[StepRecord] = ()) -> None:
        with self.world.event("journal pivot"):
            super().pivot(lease, switchover_id, lines)

    def finish(self, lease: Lease, switchover: Switchover) -> None:
        with self.world.event("journal finish"):
            super().finish(lease, switchover)

    def release(self, lease: Lease) -> None:
        self.world.alive()
        super().release(lease)


def register(ledger: Ledger, world: World) -> None:
    """Write the hosts, the resource and its instances down, the primary first."""
    for name in world.machines:
        ledger.put_host(Host(name=name, address="127.0.0.1"))
    ledger.put_resource(world.spec)
    for name in sorted(world.machines, key=lambda n: world.machines[n].role is Role.SHADOW):
        seen = FakeInstances(world, world.machines[name]).get(NAME)
        assert seen is not None
        ledger.put_instance(seen)


def registered_in(folder: Path) -> Path:
    """Return the new file of a ledger that knows a world as it is at first."""
    path, world = folder / "registered.db", make_world()
    with Ledger.open(f"sqlite:///{path}", world.now) as ledger:
        register(ledger, world)
    return path


class Controllers:
    """Processes, one after the other, that work on one world with one ledger."""

    def __init__(self, world: World, ledger: MortalLedger) -> None:
        self.world = world
        self.ledger = ledger
        self.ledger.world = world
        self.stop = Stop(lambda: world.at)
        self._holders = itertools.count(1)
        self.dead: set[str] = set()

    def ports(self) -> Ports:
        world = self.world

        def raise_fence(host: str, token: int) -> None:
            FakeInstances(world, world.machines[host])._heard(token)

        return Ports(
            instances=lambda host: FakeInstances(world, world.machines[host]),
            directors=world.directors(),
            sync=FakeSync(world),
            raise_fence=raise_fence,
        )

    def keeper(self) -> LeaseKeeper:
        self.holder = f"controller-{next(self._holders)}"
        return LeaseKeeper(
            self.ledger, NAME, self.holder, lambda holder: holder in self.dead, self.world.now
        )

    def plan(self, destination: str, *, failover: bool = False) -> Plan:
        ports, world = self.ports(), self.world
        source = self.ledger.primary(NAME)
        view = look(
            world.spec,
            source,
            destination,
            ports.instances,
            ports.directors,
            lambda: ports.sync.standing(source, destination),
            world.now(),
        )
        return make_plan(view, world.now(), failover=failover)

    def stage(self, plan: Plan, keeper: LeaseKeeper) -> Stage:
        world = self.world
        clock = Clock(world.now, lambda: world.at, world.sleep, lambda: 0.5)
        pace = Pace(clock, keeper.check, self.stop)
        return Stage(world.spec, plan, self.ledger, keeper, pace, self.ports())

    def switch(self, destination: str, *, failover: bool = False) -> Switchover:
        """Plan and move, as one process that does nothing else."""
        plan = self.plan(destination, failover=failover)
        return self.run(plan)

    def run(self, plan: Plan) -> Switchover:
        with self.keeper() as keeper:
            begun = Switchover(
                id=f"s{len(self.ledger.switchovers(NAME)) + 1}",
                resource=NAME,
                source=plan.seen.source,
                destination=plan.seen.destination,
                plan=plan,
                token=keeper.token,
                started_at=self.world.now(),
            )
            return Engine(self.stage(plan, keeper), begun, Outcome.SWITCHED).run()

    def recover(self) -> list[Switchover]:
        """Finish or undo what is left, as another process."""
        ended = []
        for left in self.ledger.unfinished(NAME):
            with self.keeper() as keeper:
                ended.append(
                    recover(self.stage(left.plan, keeper), self.ledger.switchover(left.id))
                )
        return ended

    def dies(self, after: int, destination: str) -> bool:
        """Switch with death after so many events; return whether it came to that."""
        self.world.die_at = after
        try:
            self.switch(destination)
        except Killed:
            return True
        finally:
            self.bury()
        return False

    def bury(self) -> None:
        """Make the dead process known as dead, and let the next one live."""
        if self.world.dead:
            self.dead.add(self.holder)
        self.world.dead = False
        self.world.die_at = None
