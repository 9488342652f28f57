"""Resources, hosts, instances, what persons decided, what was learned, and what is old."""

from __future__ import annotations

import threading
from operator import methodcaller
from typing import Any

import pytest

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.control import Control
from foreshadow.domain.errors import RefusedError, SpecError, UnknownNameError
from foreshadow.domain.fleet import Acknowledged, Instance, Role, RunState, parse_host
from foreshadow.domain.outcomes import Observed
from foreshadow.domain.spec import Mode, ResourceSpec, parse_resource
from foreshadow.ledger import Ledger
from foreshadow.ledger.retention import RETENTION


def _spec(name: str = "search", **more: Any) -> ResourceSpec:
    service = {"command": ["/opt/x"], "port": 8080}
    return parse_resource({"name": name, "primary": "edge-a", "service": service, **more})


def _instance(host: str, role: Role, state: RunState = RunState.RUNNING) -> Instance:
    return Instance(
        resource="checkout",
        host=host,
        role=role,
        mode=Mode.WARM,
        state=state,
        address="127.0.0.1",
        port=8080,
    )


def test_resources_and_hosts_are_read_as_they_were_put(ledger: Ledger) -> None:
    spec = _spec(directors=[{"kind": "haproxy", "backend": "b", "endpoints": [{"agent": "lb-1"}]}])
    ledger.put_resource(spec)
    assert ledger.resource("search") == spec
    assert [each.name for each in ledger.resources()] == ["checkout", "search"]
    assert [each.name for each in ledger.resources(["search"])] == ["search"]
    assert ledger.resources([]) == ()
    lb = parse_host({"name": "lb-1", "address": "127.0.0.9", "relay": True, "zone": "z"})
    ledger.put_host(lb)
    assert ledger.host("lb-1") == lb
    assert [host.name for host in ledger.hosts()] == ["edge-a", "edge-b", "edge-c", "lb-1"]


def test_an_unknown_name_is_told_with_a_near_one(ledger: Ledger) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown resource chekout; did you mean checkout"):
        ledger.resource("chekout")
    with pytest.raises(UnknownNameError, match=r"unknown resource other; known: checkout"):
        ledger.resources(["checkout", "other"])
    with pytest.raises(UnknownNameError, match=r"unknown host egde-b; did you mean edge-b"):
        ledger.host("egde-b")
    with pytest.raises(UnknownNameError, match="unknown host edge-z"):
        ledger.put_instance(_instance("edge-z", Role.SHADOW))
    with pytest.raises(UnknownNameError, match="unknown plan p1"):
        ledger.plan("p1")


def test_a_secret_is_not_stored_and_neither_is_what_was_put_with_it(ledger: Ledger) -> None:
    bad = _spec("bad", directors=[{"kind": "cloudflare", "token": "hunter2"}])
    with pytest.raises(SpecError, match="looks like a secret"):
        ledger.change_resources(put=[_spec(), bad], remove=["checkout"])
    assert [each.name for each in ledger.resources()] == ["checkout"]


def test_what_carries_instances_is_not_removed(ledger: Ledger) -> None:
    ledger.put_instance(_instance("edge-a", Role.PRIMARY))
    ledger.put_instance(_instance("edge-b", Role.SHADOW))
    with pytest.raises(RefusedError, match="still has instances on edge-a, edge-b; remove them"):
        ledger.remove_resource("checkout")
    with pytest.raises(RefusedError, match="host edge-b: still carries instances of checkout"):
        ledger.remove_host("edge-b")
    ledger.remove_instance("checkout", "edge-a")
    ledger.remove_instance("checkout", "edge-b")
    with pytest.raises(RefusedError, match="host edge-a: is the primary host of checkout"):
        ledger.remove_host("edge-a")
    ledger.remove_host("edge-b")
    ledger.remove_resource("checkout")
    ledger.remove_resource("checkout")
    ledger.remove_host("edge-a")
    assert [host.name for host in ledger.hosts()] == ["edge-c"]


def test_the_first_primary_is_taken_at_its_word_and_only_a_pivot_moves_it(ledger: Ledger) -> None:
    assert ledger.primary("checkout") == "edge-a"
    ledger.put_instance(_instance("edge-b", Role.PRIMARY))
    assert ledger.primary("checkout") == "edge-b"
    for wrong in (_instance("edge-a", Role.PRIMARY), _instance("edge-b", Role.SHADOW)):
        with pytest.raises(RefusedError, match="the ledger has the primary on edge-b"):
            ledger.put_instance(wrong)
    frozen = _instance("edge-a", Role.SHADOW, RunState.FROZEN)
    ledger.put_instance(frozen)
    assert ledger.instances(host="edge-a") == (frozen,)
    ledger.put_resource(_spec("checkout"))
    assert ledger.primary("checkout") == "edge-b"


def test_after_its_last_instance_a_resource_starts_anew_where_its_spec_says(
    ledger: Ledger,
) -> None:
    ledger.put_instance(_instance("edge-b", Role.PRIMARY))
    ledger.put_instance(_instance("edge-c", Role.SHADOW))
    ledger.remove_instance("checkout", "edge-b")
    assert ledger.primary("checkout") == "edge-b"
    ledger.remove_instance("checkout", "edge-c")
    assert ledger.primary("checkout") == "edge-a"


def test_an_acknowledgement_replaces_the_one_before_and_goes_with_its_instance(
    ledger: Ledger,
) -> None:
    ledger.put_instance(_instance("edge-b", Role.SHADOW))
    for version in (1, 2):
        given = Acknowledged(
            "checkout", "edge-b", version, f"r{version}", WallTime(10.5), WallTime(11.25)
        )
        ledger.acknowledge(given)
    assert ledger.acknowledgements("checkout") == {"edge-b": given}
    ledger.remove_instance("checkout", "edge-b")
    assert ledger.acknowledgements("checkout") == {}


