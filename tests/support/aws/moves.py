"""Whole switchovers over a director of AWS, with a fault at any one of its requests.

Everything but the director is the world in memory of the switchover's own tests, which keeps count
of what must not happen; where traffic goes, that world sees at the cloud.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from foreshadow.domain.errors import ForeshadowError
from foreshadow.domain.fleet import RESTING, Role, RunState
from foreshadow.domain.protocols import Director
from foreshadow.switchover.stage import Ports
from tests.support.aws.balancer import HOSTS, Balancer, make_balancer
from tests.support.aws.faults import Fault
from tests.support.aws.passing import PassingTime
from tests.support.aws.records import Records
from tests.support.aws.server import Cloud, running_cloud
from tests.support.aws.targets import Targets
from tests.support.aws.zone import WeightedZone, weighted_zone
from tests.unit.switchover.controller import Controllers, MortalLedger, register
from tests.unit.switchover.world import NAME, A, B, Machine, Server, World, spec_of

_PENDING = 1.0
_FOR_EVER = 1e9
ONCE = [Fault.THROTTLED, Fault.UNAVAILABLE, Fault.SLOW, Fault.RESET, Fault.LOST]
"""What a switchover has to get over."""
FOR_GOOD = [
    Fault.DENIED, Fault.EXPIRED, Fault.UNAVAILABLE, Fault.THROTTLED, Fault.RESET, Fault.LOST
]  # fmt: skip
"""What it meets from one request on until somebody has mended it."""


class Traffic(Protocol):
    """A director of AWS, and where its traffic goes.

    :ivar patience: seconds, in the world's time, that an old primary may take to drain.
    """

    cloud: Cloud
    time: PassingTime
    patience: int

    def rest(self) -> None:
        """Give ``edge-a`` all traffic."""
        ...

    def weights(self) -> dict[str, int]:
        """Return the weights above 0, as the last change that the cloud took has set them."""
        ...

    def director(self, world: World) -> Director:
        """Return a director, as a new process would have it."""
        ...

    def turns(self) -> dict[str, Callable[[], None]]:
        """Return what may change in the cloud while a switchover goes on, and stay so."""
        ...

    def mend(self) -> None:
        """Undo every turn."""
        ...


@dataclass
class BalancerTraffic:
    """The director ``elbv2``."""

    balancer: Balancer
    time: PassingTime
    patience: int = 5

    def __post_init__(self) -> None:
        self.cloud = self.balancer.cloud

    def rest(self) -> None:
        self.balancer.rest()

    def weights(self) -> dict[str, int]:
        shown = self.balancer.targets.weights[self.balancer.listener]
        return {host: shown[arn] for host, arn in self.balancer.groups.items() if shown[arn]}

    def director(self, world: World) -> Director:
        return self.balancer.director(
            clocks_of(world), attempts=3,
            poll="1s", settle="1s", drain_timeout="10s", admit_timeout="25s",
        )  # fmt: skip

    def turns(self) -> dict[str, Callable[[], None]]:
        """The shadow falls ill; no target's requests end."""
        targets = self.balancer.targets

        def fall_ill() -> None:
            targets._unwell[HOSTS[B]] = targets.now()

        def never_drain() -> None:
            targets.open.update(HOSTS.values())

        return {"unwell": fall_ill, "draining": never_drain}

    def mend(self) -> None:
        self.balancer.targets._unwell.clear()
        self.balancer.targets.open.clear()


@dataclass
class ZoneTraffic:
    """The director ``route53``."""

    zone: WeightedZone
    time: PassingTime
    patience: int = 300

    def __post_init__(self) -> None:
        self.cloud = self.zone.cloud

    def rest(self) -> None:
        self.zone.rest()

    def weights(self) -> dict[str, int]:
        return self.zone.weights()

    def director(self, world: World) -> Director:
        return self.zone.director(
            clocks_of(world), attempts=3, poll="1s", admit_timeout="25s", sync_timeout="10s"
        )

    def turns(self) -> dict[str, Callable[[], None]]:
        """The shadow falls ill; no change gets into sync; the zone is busy; pages are short."""
        records, site = self.zone.records, self.zone.sites[B]
        return {
            "unwell": lambda: setattr(site, "well", False),
            "pending": lambda: setattr(records, "pending", _FOR_EVER),
            "busy": lambda: setattr(records, "busy", True),
            "paging": lambda: setattr(records, "page", 1),
        }

    def mend(self) -> None:
        records = self.zone.records
        records.pending, records.busy, records.page = _PENDING, False, 100
        records._changes.clear()
        self.zone.sites[B].well = True


