"""Servers and resolvers follow one by one: each has its moment, and is not asked any more then."""

from __future__ import annotations

from foreshadow.directors.followers import Dates, Followers
from foreshadow.domain.clock import WallTime
from foreshadow.domain.protocols import Answer

A, B = ("edge-a",), ("edge-b",)


class World:
    """What a server and a resolver answer."""

    def __init__(self) -> None:
        self.at = 100.0
        self.leads = {"server": A, "resolver": A}
        self.silent: set[str] = set()
        self.asked = 0
        self.dates = Dates(lambda: WallTime(self.at))
        self.followers = Followers(self.ask)

    def ask(self) -> list[Answer]:
        self.asked += 1
        return [self.answer(server) for server in self.leads]

    def answer(self, server: str) -> Answer:
        if server in self.silent:
            return Answer(server, False, (), 0.0, WallTime(self.at), "does not answer")
        hosts = self.leads[server]
        return Answer(server, False, hosts, 5.0, self.dates.note(server, hosts))

    def since(self, server: str) -> float:
        self.at += 1000.0
        return self.answer(server).since


def test_a_moment_stays_until_the_server_answers_otherwise() -> None:
    world = World()
    assert world.since("server") == 1100.0
    assert world.since("server") == 1100.0
    world.leads["server"] = B
    assert world.since("server") == 3100.0
    world.leads["server"] = A
    assert world.since("server") == 4100.0


def test_they_are_asked_until_all_have_followed() -> None:
    world = World()
    world.followers.note()
    assert world.asked == 0, "nobody has to follow"
    world.followers.expect("edge-b")
    world.leads["server"] = B
    world.followers.note()
    world.at, world.leads["resolver"] = 160.0, B
    world.followers.note()
    world.followers.note()
    assert world.asked == 2
    assert (world.since("server"), world.since("resolver")) == (100.0, 160.0)


def test_who_does_not_answer_is_not_waited_for() -> None:
    world = World()
    world.silent, world.leads["server"] = {"resolver"}, B
    world.followers.expect("edge-b")
    for _ in range(2):
        world.followers.note()
    assert world.asked == 1
