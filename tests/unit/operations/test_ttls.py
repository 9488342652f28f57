"""TTLs lowered for a move that is ahead, and restored after it, by whoever comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.decision import Block, Blocked
from foreshadow.domain.errors import FencedError, SpecError, UnreachableError
from foreshadow.domain.fleet import Host, Instance, Role, RunState
from foreshadow.domain.moves import Plan, Seen, Switchover
from foreshadow.domain.protocols import Director
from foreshadow.domain.spec import Mode, ResourceSpec, parse_resource
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Context
from foreshadow.operations.traffic import point_traffic
from foreshadow.operations.ttls import Ttls
from foreshadow.wire.access import Access
from tests.unit.switchover.names import NameDirector, NamedWorld, named_world

SHOP = "shop"


class Dies(BaseException):
    """The process is gone."""


class Names(Context):
    """A context whose resource has a name of which nothing but the TTL matters."""

    world: NamedWorld
    director_type: type[NameDirector] = NameDirector

    def directors(self, spec: ResourceSpec) -> tuple[Director, ...]:
        return (self.director_type(self.world),)


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Names]:
    world = named_world()
    world.name.ttl = 300.0
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db", world.now) as ledger:
        for host in ("edge-a", "edge-b"):
            ledger.put_host(Host(name=host, address="127.0.0.1"))
        context = Names(ledger, Access(ledger.host, None, 1.0, ledger.hosts), world.now)
        context.world = world
        yield context


def ttls(names: Names, mode: str = "automatic", acts: bool = True) -> Ttls:
    spec = parse_resource(
        {
            "name": SHOP,
            "primary": "edge-a",
            "service": {"command": ["serve"], "port": 80},
            "directors": [{"kind": "name"}],
            "policy": {"mode": mode},
        }
    )
    names.ledger.put_resource(spec)
    return Ttls(names, spec, acts=acts)


def test_a_move_ahead_lowers_the_ttl_and_waits_for_the_old_one(names: Names) -> None:
    began = names.now()
    (block,) = ttls(names).lower(())
    assert names.world.name.ttl == 5.0
    assert block.by is Block.IN_PROGRESS
    assert "is lowered from 5m to 5s" in block.reason
    assert "movable then" in block.reason
    names.world.at = began + 300.5
    assert ttls(names).lower(()) != ()
    names.world.at = began + 301.5
    assert ttls(names).lower(()) == ()
    assert names.world.events == ["TTL 5"]  # once, however often it is asked


def test_what_is_ahead_no_more_restores_it(names: Names) -> None:
    ttls(names).lower(())
    assert ttls(names).restore() == ()
    assert names.world.name.ttl == 300.0
    assert names.ledger.lowered_ttls(SHOP) == {}
    ttls(names).restore()
    assert names.world.events == ["TTL 5", "TTL 300"]


def test_a_short_ttl_is_left_alone(names: Names) -> None:
    names.world.name.ttl = 5.0
    assert ttls(names).lower(()) == ()
    assert names.world.events == []
    assert names.ledger.lease(SHOP) is None


def test_what_is_only_watched_is_not_touched(names: Names) -> None:
    assert ttls(names, "forecast_only").lower(()) == ()
    assert names.world.name.ttl == 300.0


def test_what_is_paused_is_not_touched(names: Names) -> None:
    assert ttls(names).lower([Blocked(Block.PAUSED, "by hand")]) == ()
    assert names.world.name.ttl == 300.0


def test_check_mode_touches_nothing_and_tells_what_is_known(names: Names) -> None:
    assert ttls(names, acts=False).lower(()) == ()
    assert names.world.name.ttl == 300.0
    ttls(names).lower(())
    (block,) = ttls(names, acts=False).lower(())
    assert block.by is Block.IN_PROGRESS
    ttls(names, acts=False).restore()
    assert names.world.name.ttl == 5.0


@pytest.mark.parametrize("point", ["before", "after"])
@pytest.mark.parametrize("then", ["lower", "restore"])
def test_who_comes_after_a_crash_knows_what_it_was(names: Names, point: str, then: str) -> None:
    class Mortal(NameDirector):
        def set_ttl(self, seconds: float, token: int) -> None:
            if point == "after":
                super().set_ttl(seconds, token)
            raise Dies

    names.director_type = Mortal
    with pytest.raises(Dies):
        ttls(names).lower(())
    names.director_type = NameDirector
    if then == "lower":
        (block,) = ttls(names).lower(())
        assert "from 5m to 5s" in block.reason
        assert names.world.name.ttl == 5.0
        (row,) = names.ledger.lowered_ttls(SHOP).values()
        assert row.movable_at is not None
        assert row.movable_at >= names.now() + 300
    ttls(names).restore()
    assert names.world.name.ttl == 300.0
    assert names.ledger.lowered_ttls(SHOP) == {}


def test_a_crash_while_restoring_is_made_good(names: Names) -> None:
    class Mortal(NameDirector):
        def set_ttl(self, seconds: float, token: int) -> None:
            super().set_ttl(seconds, token)
            raise Dies

    ttls(names).lower(())
    names.director_type = Mortal
    with pytest.raises(Dies):
        ttls(names).restore()
    names.director_type = NameDirector
    ttls(names).restore()
    assert names.world.name.ttl == 300.0
    assert names.ledger.lowered_ttls(SHOP) == {}


def test_a_ttl_that_a_person_changed_meanwhile_stays(names: Names) -> None:
    ttls(names).lower(())
    names.world.name.ttl = 60.0
    ttls(names).restore()
    assert names.world.name.ttl == 60.0
    assert names.ledger.lowered_ttls(SHOP) == {}


def test_who_holds_the_lease_is_not_disturbed(names: Names) -> None:
    one = ttls(names)
    names.ledger.acquire(SHOP, "other:boot:1:1", 60, lambda _: False)
    assert one.lower(()) == ()
    assert names.world.name.ttl == 300.0


def test_an_unfinished_move_is_left_to_its_recovery(names: Names) -> None:
    one = ttls(names)
    one.lower(())
    lease = names.ledger.acquire(SHOP, "other:boot:1:1", 60, lambda _: False)
    seen = Seen("x", "edge-a", "edge-b", (), "frozen")
    plan = Plan(SHOP, seen, (), (100,), 0.0, False, False, None, WallTime(names.world.at + 60))
    move = Switchover("s1", SHOP, "edge-a", "edge-b", plan, lease.token, names.now())
    names.ledger.begin(lease, move)
    names.ledger.release(lease)
    assert one.restore() == ()
    assert names.world.name.ttl == 5.0


@pytest.mark.parametrize("error", [UnreachableError, FencedError])
def test_a_server_that_does_not_take_it_is_told(names: Names, error: type[Any]) -> None:
    class Failing(NameDirector):
        def set_ttl(self, seconds: float, token: int) -> None:
            raise error("says no", where="ns1")

    names.director_type = Failing
    (block,) = ttls(names).lower(())
    assert block.by is Block.DRIFT
    assert "could not be lowered for the move: ns1: says no" in block.reason
    assert names.ledger.acquire(SHOP, "next", 1, lambda _: False)  # it was released


def test_a_director_that_leaves_it_as_it_is(names: Names) -> None:
    class Fixed(NameDirector):
        def armed_ttl(self) -> float | None:
            return None

    names.director_type = Fixed
    assert ttls(names).lower(()) == ()
    assert names.world.name.ttl == 300.0


def test_a_removed_resource_leaves_no_row(names: Names) -> None:
    ttls(names).lower(())
    names.ledger.remove_resource(SHOP)
    assert names.ledger.lowered_ttls(SHOP) == {}


def test_percentages_that_a_name_cannot_give_are_refused_before_anything_is_changed(
    names: Names,
) -> None:
    ttls(names)
    for host, role in (("edge-a", Role.PRIMARY), ("edge-b", Role.SHADOW)):
        names.ledger.put_instance(
            Instance(
                resource=SHOP, host=host, role=role, mode=Mode.HOT, state=RunState.RUNNING,
                address="127.0.0.1", port=80,
            )
        )  # fmt: skip
    with pytest.raises(SpecError, match="cannot share traffic by percentages"):
        point_traffic(names, SHOP, {"edge-a": 50, "edge-b": 50})
    assert names.world.events == []
