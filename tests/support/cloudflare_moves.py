"""Whole switchovers by the real engine over a Cloudflare that fails at one call.

The hosts are those of the world in memory; the director is the real one, and talks HTTP to the
stand-in of the API. All of them live on one clock.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from foreshadow.directors.cloudflare.times import Times
from foreshadow.domain.errors import ForeshadowError, RolledBackError
from foreshadow.domain.moves import Outcome
from foreshadow.domain.protocols import Director
from foreshadow.domain.spec import ResourceSpec
from foreshadow.ledger import Ledger
from foreshadow.switchover.engine import UnfinishedError
from foreshadow.switchover.stage import BlockedError, Ports
from tests.support.cloudflare_world import NAME, POOLS, CloudflareWorld, DnsWorld, running_world
from tests.unit.switchover.controller import Controllers, MortalLedger, register
from tests.unit.switchover.world import A, B, Server, World, make_world, spec_of

MINE = f"_foreshadow.{NAME}"


@dataclass
class CloudServer(Server):
    """What clients of Cloudflare are led to; notes when a host was left."""

    led: Callable[[], dict[str, int]] = dict
    left: Callable[[str], None] = lambda host: None
    _before: dict[str, int] = field(default_factory=dict)

    def carried(self) -> dict[str, int]:
        now = self.led()
        for host in set(self._before) - set(now):
            self.left(host)
        self._before = now
        return now


class Serving(dict[str, int]):
    """What the hosts' health checks answer: as the machines of the world are."""

    def __init__(self, world: World) -> None:
        self.world = world

    def get(self, host: str, default: Any = None) -> int:
        return 200 if self.world.machines[host].serves else 503


class CloudControllers(Controllers):
    """Controllers whose director is one of Cloudflare's."""

    director: Callable[[], Director]

    def ports(self) -> Ports:
        found = super().ports()
        return Ports(found.instances, (self.director(),), found.sync, found.raise_fence)


@dataclass
class Move:
    """One switchover from ``edge-a`` to ``edge-b``, and everything that it can do wrong."""

    cloud: CloudflareWorld
    world: World
    controllers: CloudControllers
    foreign: Any
    cache_seconds: float
    said: str = ""

    def run(self) -> str:
        """Switch, and let a recovery end what that left; return how it ended, in one word."""
        try:
            ended = self.controllers.switch(B)
        except ForeshadowError as error:
            return self._failed(error)
        if ended.outcome is None:
            assert ended.error
            return self._recovered()
        assert ended.outcome is Outcome.SWITCHED
        return "switched"

    def _failed(self, error: ForeshadowError) -> str:
        self.said = str(error)
        if isinstance(error, UnfinishedError):
            assert "recovered" in error.remedy
            return self._recovered()
        if isinstance(error, RolledBackError):
            assert "undone" in error.problem
            return "rolled back"
        assert error.remedy or isinstance(error, BlockedError), "it does not say what to do"
        assert self.controllers.ledger.unfinished() == ()
        return "refused"

    def _recovered(self) -> str:
        self.world.at += 600.0
        ended = self.controllers.recover()
        assert [one.outcome for one in ended] == [Outcome.RECOVERED]
        return f"recovered, {ended[0].direction}"

    def assert_right(self, ended: str) -> None:
        """Ledger, hosts and Cloudflare agree, and nothing was done that nobody wanted."""
        forward = ended in ("switched", "recovered, finished")
        primary = B if forward else A
        self.cloud.fake.catch_up(entirely=True)
        assert self.controllers.ledger.unfinished() == ()
        assert self.controllers.ledger.primary("checkout") == primary
        assert self.world.violations == []
        assert foreign(self.cloud) == self.foreign, "somebody else's record was touched"
        (server,) = self.world.all_servers()
        assert server.carried() == {primary: 100}
        if isinstance(self.cloud, DnsWorld):
            self._assert_records(ended, forward)
        else:
            self._assert_pools(ended, forward)

    def _assert_records(self, ended: str, forward: bool) -> None:
        zone = self.cloud.fake.zone
        assert len(zone.at(NAME, "A", "AAAA", "CNAME")) == 1, "a duplicate"
        claims = [r for r in zone.at(MINE, "TXT") if (r["comment"] or "").startswith("foreshadow/")]
        assert len(claims) <= 1, "a duplicate claim"
        moved = [content for _, kind, name, content in zone.written if (kind, name) == ("A", NAME)]
        there, back = (self.cloud.wells.addresses[host] for host in (B, A))
        wanted = [[there]] if forward else [[], [there, back]]
        assert moved in wanted, "a change was written more than once"
        said = [text.partition("since=")[2] for what, kind, _, text in zone.written
                if (what, kind) == ("create", "TXT")]  # fmt: skip
        assert all(one != next_ for one, next_ in pairwise(said))

    def _assert_pools(self, ended: str, forward: bool) -> None:
        for pool in self.cloud.fake.pools.pools:
            shown = [origins for name, origins in self.cloud.fake.pools.written if name == pool]
            assert all(a != b for a, b in pairwise(shown)), "written twice"
            assert len(shown) <= (4 if forward else 6)


