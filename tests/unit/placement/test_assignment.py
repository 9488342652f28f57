import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from foreshadow.domain.decision import Ranked
from foreshadow.placement.assignment import Assignment, assign
from foreshadow.placement.fleet import Fleet
from foreshadow.placement.ranking import rank
from foreshadow.placement.weights import TERMS, normalised
from tests.unit.placement.fleets import fleet, host, resource

EVEN = normalised(dict.fromkeys(TERMS, 1.0))


def placed(world: Fleet, holding: dict[str, frozenset[str]] | None = None) -> Assignment:
    rankings = {name: rank(world, spec, EVEN) for name, spec in world.specs.items()}
    return assign(world, rankings, holding or {})


def test_two_resources_do_not_count_on_the_same_room() -> None:
    specs = [resource("mail", "a"), resource("shop", "b")]
    hosts = [host("a", rate=60), host("b", rate=60), host("c", rate=100), host("d", rate=80)]
    got = placed(fleet(hosts, specs, {"mail": 55, "shop": 55}))
    assert sorted(got.hosts[name][0] for name in ("mail", "shop")) == ["c", "d"]
    assert got.short == {}


def test_the_one_that_has_no_other_choice_goes_first() -> None:
    small = resource("aaa", "a", shadows={"count": 1})
    big = resource("zzz", "b", shadows={"count": 1})
    hosts = [host("a", rate=30), host("b", rate=90), host("c", rate=100), host("d", rate=40)]
    got = placed(fleet(hosts, [small, big], {"aaa": 30, "zzz": 90}))
    assert got.hosts == {"aaa": ("d",), "zzz": ("c",)}


def test_who_gets_nothing_is_told_why() -> None:
    specs = [resource("mail", "a"), resource("shop", "a")]
    hosts = [host("a", rate=200), host("b", rate=100)]
    got = placed(fleet(hosts, specs, {"mail": 60, "shop": 60}))
    assert [len(got.hosts[name]) for name in ("mail", "shop")] == [1, 0]
    assert "b is the next home of mail" in got.short["shop"]
    assert got.passed_over["shop"]["b"].rule == "capacity"


def test_spread_puts_further_shadows_into_other_zones() -> None:
    spec = resource("shop", "a", shadows={"count": 2, "spread": "zone"})
    hosts = [host("a", "x"), host("b", "x"), host("c", "x"), host("d", "y")]
    got = placed(fleet(hosts, [spec]))
    assert got.hosts["shop"] == ("b", "d")
    assert got.passed_over["shop"]["c"].rule == "spread"


def test_too_few_zones_is_said_and_not_bent() -> None:
    spec = resource("shop", "a", shadows={"count": 2, "spread": "zone"})
    got = placed(fleet([host("a", "x"), host("b", "x"), host("c", "x")], [spec]))
    assert got.hosts["shop"] == ("b",)
    assert got.short["shop"].startswith("shop gets 1 of 2 shadows")


def test_a_shadow_stays_when_another_host_is_hardly_better() -> None:
    spec = resource("shop", "a")
    world = fleet([host("a"), host("b", rate=100), host("c", rate=105)], [spec], {"shop": 50})
    assert placed(world).hosts["shop"] == ("c",)
    assert placed(world, {"shop": frozenset({"b"})}).hosts["shop"] == ("b",)
    much_better = fleet([host("a"), host("b"), host("c", rate=900)], [spec], {"shop": 90})
    assert placed(much_better, {"shop": frozenset({"b"})}).hosts["shop"] == ("c",)


def test_no_shadows_asked_for_is_no_shadows() -> None:
    spec = resource("shop", "a", shadows={"count": 0})
    assert placed(fleet([host("a"), host("b")], [spec])).hosts == {"shop": ()}


scores = st.floats(0, 1).map(lambda value: round(value, 3))


@settings(max_examples=150, deadline=None)
@given(
    peaks=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    limits=st.lists(st.integers(20, 120), min_size=1, max_size=4),
    table=st.data(),
)
def test_promised_room_is_never_exceeded_and_nobody_is_left_out_for_nothing(
    peaks: list[int], limits: list[int], table: st.DataObject
) -> None:
    specs = [resource(f"r{i}", "home") for i in range(len(peaks))]
    hosts = [host("home", rate=None), *(host(f"h{i}", rate=c) for i, c in enumerate(limits))]
    world = fleet(hosts, specs, {spec.name: float(p) for spec, p in zip(specs, peaks, strict=True)})
    rankings = {
        spec.name: tuple(
            Ranked(h.name, table.draw(scores))
            for h in hosts[1:]
            if world.peak(spec.name)["rate"] <= (h.capacity.rate or 0)
        )
        for spec in specs
    }
    got = assign(world, rankings, {})
    used = dict.fromkeys((h.name for h in hosts), 0.0)
    for name, chosen in got.hosts.items():
        if chosen:
            used[chosen[0]] += world.peak(name)["rate"]
    limit = {h.name: h.capacity.rate or 0.0 for h in hosts[1:]}
    assert all(used[name] <= limit[name] for name in limit)
    for name, row in itertools.product(got.hosts, hosts[1:]):
        if not got.hosts[name] and any(r.host == row.name for r in rankings[name]):
            assert used[row.name] + world.peak(name)["rate"] > limit[row.name]