def test_what_persons_decide_is_kept_one_by_one(ledger: Ledger, clock: Any) -> None:
    assert ledger.control() == Control()
    ledger.change_control(lambda now: now.pause(None).pause("checkout").approve("p1"))
    clock.time += 5
    ledger.change_control(lambda now: now.pin("checkout", {"availability": 1.0}))
    after = ledger.change_control(lambda now: now.resume(None).acknowledge("x", WallTime(7.5)))
    assert after == ledger.control()
    assert after.at == clock.time
    assert after.plain() == {
        "paused": False,
        "paused_resources": ["checkout"],
        "approved": ["p1"],
        "acknowledged": {"x": "1970-01-01T00:00:07.500Z"},
        "pinned": {"checkout": {"availability": 1.0}},
    }
    ledger.put_control(Control())
    assert ledger.control() == Control()


def test_persons_who_decide_at_once_do_not_undo_each_other(ledger: Ledger) -> None:
    def approve(first: int) -> None:
        for i in range(5):
            ledger.change_control(methodcaller("approve", f"p{first + i}"))

    threads = [threading.Thread(target=approve, args=(10 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.control().approved) == 20


def _observed(name: str, at: float, resource: str = "checkout") -> Observed:
    return Observed(
        name, resource, "edge-a", "edge-b", MetricTime(1.5), MetricTime(2.5), WallTime(at),
        predicted_source=0.91, breach=True,
    )  # fmt: skip


def test_an_outcome_measured_again_replaces_the_first(ledger: Ledger) -> None:
    ledger.record_outcome(_observed("s1", 10))
    ledger.record_outcome(_observed("s1", 20))
    ledger.record_outcome(_observed("s2", 15, "search"))
    assert ledger.outcomes() == (_observed("s1", 20), _observed("s2", 15, "search"))
    assert ledger.outcomes("checkout") == (_observed("s1", 20),)
    assert ledger.outcomes(since=WallTime(16)) == (_observed("s1", 20),)
    assert len(ledger.outcomes(limit=1)) == 1


def test_what_was_learned_is_kept_until_it_is_forgotten(ledger: Ledger) -> None:
    assert ledger.learned_weights("checkout") is None
    ledger.put_resource(_spec())
    for name in ("checkout", "search"):
        ledger.put_learned_weights(name, {"availability": 0.6})
        ledger.put_pair_term(name, "edge-b", -0.25)
        ledger.put_pair_term(name, "edge-b", 0.5)
    assert ledger.learned_weights("checkout") == {"availability": 0.6}
    assert ledger.pair_terms("checkout") == {"edge-b": 0.5}
    ledger.forget_learned("checkout")
    assert (ledger.learned_weights("checkout"), ledger.pair_terms("checkout")) == (None, {})
    assert ledger.pair_terms("search") == {"edge-b": 0.5}
    ledger.forget_learned()
    assert ledger.pair_terms("search") == {}
    with pytest.raises(UnknownNameError, match="unknown resource nothing"):
        ledger.put_learned_weights("nothing", {})


def test_round_trips_are_between_registered_hosts(ledger: Ledger) -> None:
    measured = {("edge-a", "edge-b"): 0.002, ("edge-b", "edge-a"): 0.003, ("edge-a", "gone"): 1.0}
    ledger.put_round_trips(measured, WallTime(10))
    ledger.put_round_trips({("edge-a", "edge-b"): 0.004}, WallTime(11))
    assert ledger.round_trips() == {("edge-a", "edge-b"): 0.004, ("edge-b", "edge-a"): 0.003}
    assert ledger.round_trips(since=WallTime(11)) == {("edge-a", "edge-b"): 0.004}
    ledger.remove_host("edge-b")
    assert ledger.round_trips() == {}


def test_a_placement_replaces_the_one_before_and_goes_with_its_resource(ledger: Ledger) -> None:
    assert ledger.placement("checkout") is None
    for hosts in (["edge-b"], ["edge-c"]):
        ledger.put_placement("checkout", {"hosts": hosts, "score": 0.5})
    assert ledger.placement("checkout") == {"hosts": ["edge-c"], "score": 0.5}
    ledger.remove_resource("checkout")
    assert ledger.placement("checkout") is None
    with pytest.raises(UnknownNameError, match="unknown resource checkout"):
        ledger.put_placement("checkout", {})


def test_the_cache_gives_back_what_was_put_last(ledger: Ledger) -> None:
    assert ledger.cached("k") is None
    ledger.put_cached("k", "one", WallTime(1))
    ledger.put_cached("k", "two", WallTime(2))
    assert ledger.cached("k") == "two"


def test_many_texts_are_cached_and_read_at_once(ledger: Ledger) -> None:
    texts = {f"k{number}": str(number) for number in range(1200)}
    ledger.put_all_cached({"k1": "old"}, WallTime(1))
    ledger.put_all_cached(texts, WallTime(2))
    assert ledger.all_cached([*texts, "unknown"]) == texts
    ledger.put_all_cached({}, WallTime(3))
    ledger.renew_cached(["k1", "k1199"], WallTime(10 * RETENTION["cache"]))
    ledger.prune(WallTime(5 * RETENTION["cache"]))
    assert ledger.all_cached(texts) == {"k1": "1", "k1199": "1199"}


def test_all_primaries_are_those_of_each(ledger: Ledger) -> None:
    assert ledger.primaries() == {
        spec.name: ledger.primary(spec.name) for spec in ledger.resources()
    }
    assert ledger.primaries()
