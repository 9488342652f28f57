"""What the load balancer director does to pools, and what it leaves alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from foreshadow.directors.cloudflare.pools import parse_health
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import DirectorError, FencedError, RefusedError, SpecError
from foreshadow.testing.directors import DESTINATION, LONG_AGO, SOURCE
from tests.support.cloudflare_world import POOLS, LbWorld, running_world


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LbWorld]:
    with running_world(LbWorld, tmp_path_factory.mktemp("lb")) as world:
        yield world


@pytest.fixture
def world(running: LbWorld) -> LbWorld:
    running.rest()
    return running


def pool(world: LbWorld, number: int = 0) -> dict[str, Any]:
    return world.fake.pools.pools[POOLS[number]]


def origins(world: LbWorld) -> dict[str, tuple[bool, float]]:
    return {o["name"]: (o.get("enabled", True), o.get("weight", 1)) for o in pool(world)["origins"]}


def test_weights_are_hundredths_and_both_pools_get_them(world: LbWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({SOURCE: 67, DESTINATION: 33}, token=1)
    for number in (0, 1):
        shown = {o["name"]: o["weight"] for o in pool(world, number)["origins"]}
        assert (shown["origin-edge-a"], shown["origin-edge-b"]) == (0.67, 0.33)


def test_each_change_is_one_write_to_each_pool(world: LbWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    world.fake.calls.clear()
    director.apply({DESTINATION: 100}, token=1)
    director.apply({DESTINATION: 100}, token=1)
    assert [call.method for call in world.fake.calls].count("PATCH") == len(POOLS)


def test_what_a_person_keeps_in_a_pool_stays(world: LbWorld) -> None:
    before = copy.deepcopy(pool(world))
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)
    director.retire(SOURCE, token=1)
    after = pool(world)
    assert after["description"] == "the shop's origins [foreshadow/checkout token=1]"
    museum = {k: v for k, v in after["origins"][-1].items() if k != "disabled_at"}
    assert museum == before["origins"][-1]
    for old, new in zip(before["origins"], after["origins"], strict=True):
        for key in ("name", "address", "port", "header"):
            assert old.get(key) == new.get(key)
    assert origins(world) == {
        "origin-edge-a": (False, 0),
        "origin-edge-b": (True, 1),
        "museum": (False, 0.5),
    }
    for key in ("monitor", "minimum_origins", "origin_steering", "check_regions", "name"):
        assert before[key] == after[key]


def test_a_finding_of_before_the_thaw_does_not_count(world: LbWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    monitor = world.fake.pools
    thawed = WallTime(world.clock.at)  # well when it was looked at last, and frozen since
    with world.unwell(DESTINATION):
        with pytest.raises(DirectorError, match="passed no check"):
            world.director(admit_timeout="60s").admit(DESTINATION, thawed, token=1)
        assert world.clock.at >= thawed + monitor.interval + monitor.timeout


def test_nothing_is_asked_before_a_check_can_have_ended(
    world: LbWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.fake.pools, "interval", 60)
    began = world.clock.at
    world.fake.reset_calls()
    world.director().admit(DESTINATION, WallTime(began), token=1)
    assert world.clock.at >= began + 60
    looks = [call for call in world.fake.calls if call.path.endswith("/health")]
    assert len(looks) <= 3 * len(POOLS)


def test_a_pool_that_nobody_looks_at_takes_no_newcomer(world: LbWorld) -> None:
    pool(world, 1)["monitor"] = None
    with pytest.raises(DirectorError, match="has no monitor"):
        world.director().admit(DESTINATION, LONG_AGO, token=1)
    assert world.fake.pools.written == []


def test_an_origin_that_its_monitor_finds_dead_has_no_traffic(world: LbWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({SOURCE: 50, DESTINATION: 50}, token=1)
    with world.unwell(SOURCE):
        world.pass_time(world.fake.pools.interval)
        for endpoint in world.director().read():
            assert endpoint.weights == {DESTINATION: 100}
            assert set(endpoint.checked) == {DESTINATION}
        director.apply({DESTINATION: 100}, token=1)  # and can be left
    assert director.converged({DESTINATION: 100})


def test_a_persons_origin_with_traffic_is_told_and_not_touched(world: LbWorld) -> None:
    person = pool(world)["origins"][-1]
    person.update(enabled=True, weight=0.5)
    director = world.director()
    assert "museum" in director.read()[0].drift
    for act in (
        lambda: director.admit(DESTINATION, LONG_AGO, token=1),
        lambda: director.apply({SOURCE: 100}, token=1),
    ):
        with pytest.raises(RefusedError, match="museum"):
            act()
    assert world.fake.pools.written == []


def test_a_pool_of_another_resource_is_refused(world: LbWorld) -> None:
    pool(world)["description"] = "x [foreshadow/billing token=9]"
    with pytest.raises(RefusedError, match=r"foreshadow/billing"):
        world.director().admit(DESTINATION, LONG_AGO, token=10)
    assert world.fake.pools.written == []


def test_a_disabled_pool_is_drift(world: LbWorld) -> None:
    pool(world)["enabled"] = False
    endpoint = world.director().read()[0]
    assert endpoint.weights == {}
    assert "disabled" in endpoint.drift


def test_an_actor_that_is_late_between_the_pools_is_refused(world: LbWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=3)
    pool(world, 1)["description"] = "[foreshadow/checkout token=4]"
    with pytest.raises(FencedError):
        director.apply({DESTINATION: 100}, token=3)
    assert origins(world)["origin-edge-a"] == (True, 1)


def test_a_late_edit_does_not_undo_a_later_one(world: LbWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    world.fake.reset_calls()
    world.fake.faults[4] = "late"  # the write to the first pool, after two looks at each
    director.apply({SOURCE: 50, DESTINATION: 50}, token=1)
    assert world.fake.befallen["late"] == 1
    director.apply({DESTINATION: 100}, token=1)
    world.fake.catch_up(entirely=True)
    assert origins(world)["origin-edge-a"] == (True, 0)
    assert origins(world)["origin-edge-b"] == (True, 1)


def test_hosts_drain_once_all_of_cloudflare_knows(world: LbWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)
    world.fake.calls.clear()
    for _ in range(10):
        assert not director.drained(SOURCE)
    assert world.fake.calls == []
    world.pass_time(2.0)
    assert director.drained(SOURCE)
    assert not director.drained(DESTINATION)


def test_a_host_without_an_origin_is_named(world: LbWorld) -> None:
    targets = {SOURCE: "origin-edge-a", DESTINATION: "origin-edge-z"}
    with pytest.raises(SpecError, match="no origin origin-edge-z"):
        world.director(targets=targets).admit(DESTINATION, LONG_AGO, token=1)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (None, {}),
        ({"result": None}, {}),
        ({"result": {"pop_health": {"WEU": {"origins": None}}}}, {}),
        (
            {
                "result": {
                    "pop_health": {
                        "WEU": {"origins": [{"a": {"healthy": True}}, {"b": {"healthy": True}}]},
                        "ENAM": {"origins": [{"a": {"healthy": False}}, {"b": {"healthy": True}}]},
                    }
                }
            },
            {"a": False, "b": True},
        ),
    ],
)
def test_an_origin_is_well_when_every_region_says_so(body: Any, found: dict[str, bool]) -> None:
    assert parse_health(body) == found
