"""A refusal is one line that says what to do; a wait that is asked for is honoured."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from foreshadow.directors.cloudflare.api import UncertainError
from foreshadow.directors.cloudflare.complaints import Subject, complaint
from foreshadow.directors.cloudflare.times import asked_wait, spacing
from foreshadow.domain.errors import (
    AccessError,
    DirectorError,
    ForeshadowError,
    SpecError,
    UnknownNameError,
    UnreachableError,
)
from foreshadow.testing.directors import DESTINATION, LONG_AGO, SOURCE
from tests.support.cloudflare import DNS, POOLS, TOKEN
from tests.support.cloudflare_world import NAME, DnsWorld, LbWorld, running_world


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsWorld]:
    with running_world(DnsWorld, tmp_path_factory.mktemp("dns")) as world:
        yield world


@pytest.fixture
def world(running: DnsWorld) -> Iterator[DnsWorld]:
    running.rest()
    yield running
    running.fake.scopes = {TOKEN: {DNS, POOLS}}


def told(act: Callable[[], object], kind: type[ForeshadowError]) -> str:
    """Return the one line that an action is refused with."""
    with pytest.raises(kind) as caught:
        act()
    assert type(caught.value) is kind
    line = str(caught.value)
    assert "\n" not in line
    assert caught.value.remedy
    assert TOKEN not in line
    assert line.startswith("resource checkout, Cloudflare")
    return line


def test_a_token_without_the_scope(world: DnsWorld) -> None:
    world.fake.scopes = {TOKEN: {POOLS}}
    line = told(world.director().read, AccessError)
    assert "give it the permission Zone > DNS > Edit, for this zone aaaa" in line


def test_a_token_that_is_no_longer_one(world: DnsWorld) -> None:
    world.fake.scopes = {}
    line = told(world.director().read, AccessError)
    assert f"put a valid one into {world.token_file}" in line


def test_an_unknown_zone(world: DnsWorld) -> None:
    line = told(world.director(zone_id="c" * 32).read, UnknownNameError)
    assert f"knows no zone {'c' * 32}" in line
    assert "copy the id from Cloudflare's dashboard" in line


def test_the_limit_of_records_is_reached(world: DnsWorld) -> None:
    world.fake.zone.limit = len(world.fake.zone.records)
    director = world.director()
    line = told(lambda: director.admit(DESTINATION, LONG_AGO, token=1), DirectorError)
    assert "delete records that nobody needs, or take a larger plan" in line
    assert world.director().read()[0].weights == {SOURCE: 100}


@pytest.mark.parametrize(("plan", "ttl"), [("free", 30), ("free", 59)])
def test_a_ttl_that_the_plan_does_not_allow(world: DnsWorld, plan: str, ttl: int) -> None:
    world.fake.zone.plan = plan
    director = world.director(ttl=ttl)
    director.admit(DESTINATION, LONG_AGO, token=1)
    line = told(lambda: director.apply({DESTINATION: 100}, token=1), SpecError)
    assert "set ttl and armed_ttl to 60 to 86400 seconds, from 30 on an Enterprise plan" in line
    assert "Invalid TTL" in line
    world.fake.zone.plan = "enterprise"
    director.apply({DESTINATION: 100}, token=1)


def test_a_persons_cname_in_the_way(world: DnsWorld) -> None:
    world.fake.zone.records.clear()
    director = world.director()
    director.admit(SOURCE, LONG_AGO, token=1)
    read = world.fake.zone.listed

    def hidden(query: Any) -> Any:  # made between our look and our change, each time
        shown, info = read(query)
        return [one for one in shown if one["type"] != "CNAME"], info

    world.fake.zone.put("CNAME", NAME, "a.example.net", comment="Ada's")
    world.fake.zone.listed = hidden  # type: ignore[method-assign]
    try:
        with pytest.raises(DirectorError, match="not as they were read"):
            director.apply({SOURCE: 100}, token=1)
    finally:
        del world.fake.zone.listed  # type: ignore[method-assign]


def test_a_token_is_read_from_the_environment(
    world: DnsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    director = world.director(token_file=None, token_env="SHOP_CLOUDFLARE_TOKEN")
    line = told(director.read, AccessError)
    assert "the environment variable SHOP_CLOUDFLARE_TOKEN holds no API token" in line
    monkeypatch.setenv("SHOP_CLOUDFLARE_TOKEN", TOKEN)
    assert director.read()[0].weights == {SOURCE: 100}


@pytest.mark.parametrize("content", [None, "", "two words", "é", b"\xff"])
def test_a_token_file_that_holds_none(
    world: DnsWorld, tmp_path: Path, content: str | bytes | None
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = told(world.director(token_file=str(path)).read, AccessError)
    assert str(path) in line


def test_a_global_key_in_the_environment_is_not_sent(
    world: DnsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []
    monkeypatch.setenv("CLOUDFLARE_API_KEY", "a-global-key")
    monkeypatch.setenv("CLOUDFLARE_EMAIL", "ada@example.com")
    monkeypatch.setenv("CLOUDFLARE_API_USER_SERVICE_KEY", "v1.0-service")
    answer = world.fake.answer

    def noting(call: Any, token: str) -> Any:
        seen.append(call.headers)
        return answer(call, token)

    monkeypatch.setattr(world.fake, "answer", noting)
    world.director().read()
    assert seen
    for headers in seen:
        assert headers["authorization"] == f"Bearer {TOKEN}"
        assert not {"x-auth-key", "x-auth-email", "x-auth-user-service-key"} & set(headers)


def test_the_token_is_in_no_log(world: DnsWorld, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    world.fake.faults[len(world.fake.calls) + 1] = "dropped-done"
    director.apply({DESTINATION: 100}, token=1)
    assert caplog.text
    assert TOKEN not in caplog.text


def test_a_wait_that_fits_is_sat_out(world: DnsWorld) -> None:
    director = world.director(deadline="3m")
    director.admit(DESTINATION, LONG_AGO, token=1)
    for place in (0, 1):  # at the look, then at the write
        world.fake.reset_calls()
        world.fake.faults[place] = "429"
        before = world.clock.at
        target = {DESTINATION: 100} if place == 0 else {SOURCE: 100}
        director.apply(target, token=1)
        assert world.clock.at - before >= 120
        assert world.fake.befallen["429"] == 1, "it asked again too early"
        assert world.director().converged(target)


def test_a_wait_that_does_not_fit_is_told_at_once_and_nobody_asks_meanwhile(
    world: DnsWorld,
) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    world.fake.reset_calls()
    world.fake.faults[0] = "429"
    before = world.clock.at
    line = told(lambda: director.apply({DESTINATION: 100}, token=1), UnreachableError)
    assert "takes no calls for 2m" in line
    assert world.clock.at == before
    world.clock.at += 10
    told(director.read, UnreachableError)
    assert len(world.fake.calls) == 1
    world.clock.at += 110
    director.apply({DESTINATION: 100}, token=1)


def test_the_last_call_of_a_limit_is_noticed_before_it_is_refused(world: DnsWorld) -> None:
    world.fake.limit = 3
    try:
        director = world.director(deadline="10m")
        director.admit(DESTINATION, LONG_AGO, token=1)  # three calls
        director.apply({DESTINATION: 100}, token=1)
    finally:
        world.fake.limit = 1200
    assert not world.fake.befallen


def test_an_answer_that_never_comes_leaves_the_state_in_doubt(world: DnsWorld) -> None:
    director = world.director()
    director.admit(DESTINATION, LONG_AGO, token=1)
    count = len(world.fake.calls)
    world.fake.faults.update({count + 1: "dropped-done"})
    world.fake.faults.update(dict.fromkeys(range(count + 2, count + 100), "500"))
    with pytest.raises(DirectorError, match="its state is unknown"):
        director.apply({DESTINATION: 100}, token=1)
    world.fake.faults.clear()
    assert world.director().converged({DESTINATION: 100})


def test_what_is_not_cloudflare_is_told(world: DnsWorld) -> None:
    world.fake.faults.update(dict.fromkeys(range(200), "garbage"))
    line = told(world.director(deadline="5s").read, UncertainError)
    assert "check that base_url is Cloudflare's" in line


def test_a_token_without_the_scope_for_pools(tmp_path: Path) -> None:
    with running_world(LbWorld, tmp_path) as world:
        world.fake.scopes = {TOKEN: {DNS}}
        line = told(world.director().read, AccessError)
        assert "Account > Load Balancing: Monitors and Pools > Edit" in line
        world.fake.scopes = {TOKEN: {POOLS}}
        line = told(world.director(pools=["9" * 32]).read, UnknownNameError)
        assert f"knows no pool {'9' * 32}" in line


def test_a_ttl_that_cannot_be_set_changes_nothing(world: DnsWorld) -> None:
    line = told(lambda: world.director().set_ttl(45, token=1), DirectorError)
    assert "60 to 86400" in line
    assert world.director().ttl() == world.ttl


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "way_out"),
    [
        (403, 9109, "Invalid access token", AccessError, "put a valid one into /run/token"),
        (403, 9109, "Unauthorized to access requested resource", AccessError, "give it the perm"),
        (400, 6003, "Invalid request headers", AccessError, "put a valid one"),
        (400, 1001, "Invalid zone identifier", UnknownNameError, "copy the id"),
        (400, 9005, "Content for A record must be a valid IPv4 address.", SpecError, "targets"),
    ],
)
def test_codes_say_who_has_to_act(
    status: int, code: int, message: str, kind: type[ForeshadowError], way_out: str
) -> None:
    error = complaint(status, {"errors": [{"code": code, "message": message}]}, SUBJECT)
    assert type(error) is kind
    assert message in error.problem
    assert way_out in error.remedy


SUBJECT = Subject("resource checkout, Cloudflare", "zone z", "Zone > DNS > Edit", "/run/token")


@pytest.mark.parametrize(
    "body", [None, "x", {}, {"errors": None}, {"errors": ["x", {"code": "a"}]}]
)
def test_any_refusal_is_told(body: object) -> None:
    assert "\n" not in str(complaint(418, body, SUBJECT))
    assert complaint(400, body, SUBJECT).remedy


@pytest.mark.parametrize(
    ("headers", "refused", "seconds"),
    [
        ({"retry-after": "120"}, True, 120.0),
        ({"retry-after": "soon", "ratelimit": '"default";r=0;t=30'}, True, 30.0),
        ({}, True, 0.0),
        ({"ratelimit": '"default";r=50;t=30'}, False, 0.0),
        ({"ratelimit": '"burst";r=0;t=3, "default";r=0;t=30'}, False, 30.0),
        ({"ratelimit": "rubbish", "retry-after": "9"}, False, 0.0),
    ],
)
def test_headers_say_how_long_to_wait(
    headers: dict[str, str], refused: bool, seconds: float
) -> None:
    assert asked_wait(headers, refused=refused) == seconds


def test_the_fewer_calls_are_left_the_longer_is_waited_between_looks() -> None:
    assert spacing({}) == 0.0
    assert spacing({"ratelimit": '"default";r=900;t=300'}) == 0.0
    assert spacing({"ratelimit": '"default";r=100;t=300'}) == 6.0
    assert spacing({"ratelimit": '"default";r=0;t=20'}) == 40.0