def foreign(cloud: CloudflareWorld) -> Any:
    """Return everything at Cloudflare that is not ours."""
    if isinstance(cloud, DnsWorld):
        ours = {NAME: ("A", "AAAA", "CNAME")}
        return copy.deepcopy(
            [
                record
                for record in cloud.fake.zone.records.values()
                if record["type"] not in ours.get(record["name"], ())
                and not (record["comment"] or "").startswith("foreshadow/")
            ]
        )
    kept = []
    for pool in cloud.fake.pools.pools.values():
        rest = {k: v for k, v in pool.items() if k not in ("origins", "description", "modified_on")}
        origins = [
            {k: v for k, v in one.items() if k not in ("enabled", "weight", "disabled_at")}
            for one in pool["origins"]
        ]
        person = [one for one in pool["origins"] if one["name"] == "museum"]
        person = [{k: v for k, v in one.items() if k != "disabled_at"} for one in person]
        kept.append((rest, origins, person, pool["description"].partition(" [")[0]))
    return copy.deepcopy(kept)


class Stage:
    """Makes one move after the other in one running Cloudflare."""

    def __init__(self, cloud: CloudflareWorld, folder: Path) -> None:
        self.cloud = cloud
        self.folder = folder
        self.registered = folder / "registered.db"
        self.dns = isinstance(cloud, DnsWorld)
        with Ledger.open(f"sqlite:///{self.registered}") as ledger:
            register(ledger, make_world(self.spec()))

    def spec(self) -> ResourceSpec:
        service = spec_of().plain()["service"]
        service["drain"]["timeout"] = 400.0
        steps = [100] if self.dns else [50, 100]
        # A check that a busy machine answers too late would be a fault that nobody has asked for.
        check = {"check": {"port": self.cloud.wells.port, "path": "/healthz", "timeout": "30s"}}
        options = {"timeout": "1s", **(check if self.dns else {})}
        written = self.cloud.spec(**options).model_dump()  # type: ignore[attr-defined]
        return spec_of(service=service, directors=[written], policy={"steps": steps, "soak": 0.25})

    @contextmanager
    def move(self) -> Iterator[Move]:
        """Give a switchover that has not begun."""
        cloud, world = self.cloud, make_world(self.spec())
        cloud.rest()  # type: ignore[attr-defined]
        cloud.fake.now = cloud.fake.zone.now = cloud.fake.pools.now = world.now
        cloud.wells.status = Serving(world)
        times = Times(world.now, lambda: world.at, world.sleep, lambda: 0.5)
        cache = cloud.ttl if isinstance(cloud, DnsWorld) else 0.0

        def left(host: str) -> None:
            world.machines[host].left_at = world.at

        world.servers = {"cloud": [CloudServer("cloud", {}, led=self._led, left=left)]}

        def before_event(label: str) -> None:
            if label.startswith(("freeze edge", "demote edge")):
                host = label.split()[1]
                if world.at < world.machines[host].left_at + cache:
                    world.violations.append(f"{label}: clients still have its address")

        world.before_event = before_event
        path = shutil.copy(self.registered, self.folder / "move.db")
        with MortalLedger.open(f"sqlite:///{path}", world.now) as ledger:
            controllers = CloudControllers(world, ledger)
            kind = type(cloud.director())  # type: ignore[attr-defined]
            written = world.spec.directors[0]
            controllers.director = lambda: kind(written, "checkout", None, times=times)
            yield Move(cloud, world, controllers, foreign(cloud), cache)

    def _led(self) -> dict[str, int]:
        """Return where clients are led, by what stands at Cloudflare."""
        addresses = {address: host for host, address in self.cloud.wells.addresses.items()}
        if self.dns:
            found = [r["content"] for r in self.cloud.fake.zone.at(NAME, "A")]
            return {addresses[one]: 100 // len(found) for one in found}
        pool = self.cloud.fake.pools.pools[POOLS[0]]
        shares = {
            addresses[one["address"]]: round(100 * one.get("weight", 1))
            for one in pool["origins"]
            if one.get("enabled", True) and one["address"] in addresses
        }
        return {host: share for host, share in shares.items() if share}


@contextmanager
def running_stage(kind: type[CloudflareWorld], folder: Path) -> Iterator[Stage]:
    """Run a Cloudflare for many moves, with the shortest TTL that every plan allows."""
    with running_world(kind, folder) as cloud:
        if isinstance(cloud, DnsWorld):
            cloud.ttl = 60.0
        yield Stage(cloud, folder)


def rehearsed(stage: Stage) -> list[str]:
    """Return the calls of a switchover that nothing befalls, as ``METHOD path``."""
    with stage.move() as move:
        ended = move.run()
        move.assert_right(ended)
        assert ended == "switched"
        return [f"{call.method} {call.path}" for call in stage.cloud.fake.calls]


def tried(stage: Stage, fault: str, number: int) -> str:
    """Run a switchover in which one call is befallen; return how it ended, once it is right."""
    with stage.move() as move:
        stage.cloud.fake.faults[number] = fault
        ended = move.run()
        assert stage.cloud.fake.befallen[fault] >= 1, f"{ended} before that call: {move.said}"
        move.assert_right(ended)
        return ended
