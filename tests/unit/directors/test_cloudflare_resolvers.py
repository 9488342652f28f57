"""Named resolvers see a change of a Cloudflare record last, and are waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.message
import pytest

from foreshadow.domain.errors import SpecError
from foreshadow.testing.directors import DESTINATION, LONG_AGO, SOURCE
from tests.support.cloudflare_world import NAME, DnsWorld, running_world
from tests.support.dns_server import Resolver, Running, Zone, serving


@dataclass
class Seen:
    """A world, and a resolver that keeps what it was told."""

    world: DnsWorld
    zone: Zone
    resolver: Resolver
    running: Running
    asked: list[object]

    def publish(self) -> None:
        """Let Cloudflare's own servers answer what stands in the zone now."""
        found = self.world.fake.zone.at(NAME, "A")
        self.zone.put(NAME, "A", found[0]["ttl"], *(record["content"] for record in found))

    def ask(self) -> None:
        """Let a client ask the resolver, which keeps the answer."""
        self.resolver.answer(dns.message.make_query(NAME, "A"))

    def options(self) -> dict[str, object]:
        return {"resolvers": [str(self.running.server)]}


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Seen]:
    zone = Zone("example.com")
    with running_world(DnsWorld, tmp_path) as world, serving(zone.answer) as authority:
        resolver = Resolver(authority.server)
        resolver.now = lambda: world.clock.at
        asked: list[object] = []

        def answer(message: dns.message.Message) -> dns.message.Message | None:
            asked.append(message)
            return resolver.answer(message)

        with serving(answer) as running:
            found = Seen(world, zone, resolver, running, asked)
            found.publish()
            yield found


def test_a_resolver_is_told_with_the_time_at_which_it_followed(seen: Seen) -> None:
    director = seen.world.director(**seen.options())
    seen.ask()
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)
    seen.publish()
    own, other = director.answers()
    assert (own.authoritative, own.hosts) == (True, (DESTINATION,))
    assert (other.authoritative, other.hosts, other.problem) == (False, (SOURCE,), "")
    assert 0 < other.ttl <= seen.world.ttl
    seen.world.pass_time(seen.world.ttl + 2)
    followed = seen.world.clock.at
    assert director.answers()[1].hosts == (DESTINATION,)
    seen.world.pass_time(5)
    assert director.answers()[1].since == followed
    assert director.drained(SOURCE)


def test_who_follows_while_somebody_looks_at_the_hosts_is_known_by_that_look(seen: Seen) -> None:
    director = seen.world.director(**seen.options())
    seen.ask()
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)
    seen.publish()
    seen.world.pass_time(seen.world.ttl + 2)
    followed = seen.world.clock.at
    director.read()  # as soaking does
    seen.world.pass_time(100.0)
    other = director.answers()[1]
    assert other.hosts == (DESTINATION,)
    assert other.since == followed


def test_an_answer_is_dated_when_it_comes(seen: Seen) -> None:
    def slow(message: dns.message.Message) -> dns.message.Message | None:
        seen.world.pass_time(2.0)
        return seen.resolver.answer(message)

    began = seen.world.clock.at
    with serving(slow) as running:
        (_, other) = seen.world.director(resolvers=[str(running.server)]).answers()
    assert other.since >= began + 2.0


def test_who_has_followed_is_not_asked_at_each_look(seen: Seen) -> None:
    director = seen.world.director(**seen.options())
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)
    seen.publish()
    seen.world.pass_time(seen.world.ttl + 2)
    director.read()
    asked = len(seen.asked)
    director.read()
    assert len(seen.asked) == asked


def test_a_host_is_not_drained_while_a_named_resolver_overstays(seen: Seen) -> None:
    director = seen.world.director(**seen.options())
    seen.resolver.floor = 2 * seen.world.ttl
    seen.ask()
    director.admit(DESTINATION, LONG_AGO, token=1)
    director.apply({DESTINATION: 100}, token=1)
    seen.publish()
    seen.world.pass_time(seen.world.ttl + 2)
    assert not director.drained(SOURCE)
    assert seen.world.director().drained(SOURCE), "nobody else knows of that resolver"
    seen.world.pass_time(seen.world.ttl)
    assert director.drained(SOURCE)


def test_a_resolver_that_does_not_answer_is_told_and_not_waited_for(seen: Seen) -> None:
    director = seen.world.director(**seen.options())
    seen.running.silent = True
    (_, silent) = director.answers()
    assert "does not answer" in silent.problem
    assert director.drained(DESTINATION)


def test_what_is_no_resolver_is_refused_in_one_line(seen: Seen) -> None:
    with pytest.raises(SpecError, match=r"resolvers: 'one\.example' is no server"):
        seen.world.director(resolvers=["one.example"])
    with pytest.raises(SpecError, match="leave resolvers out"):
        seen.world.director(resolvers=["192.0.2.53"], proxied=True, ttl=1)
