from typing import Any

import pytest

from foreshadow.placement.ranking import rank
from foreshadow.placement.weights import TERMS, normalised
from tests.unit.placement.fleets import fleet, host, resource, shadow

EVEN = normalised(dict.fromkeys(TERMS, 1.0))
SSD = {"placement": {"labels": {"disk": "ssd"}}}


def rejections(rows: tuple[Any, ...]) -> dict[str, str]:
    return {row.host: row.rejected.rule for row in rows if row.rejected}


def test_the_score_is_the_weighted_sum_of_the_terms() -> None:
    spec = resource("shop", "a")
    weights = {"load_similarity": 0.3, "network_proximity": 0.2, "availability": 0.5}
    for row in rank(fleet([host("a"), host("b"), host("c", rate=50)], [spec]), spec, weights):
        assert row.score == pytest.approx(sum(weights[t] * row.terms[t] for t in TERMS))


def test_the_same_facts_give_the_same_order_and_equal_scores_go_by_name() -> None:
    spec = resource("shop", "a")
    hosts = [host(name) for name in ("a", "d", "c", "b")]
    rows = rank(fleet(hosts, [spec]), spec, EVEN)
    assert [row.host for row in rows] == ["b", "c", "d", "a"]
    assert rows == rank(fleet(list(reversed(hosts)), [spec]), spec, EVEN)


def test_headroom_counts_the_primaries_that_are_there() -> None:
    shop, mail = resource("shop", "a"), resource("mail", "b")
    world = fleet([host("a"), host("b"), host("c")], [shop, mail], {"shop": 20, "mail": 60})
    by_host = {row.host: row for row in rank(world, shop, EVEN)}
    assert by_host["b"].terms["availability"] == pytest.approx(0.2)
    assert by_host["c"].terms["availability"] == pytest.approx(0.8)
    assert by_host["a"].terms["availability"] == pytest.approx(0.8)  # its own peak counts once


def test_measured_round_trips_win_over_zones_and_load_balancers_count() -> None:
    director = {"kind": "haproxy", "endpoints": [{"agent": "lb"}], "backend": "shop"}
    spec = resource("shop", "a", directors=[director])
    hosts = [host("a", "x"), host("b", "x"), host("c", "y"), host("lb", "y", relay=True)]
    measured = {("a", "c"): 0.0001, ("lb", "c"): 0.0001, ("a", "b"): 0.02, ("lb", "b"): 0.02}
    near = {row.host: row.terms["network_proximity"] for row in rank(
        fleet(hosts, [spec]), spec, EVEN)}  # fmt: skip
    assert near["b"] == pytest.approx(near["c"])  # each is in the zone of one observer
    near = {row.host: row.terms["network_proximity"] for row in rank(
        fleet(hosts, [spec], round_trips=measured), spec, EVEN)}  # fmt: skip
    assert near["c"] > 0.9 > near["b"]


@pytest.mark.parametrize(
    ("rule", "says", "extra", "keys"),
    [
        ("relay", "load balancer's host", {"relay": True}, {}),
        ("candidate", "group edge", {}, {"shadows": {"candidates": {"groups": ["edge"]}}}),
        ("candidate", "not among", {}, {"shadows": {"candidates": {"hosts": ["z"]}}}),
        ("labels", "no label disk", {}, SSD),
        ("labels", "disk=hdd", {"labels": {"disk": "hdd"}}, SSD),
        ("driver", "instance driver moon", {"driver": "moon"}, {}),
    ],
)  # fmt: skip
def test_what_rules_a_host_out_says_so_in_a_sentence(
    rule: str, says: str, extra: dict[str, Any], keys: dict[str, Any]
) -> None:
    spec = resource("shop", "a", **keys)
    rows = rank(fleet([host("a"), host("b", **extra)], [spec]), spec, EVEN)
    row = next(row for row in rows if row.host == "b")
    assert row.rejected is not None
    assert row.rejected.rule == rule
    assert says in row.rejected.reason


def test_the_primarys_host_is_ranked_but_ruled_out() -> None:
    spec = resource("shop", "a")
    assert rejections(rank(fleet([host("a"), host("b")], [spec]), spec, EVEN)) == {"a": "primary"}


def test_capacity_names_both_figures() -> None:
    shop, mail = resource("shop", "a"), resource("mail", "b")
    world = fleet([host("a"), host("b")], [shop, mail], {"shop": 50, "mail": 60})
    row = next(row for row in rank(world, shop, EVEN) if row.host == "b")
    assert row.rejected is not None
    assert row.rejected.rule == "capacity"
    assert "110 requests/s" in row.rejected.reason
    assert "100 requests/s" in row.rejected.reason


@pytest.mark.parametrize("namer", ["shop", "mail"])
def test_anti_affinity_holds_whoever_names_the_other(namer: str) -> None:
    keys = {"placement": {"anti_affinity": ["mail" if namer == "shop" else "shop"]}}
    shop = resource("shop", "a", **(keys if namer == "shop" else {}))
    mail = resource("mail", "b", **(keys if namer == "mail" else {}))
    hosts = [host(name) for name in ("a", "b", "c", "d")]
    world = fleet(hosts, [shop, mail], instances=(shadow("mail", "c"),))
    found = rejections(rank(world, shop, EVEN))
    assert found == {"a": "primary", "b": "anti_affinity", "c": "anti_affinity"}


def test_an_instance_of_another_release_is_ruled_out() -> None:
    spec = resource("shop", "a", shadows={"release": "2.0"})
    there = (shadow("shop", "b", release="1.0"), shadow("shop", "c", release="2.0"))
    world = fleet([host("a"), host("b"), host("c")], [spec], instances=there)
    assert rejections(rank(world, spec, EVEN)) == {"a": "primary", "b": "release"}
