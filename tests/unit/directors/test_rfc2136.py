"""The director on standard DNS, against servers that speak it in this process."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest

from foreshadow.directors.rfc2136 import Rfc2136Director
from foreshadow.directors.rfc2136_options import Server, parse_server
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import (
    AccessError,
    DirectorError,
    SpecError,
    UnreachableError,
)
from foreshadow.testing.directors import DESTINATION, LONG_AGO, SOURCE, CachingConformance
from tests.support.dns_race import patient, race
from tests.support.dns_server import serving
from tests.support.dns_world import KEY, NAME, RESOURCE, SECRET, DnsWorld, running_dns


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsWorld]:
    with running_dns(tmp_path_factory.mktemp("dns")) as world:
        yield world


@pytest.fixture
def world(running: DnsWorld) -> DnsWorld:
    running.rest()
    return running


class TestRfc2136Conformance(CachingConformance):
    shares = False
    counts_requests = False

    @pytest.fixture
    def world(self, running: DnsWorld) -> DnsWorld:
        return running


def moved(world: DnsWorld, token: int = 1) -> Rfc2136Director:
    """Return a director that has just moved the record to ``edge-b``."""
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token)
    director.apply({DESTINATION: 100}, token)
    return director


def test_what_else_the_name_has_survives(world: DnsWorld) -> None:
    moved(world)
    assert world.zone.texts(NAME, "MX") == ["10 mail.example.org."]
    claims = world.zone.texts(f"_foreshadow.{NAME}", "TXT")
    assert '"a note of a person"' in claims
    assert len(claims) == 2
    assert world.zone.texts(NAME, "A") == [world.wells.addresses[DESTINATION]]


def test_data_of_somebody_else_in_the_record_survives_and_is_told(world: DnsWorld) -> None:
    world.zone.put(NAME, "A", 60, world.wells.addresses[SOURCE], "192.0.2.99")
    moved(world)
    assert set(world.zone.texts(NAME, "A")) == {world.wells.addresses[DESTINATION], "192.0.2.99"}
    for endpoint in world.director().read():
        assert "192.0.2.99" in endpoint.drift


def test_a_change_by_hand_is_told(world: DnsWorld) -> None:
    moved(world)
    world.zone.put(NAME, "A", 60, world.wells.addresses[SOURCE])
    drift = world.director().read()[0].drift
    assert "changed by hand" in drift
    assert "edge-a" in drift
    assert "edge-b" in drift


def test_of_many_actors_with_one_token_exactly_one_wins_and_the_rest_hear_who(
    world: DnsWorld,
) -> None:
    world.director("set-up").admit(DESTINATION, LONG_AGO, token=1)
    options = patient(world.wells)
    for turn in range(3):
        result = race([world.director(f"actor-{i}", **options) for i in range(16)], turn)
        (winner,) = result.winners
        claim = " ".join(world.zone.texts(f"_foreshadow.{NAME}", "TXT"))
        assert f'"by=actor-{winner}"' in claim
        assert len(result.told) == 15
        for said in result.told:
            assert f"actor-{winner} " in said


def test_who_read_before_another_wrote_changes_nothing(world: DnsWorld) -> None:
    """Without the prerequisites the second one would overwrite what it never saw."""
    world.director("first").admit(DESTINATION, LONG_AGO, token=1)
    second = world.director("second")

    def overtaken() -> None:
        world.zone.before_update = lambda: None
        before = world.zone.copy()
        world.director("faster").set_ttl(7, token=3)
        world.zone.stale, world.zone.cached = 2, before  # a cache does not know yet who it was

    world.zone.before_update = overtaken
    with pytest.raises(DirectorError, match="faster"):
        second.apply({DESTINATION: 100}, token=4)
    assert world.director().converged({SOURCE: 100})
    assert world.director().ttl() == 7


def test_a_record_belongs_to_one_resource(world: DnsWorld) -> None:
    moved(world)
    other = Rfc2136Director(world.spec(), "billing", now=world.now)
    with pytest.raises(DirectorError, match="belongs to resource checkout"):
        other.admit(SOURCE, LONG_AGO, token=9)
    assert "belongs to resource checkout" in other.read()[0].drift


def test_a_lost_reply_is_read_back(world: DnsWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    before = world.zone.updates
    world.zone.lose_replies = 1
    director.apply({DESTINATION: 100}, token=1)
    assert world.director().converged({DESTINATION: 100})
    assert world.zone.updates == before + 2  # the change, and that every server followed


def test_a_server_that_answers_from_its_cache_is_asked_again(world: DnsWorld) -> None:
    """As PowerDNS may: the winner of a race must not believe that it lost to itself."""
    director = world.director("actor")
    director.admit(DESTINATION, LONG_AGO, token=1)
    # What was made of the first update is read by it, and by the note that all servers follow.
    world.zone.stale = 2
    director.apply({DESTINATION: 100}, token=2)
    assert world.zone.cached is None
    assert world.director().converged({DESTINATION: 100})
    claim = " ".join(world.zone.texts(f"_foreshadow.{NAME}", "TXT"))
    assert '"by=actor"' in claim


@pytest.mark.parametrize(("kinds", "stale"), [("A", 2), ("A TXT", 4), ("A TXT", 5), ("TXT", 3)])
def test_record_and_claim_may_each_come_from_a_cache(
    kinds: str, stale: int, world: DnsWorld
) -> None:
    director = moved(world)
    before = world.zone.copy()
    director.apply({SOURCE: 100}, token=1)
    director.retire(DESTINATION, token=1)
    world.zone.cached, world.zone.stale = before, stale
    world.zone.cached_kinds = frozenset(kinds.split())
    director.admit(DESTINATION, LONG_AGO, token=1)
    assert world.zone.cached is None
    assert world.director().converged({SOURCE: 100})
    assert f"ready={DESTINATION}" in " ".join(world.zone.texts(f"_foreshadow.{NAME}", "TXT"))


def claim_of(world: DnsWorld) -> str:
    (claim,) = [t for t in world.zone.texts(f"_foreshadow.{NAME}", "TXT") if "by=" in t]
    return claim


def test_a_claim_that_a_person_removed_is_waited_for_once_and_serials_go_on(
    world: DnsWorld,
) -> None:
    """Begun anew, they would make every change that follows look older than the last one."""
    slept: list[float] = []
    at = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        at[0] += seconds

    director = Rfc2136Director(
        world.spec(), RESOURCE, actor="us", now=world.now, monotonic=lambda: at[0], sleep=sleep
    )
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)
    (before,) = re.findall(r"serial=(\d+)", claim_of(world))
    world.zone.put(f"_foreshadow.{NAME}", "TXT", 300)
    slept.clear()
    director.admit(SOURCE, LONG_AGO, token=1)
    assert 0 < sum(slept) <= 0.4 + 0.1, "as long as one question may take"
    (after,) = re.findall(r"serial=(\d+)", claim_of(world))
    assert int(after) == int(before) + 1
    slept.clear()
    director.retire(SOURCE, token=1)
    director.admit(SOURCE, LONG_AGO, token=1)
    assert slept == []


def test_a_claim_of_before_that_a_person_restored_is_written_anew(world: DnsWorld) -> None:
    director = moved(world)
    before = world.zone.copy()
    director.retire(SOURCE, token=1)
    director.admit(SOURCE, LONG_AGO, token=1)
    newest = claim_of(world)
    world.zone.sets.clear()
    world.zone.sets.update(before)
    director.admit(DESTINATION, LONG_AGO, token=1)  # it is admitted, by the claim of before
    serials = [int(re.findall(r"serial=(\d+)", claim)[0]) for claim in (newest, claim_of(world))]
    assert serials[1] == serials[0] + 1


def test_a_person_who_changes_the_record_at_the_same_moment_is_not_overruled(
    world: DnsWorld,
) -> None:
    director = world.director("actor")
    director.admit(DESTINATION, LONG_AGO, token=1)

    def changed_by_hand() -> None:
        world.zone.before_update = lambda: None
        world.zone.put(NAME, "A", 60, "192.0.2.7")

    world.zone.before_update = changed_by_hand
    with pytest.raises(DirectorError, match="was changed by actor at the same moment"):
        director.apply({DESTINATION: 100}, token=1)
    assert world.zone.texts(NAME, "A") == ["192.0.2.7"]


def test_an_update_that_was_held_up_is_refused_after_the_way_back(world: DnsWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({SOURCE: 100}, token=1)  # so that the way back has nothing to change by itself
    world.zone.swallow = 1
    with pytest.raises(UnreachableError):
        director.apply({DESTINATION: 100}, token=1)
    director.apply({SOURCE: 100}, token=1)
    (late,) = world.zone.late
    assert world.zone.update(late) == dns.rcode.NXRRSET
    assert world.director().converged({SOURCE: 100})


def test_what_is_so_already_costs_no_update(world: DnsWorld) -> None:
    director = moved(world)
    director.set_ttl(world.ttl, token=1)
    updates = world.zone.updates
    for one in (director, world.director()):
        one.admit(DESTINATION, LONG_AGO, token=1)
        one.apply({DESTINATION: 100}, token=1)
        one.set_ttl(world.ttl, token=1)
        one.persist()
    assert world.zone.updates == updates


def test_every_server_has_to_follow(world: DnsWorld) -> None:
    world.secondary.lag = 0.4
    began = time.monotonic()
    director = moved(world)
    assert time.monotonic() - began >= 0.4
    since = {a.server: a.since for a in director.answers() if a.authoritative}
    first, second = since.values()
    assert second - first >= 0.3


def test_a_server_that_does_not_follow_is_named_and_the_old_answers_count_on(
    world: DnsWorld,
) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    world.secondary.lag = None
    with pytest.raises(DirectorError, match=str(world.secondary_server.server)):
        director.apply({DESTINATION: 100}, token=1)
    world.pass_time(10 * world.ttl)
    assert not world.director().drained(SOURCE)  # it still gives the old address to anybody
    world.secondary.lag = 0.0
    late = world.director()
    assert not late.drained(SOURCE)  # fetched from it just now
    world.pass_time(world.ttl + 2)
    assert late.drained(SOURCE)


def test_the_wait_is_known_to_who_comes_after_a_crash(world: DnsWorld) -> None:
    """Died between the change and the note that every server had followed."""
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    director._confirm = lambda token: None  # type: ignore[method-assign]
    director.apply({DESTINATION: 100}, token=1)
    later = world.director()
    assert not later.drained(SOURCE)
    world.pass_time(world.ttl + 2)
    assert later.drained(SOURCE)
    assert not world.director().drained(SOURCE)  # knows of no time at which they followed
    world.director().apply({DESTINATION: 100}, token=2)
    world.pass_time(world.ttl + 2)
    assert world.director().drained(SOURCE)


def test_a_resolver_that_overstays_holds_up_the_drain(world: DnsWorld) -> None:
    world.resolver.floor = 3 * world.ttl
    director = world.director()
    director.answers()  # now it has the old answer
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)
    world.pass_time(world.ttl + 2)
    (resolver,) = [a for a in director.answers() if not a.authoritative]
    assert resolver.hosts == (SOURCE,)
    assert director.cached_until(SOURCE) < world.now()
    assert not director.drained(SOURCE)
    world.resolver._cache.clear()
    assert not director.drained(SOURCE)  # those whom it told may keep it for as long as it said
    world.pass_time(2 * world.ttl)
    assert director.drained(SOURCE)


def test_who_follows_while_somebody_looks_at_the_hosts_is_known_by_that_look(
    world: DnsWorld,
) -> None:
    world.director().answers()  # now the resolver has the old answer
    director = moved(world)
    director.read()
    world.pass_time(world.ttl)
    director.read()  # as soaking does
    followed = world.now()
    world.pass_time(100.0)
    director.read()
    (resolver,) = [a for a in director.answers() if not a.authoritative]
    assert resolver.hosts == (DESTINATION,)
    assert resolver.since <= followed


def test_each_answer_is_dated_when_it_comes_however_long_another_takes(world: DnsWorld) -> None:
    dates: list[float] = []
    others_came = threading.Event()

    def now() -> WallTime:
        at = world.now()
        dates.append(at)
        if len(dates) == 3:  # of both authoritative servers, and of the resolver that is quick
            others_came.set()
        return at

    def slow(message: dns.message.Message) -> dns.message.Message | None:
        others_came.wait(20.0)
        world.shift = 50.0
        return world.resolver.answer(message)

    with serving(slow) as running:
        resolvers = [str(world.resolver_server.server), str(running.server)]
        director = Rfc2136Director(world.spec(resolvers=resolvers, timeout="3s"), "it", now=now)
        quick, late = director.answers()[-2:]
    assert quick.problem == ""
    assert late.since - quick.since >= 49.0


def test_a_silent_resolver_is_among_the_answers(world: DnsWorld) -> None:
    world.resolver_server.silent = True
    (resolver,) = [a for a in world.director().answers() if not a.authoritative]
    assert "does not answer" in resolver.problem
    assert world.director().drained(DESTINATION)


def test_a_known_floor_of_resolvers_is_waited_for(world: DnsWorld) -> None:
    director = world.director(resolver_floor="5m", resolvers=[])
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)
    world.pass_time(299)
    assert not director.drained(SOURCE)
    world.pass_time(3)
    assert director.drained(SOURCE)


def test_an_answer_of_500_is_no_passed_check(world: DnsWorld) -> None:
    world.wells.status[DESTINATION] = 500
    try:
        with pytest.raises(DirectorError, match="answers 500"):
            world.hasty_director().admit(DESTINATION, LONG_AGO, token=1)
    finally:
        world.wells.status.clear()


def test_a_host_that_fell_ill_after_it_was_admitted_gets_nothing(world: DnsWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    with world.unwell(DESTINATION), pytest.raises(DirectorError, match="cannot take traffic"):
        director.apply({DESTINATION: 100}, token=1)
    assert world.director().converged({SOURCE: 100})


def test_a_wrong_key_is_told_and_never_shown(world: DnsWorld, tmp_path: Path) -> None:
    wrong = base64.b64encode(b"x" * 32).decode()
    path = tmp_path / "wrong.key"
    path.write_text(wrong)
    with pytest.raises(AccessError) as caught:
        world.director(key={"name": KEY, "file": str(path)}).admit(DESTINATION, LONG_AGO, token=1)
    assert wrong not in str(caught.value)
    assert "update" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_update_without_a_key_is_refused_in_one_line(world: DnsWorld) -> None:
    with pytest.raises(AccessError, match="refuses the update with REFUSED"):
        world.director(key=None).admit(DESTINATION, LONG_AGO, token=1)


@pytest.mark.parametrize("text", [SECRET, f"  secret: {SECRET}\n", f'secret "{SECRET}";'])
def test_a_key_comes_from_the_environment(
    world: DnsWorld, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("DNS_KEY", text)
    director = world.director(key={"name": KEY, "environment": "DNS_KEY"})
    director.admit(DESTINATION, LONG_AGO, token=1)
    assert DESTINATION in world.director().read()[0].checked


def test_a_missing_key_is_told(world: DnsWorld) -> None:
    for key, said in (
        ({"environment": "NOT_SET"}, "NOT_SET is not set"),
        ({"file": "/none"}, "/none cannot be read"),
        ({"file": "/dev/null"}, "holds no TSIG secret"),
    ):
        director = world.director(key={"name": KEY, **key})
        with pytest.raises(AccessError, match=said):
            director.admit(DESTINATION, LONG_AGO, token=1)


@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        ("AAAA", {"edge-a": "2001:db8::1", "edge-b": "2001:db8::2"}),
        ("CNAME", {"edge-a": "a.example.net", "edge-b": "b.example.net."}),
    ],
)
def test_other_types_move_beside_one_another(
    world: DnsWorld, kind: str, targets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foreshadow.directors.rfc2136.failure", lambda *_: "")
    name = f"{kind.lower()}.example.org"
    world.zone.put(name, kind, 30, targets["edge-a"].rstrip(".") + ("." if kind != "AAAA" else ""))
    director = world.director(type=kind, targets=targets, name=name)
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)
    assert [text.rstrip(".") for text in world.zone.texts(name, kind)] == [
        targets["edge-b"].rstrip(".")
    ]
    assert director.converged({DESTINATION: 100})


def test_two_types_of_one_name_keep_a_claim_each(
    world: DnsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foreshadow.directors.rfc2136.failure", lambda *_: "")
    world.zone.put(NAME, "AAAA", 30, "2001:db8::1")
    targets = {"edge-a": "2001:db8::1", "edge-b": "2001:db8::2"}
    second = world.director(type="AAAA", targets=targets)
    second.admit(DESTINATION, LONG_AGO, token=1)
    moved(world)
    second.apply({DESTINATION: 100}, token=1)
    assert world.zone.texts(NAME, "AAAA") == ["2001:db8::2"]
    assert world.director().converged({DESTINATION: 100})
    assert len(world.zone.texts(f"_foreshadow.{NAME}", "TXT")) == 3


def test_a_server_without_authority_is_refused(world: DnsWorld) -> None:
    director = world.director(servers=[str(world.resolver_server.server)])
    with pytest.raises(DirectorError, match="without authority"):
        director.read()


def test_an_unreadable_claim_is_told(world: DnsWorld) -> None:
    world.zone.put(f"_foreshadow.{NAME}", "TXT", 5, '"foreshadow=1" "type=A"')
    with pytest.raises(DirectorError, match="it has no owner"):
        world.director().read()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"zone": "example.net"}, "is not in the zone"),
        ({"server": "ns1.example.org"}, "is no server"),
        ({"servers": ["127.0.0.1:x"]}, "is no server"),
        ({"key": {"name": KEY}}, "name either file or environment"),
        ({"key": {"name": KEY, "secret": SECRET}}, "key.secret: unknown key"),
        ({"key": {"name": KEY, "algorithm": "hmac-md5", "file": "/k"}}, "algorithm"),
        ({"targets": {}}, "targets: is required"),
        ({"targets": {"edge-a": "a.example.org"}}, "no data of a record of type A"),
        ({"targets": {"edge-a": "192.0.2.1", "edge-b": "192.0.2.1"}}, "the same target"),
        ({"armed_ttl": "1500ms"}, "whole seconds"),
        ({"resolver": "192.0.2.1"}, "did you mean resolvers"),
        ({"check": {"path": "/healthz"}}, "check.port: is required"),
    ],
)
def test_malformed_options_are_told_in_one_line(
    world: DnsWorld, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError) as caught:
        world.director(**options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.1", Server("192.0.2.1")),
        ("192.0.2.1:5300", Server("192.0.2.1", 5300)),
        ("2001:db8::1", Server("2001:db8::1")),
        ("[2001:db8::1]:5300", Server("2001:db8::1", 5300)),
    ],
)
def test_servers_are_written_as_people_do(text: str, server: Server) -> None:
    assert parse_server(text) == server
    assert parse_server(str(server)) == server
