"""What the DNS director does to a zone, and what it leaves alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from foreshadow.directors.cloudflare.records import Step, View
from foreshadow.domain.errors import DirectorError, FencedError, ForeshadowError, RefusedError
from foreshadow.domain.protocols import CachingDirector, HoldingDirector
from foreshadow.testing.directors import DESTINATION, LONG_AGO, SOURCE
from tests.support.cloudflare_world import NAME, DnsWorld, running_world

CLAIM = f"_foreshadow.{NAME}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsWorld]:
    with running_world(DnsWorld, tmp_path_factory.mktemp("dns")) as world:
        yield world


@pytest.fixture
def world(running: DnsWorld) -> DnsWorld:
    running.rest()
    return running


def records(world: DnsWorld, *kinds: str) -> list[tuple[str, str]]:
    found = world.fake.zone.at(NAME, *(kinds or ("A", "AAAA", "CNAME")))
    return sorted((record["type"], record["content"]) for record in found)


def ours(world: DnsWorld) -> list[dict[str, Any]]:
    """Return the claims of ours."""
    found = world.fake.zone.at(CLAIM, "TXT")
    return [one for one in found if one["comment"].startswith("foreshadow/")]


def moved(world: DnsWorld, **options: Any) -> None:
    director = world.director(**options)
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)


def methods(world: DnsWorld) -> list[str]:
    return [call.method for call in world.fake.calls]


def test_an_unchanged_record_costs_one_list_call(world: DnsWorld) -> None:
    moved(world)
    world.fake.calls.clear()
    world.director().apply({DESTINATION: 100}, token=1)
    assert methods(world) == ["GET"]
    world.fake.calls.clear()
    world.director().read()
    assert methods(world) == ["GET"]


def test_a_change_costs_one_look_and_one_write(world: DnsWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    world.fake.calls.clear()
    director.apply({DESTINATION: 100}, token=1)
    assert methods(world) == ["GET", "POST"]


def test_a_record_is_changed_in_place_and_marked(world: DnsWorld) -> None:
    (before,) = world.fake.zone.at(NAME, "A")
    moved(world)
    (after,) = world.fake.zone.at(NAME, "A")
    assert after["id"] == before["id"]
    assert after["comment"] == "foreshadow/checkout token=1"
    assert (after["ttl"], after["proxied"]) == (300, False)


def test_the_claim_tells_the_world_no_names(world: DnsWorld) -> None:
    moved(world)
    (claim,) = ours(world)
    assert "edge" not in claim["content"]
    assert "checkout" not in claim["content"]


def test_both_addresses_of_a_host_change_in_one_transaction(world: DnsWorld) -> None:
    addresses = world.wells.addresses
    world.fake.zone.put("AAAA", NAME, "2001:db8::a", ttl=300)
    targets = {
        SOURCE: f"{addresses[SOURCE]}, 2001:db8::a",
        DESTINATION: f"{addresses[DESTINATION]}, 2001:db8::b",
    }
    director = world.director(targets=targets)
    assert director.read()[0].weights == {SOURCE: 100}
    # Nothing listens on that address, so the check is left out by admitting with the IPv4 alone.
    world.director().admit(DESTINATION, LONG_AGO, token=1)
    world.fake.calls.clear()
    director.apply({DESTINATION: 100}, token=1)
    assert methods(world) == ["GET", "POST"]
    assert records(world) == [("A", addresses[DESTINATION]), ("AAAA", "2001:db8::b")]
    director.apply({SOURCE: 100}, token=1)
    assert records(world) == [("A", addresses[SOURCE]), ("AAAA", "2001:db8::a")]


def test_a_host_may_be_a_name(world: DnsWorld) -> None:
    world.fake.zone.records.clear()
    targets = {SOURCE: world.wells.addresses[SOURCE], DESTINATION: "b.example.net"}
    director = world.director(targets=targets)
    director.admit(SOURCE, LONG_AGO, token=1)
    director.apply({SOURCE: 100}, token=1)
    assert records(world) == [("A", world.wells.addresses[SOURCE])]
    world.director().admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)
    assert records(world) == [("CNAME", "b.example.net")]
    director.apply({SOURCE: 100}, token=1)
    assert records(world) == [("A", world.wells.addresses[SOURCE])]


def test_a_proxied_record_has_nothing_to_wait_for(world: DnsWorld) -> None:
    (record,) = world.fake.zone.at(NAME, "A")
    record.update(proxied=True, ttl=1)
    options = {"proxied": True, "ttl": 1}
    moved(world, **options)
    director = world.director(**options)
    assert director.ttl() == 0.0
    assert director.armed_ttl() is None
    assert not director.drained(SOURCE)
    world.pass_time(2.5)  # until all of Cloudflare's servers know
    assert world.director(**options).drained(SOURCE)
    with pytest.raises(DirectorError, match="no TTL of its own"):
        director.set_ttl(60, token=1)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"comment": "put here by Ada"}, "with a comment"),
        ({"tags": ["team:web"]}, "with tags"),
        ({"comment": "foreshadow/other token=3"}, "with a comment"),
        ({"content": "192.0.2.200"}, "with no mark"),
    ],
)
def test_a_persons_record_is_never_touched(
    world: DnsWorld, fields: dict[str, Any], told: str
) -> None:
    world.fake.zone.plan = "pro"
    (record,) = world.fake.zone.at(NAME, "A")
    record.update(fields)
    before = dict(record)
    director = world.director()
    assert "is not ours" in director.read()[0].drift
    director.admit(DESTINATION, LONG_AGO, token=1)
    for act in (
        lambda: director.apply({DESTINATION: 100}, token=1),
        lambda: director.set_ttl(60, token=1),
    ):
        with pytest.raises(RefusedError, match=told):
            act()
    assert world.fake.zone.at(NAME, "A") == [before]


def test_a_persons_record_beside_ours_is_told_and_not_touched(world: DnsWorld) -> None:
    moved(world)
    foreign = dict(world.fake.zone.put("A", NAME, "192.0.2.9", comment="the museum"))
    assert "192.0.2.9" in world.director().read()[0].drift
    with pytest.raises(RefusedError, match=r"192\.0\.2\.9"):
        world.director().apply({SOURCE: 100}, token=2)
    assert foreign in world.fake.zone.at(NAME, "A")
    assert records(world)[0] == ("A", world.wells.addresses[DESTINATION])


def test_what_a_person_edited_is_drift(world: DnsWorld) -> None:
    moved(world)
    (record,) = world.fake.zone.at(NAME, "A")
    record["content"] = "192.0.2.9"
    assert "no host's target" in world.director().read()[0].drift
    record.update(content=world.wells.addresses[DESTINATION], proxied=True)
    assert "is proxied" in world.director().read()[0].drift


def test_a_persons_tags_on_our_record_stay(world: DnsWorld) -> None:
    world.fake.zone.plan = "pro"
    moved(world)
    (record,) = world.fake.zone.at(NAME, "A")
    record["tags"] = ["team:web"]
    world.director().apply({SOURCE: 100}, token=1)
    (after,) = world.fake.zone.at(NAME, "A")
    assert after["tags"] == ["team:web"]


def test_an_unreadable_claim_stops_everything(world: DnsWorld) -> None:
    moved(world)
    (claim,) = ours(world)
    claim["content"] = '"foreshadow=1 token=many"'
    with pytest.raises(RefusedError, match="cannot be read"):
        world.director().apply({SOURCE: 100}, token=2)
    assert records(world) == [("A", world.wells.addresses[DESTINATION])]


def test_of_sixteen_actors_one_wins_each_time(world: DnsWorld) -> None:
    for host in (DESTINATION, SOURCE):
        world.director().admit(host, LONG_AGO, token=1)
    ready, told, lock = threading.Barrier(16), [], threading.Lock()

    def act(token: int) -> None:
        director = world.director()
        ready.wait()
        try:
            director.apply({DESTINATION: 100}, token=token)
        except ForeshadowError as error:
            with lock:
                told.append((token, error))

    actors = [threading.Thread(target=act, args=(token,)) for token in range(2, 18)]
    for actor in actors:
        actor.start()
    for actor in actors:
        actor.join()
    edits = [one for one in world.fake.zone.written if one[:2] == ("edit", "A")]
    assert edits == [("edit", "A", NAME, world.wells.addresses[DESTINATION])]
    assert len(ours(world)) == 1
    winner = int(ours(world)[0]["comment"].partition("token=")[2])
    for token, error in told:
        assert isinstance(error, FencedError), error
        assert token < winner


def test_a_batch_that_comes_late_changes_nothing(world: DnsWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    world.fake.faults[len(world.fake.calls) + 1] = "late"
    director.apply({DESTINATION: 100}, token=1)
    director.apply({SOURCE: 100}, token=1)
    world.fake.catch_up(entirely=True)
    assert records(world) == [("A", world.wells.addresses[SOURCE])]
    assert len(ours(world)) == 1


def test_a_long_list_is_read_page_by_page(world: DnsWorld) -> None:
    zone = world.fake.zone
    zone.plan = "pro"
    for number in range(250):
        zone.put("A", f"h{number}.example.com", "192.0.2.1", comment="foreshadow/checkout token=1")
    moved(world)
    world.fake.calls.clear()
    assert world.director().read()[0].weights == {DESTINATION: 100}
    assert len(world.fake.calls) == 3  # and none for an empty page


def test_an_automatic_ttl_is_lowered_and_becomes_automatic_again(world: DnsWorld) -> None:
    (record,) = world.fake.zone.at(NAME, "A")
    record["ttl"] = 1
    director = world.director(ttl=1)
    before = director.ttl()
    assert before == 300.0
    director.set_ttl(60.0, token=1)
    assert (director.ttl(), record["ttl"]) == (60.0, 60)
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)  # while it is lowered, it stays so
    assert director.ttl() == 60.0
    director.set_ttl(before, token=1)
    assert (director.ttl(), record["ttl"]) == (300.0, 1)


def test_it_is_a_director_whose_answers_are_cached(world: DnsWorld) -> None:
    director = world.director()
    assert isinstance(director, CachingDirector)
    assert not isinstance(director, HoldingDirector)
    assert director.name == f"cloudflare_dns {NAME}"


def test_looking_who_has_followed_spends_few_calls(world: DnsWorld) -> None:
    moved(world)
    director = world.director()
    world.fake.calls.clear()
    for _ in range(300):  # a minute
        (answer,) = director.answers()
        assert (answer.hosts, answer.problem) == ((DESTINATION,), "")
        assert not director.drained(SOURCE)
        assert director.cached_until(SOURCE) > world.clock.at
        world.clock.at += 0.2
    assert len(world.fake.calls) < 15
    world.clock.at += 10
    with world.silent():
        (answer,) = world.director().answers()
        assert "cannot be reached" in answer.problem


def test_looks_are_spaced_when_few_calls_are_left(world: DnsWorld) -> None:
    world.fake.limit = 100
    try:
        director = world.director()
        for _ in range(50):
            director.read()
            world.clock.at += 0.25
    finally:
        world.fake.limit = 1200
    assert len(world.fake.calls) < 10
    assert not world.fake.befallen


def test_a_change_is_made_once_although_each_look_would_ask_for_it(world: DnsWorld) -> None:
    zone = world.director()._zone

    def again(view: View) -> Step:
        return Step(replace(view.claim.admitting(DESTINATION), token=1))

    world.fake.faults[1] = "dropped-done"
    zone.change(again)
    assert world.fake.befallen["dropped-done"] == 1
    assert [what for what, *_ in world.fake.zone.written] == ["create"]