@dataclass
class CloudWorld(World):
    """The world, whose only load balancer is the cloud's."""

    traffic: Traffic = field(kw_only=True)

    def all_servers(self) -> list[Server]:
        """Return what the cloud shows, as a load balancer of the world."""
        shown = self.traffic.weights()
        lines = {name: ("ready" if shown.get(name) else "maint", shown.get(name, 0))
                 for name in self.machines}  # fmt: skip
        return [Server("aws", lines)]


class CloudControllers(Controllers):
    """Processes that direct through the cloud."""

    world: CloudWorld

    def ports(self) -> Ports:
        return replace(super().ports(), directors=(self.world.traffic.director(self.world),))


def clocks_of(world: World) -> dict[str, Any]:
    """Return the clocks of a world, as a director takes them."""
    return {"now": world.now, "monotonic": lambda: world.at, "sleep": world.sleep}


@contextmanager
def running_traffic(kind: str) -> Iterator[Traffic]:
    """Give a cloud at rest, with a director of this kind."""
    time = PassingTime()
    with running_cloud() as cloud, time.of_boto3():
        if kind == "elbv2":
            targets = Targets(initial=1.0, notice=0.0, drain=1.0, now=time.now)
            cloud.truths.append(targets)
            yield BalancerTraffic(make_balancer(cloud, targets), time)
        else:
            records = Records(pending=_PENDING, now=time.now)
            cloud.truths.append(records)
            with weighted_zone(cloud, records) as zone:
                yield ZoneTraffic(zone, time)


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """Give a folder for ledgers; in memory, for no crash of the machine is tested."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as made:
        yield Path(made)


def new_controllers(traffic: Traffic, folder: Path, number: int) -> CloudControllers:
    """Return controllers over a world at rest, with a ledger of its own."""
    traffic.rest()
    machines = {name: Machine(name) for name in HOSTS}
    machines[A].role, machines[A].state, machines[A].follows = Role.PRIMARY, RunState.RUNNING, (B,)
    drain = {"source": "service", "path": "/inflight", "timeout": traffic.patience}
    service = {**spec_of().plain()["service"], "drain": drain}
    world = CloudWorld(
        spec_of(service=service), machines, {}, at=traffic.time.now(), traffic=traffic
    )
    traffic.time.world = world
    ledger = MortalLedger.open(f"sqlite:///{folder / f'{number}.db'}", world.now)
    ledger.world = world
    register(ledger, world)
    return CloudControllers(world, ledger)


def enumerate_calls(
    traffic: Traffic,
    folder: Path,
    fault: Fault,
    *,
    times: int,
    stride: int = 1,
    turn: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Switch over with a fault at each request in turn, and mend and recover what is left.

    :param times: how many requests it meets from there on.
    :param turn: what changes in the cloud then, and is mended before the recovery.
    :param stride: 1 takes every request; more takes some, spread evenly.
    :return: how often it ended how; after a comma, how what was left of it was recovered.
    """
    ends: dict[str, int] = {}
    for point in range(0, 10_000, stride):
        controllers = new_controllers(traffic, folder, point)
        try:
            trap = traffic.cloud.trap(fault, skip=point, times=times, turn=turn)
            end = _ended(controllers)
            traffic.cloud.forget()
            traffic.mend()
            if trap.sprung == 0:
                return ends
            end = ", then ".join([end, *_recovered(controllers)])
            agree(controllers, f"{fault} at request {point}: {end}")
            ends[end] = ends.get(end, 0) + 1
        finally:
            controllers.ledger.close()
    raise AssertionError("it never came to its end")


def _ended(controllers: CloudControllers) -> str:
    try:
        outcome = controllers.switch(B).outcome
    except ForeshadowError as error:
        return type(error).__name__
    return "unfinished" if outcome is None else outcome.value


def _recovered(controllers: CloudControllers) -> list[str]:
    """Recover what is left; return where that has led."""
    back = {A: "rolled back", B: "switched"}
    return [back[controllers.ledger.primary(NAME)] for _ in controllers.recover()]


def agree(controllers: CloudControllers, told: str) -> None:
    """One primary, with all traffic; ledger, hosts and cloud all say the same."""
    world, ledger = controllers.world, controllers.ledger
    primary = ledger.primary(NAME)
    other = B if primary == A else A
    assert world.violations == [], told
    assert ledger.unfinished(NAME) == (), told
    assert world.traffic.weights() == {primary: 100}, told
    for name, role in ((primary, Role.PRIMARY), (other, Role.SHADOW)):
        machine = world.machines[name]
        resting = RunState.RUNNING if name == primary else RESTING[machine.mode]
        assert (machine.role, machine.state) == (role, resting), told
    known = {instance.host: instance.role for instance in ledger.instances(NAME)}
    assert known == {primary: Role.PRIMARY, other: Role.SHADOW}, told
