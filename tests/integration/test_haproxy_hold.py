"""Holding requests and delivering them, on a real pair of HAProxy processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from foreshadow.agent.runtime_api import RuntimeSocket
from foreshadow.domain.errors import DirectorError, FencedError
from foreshadow.testing.directors import DESTINATION, LONG_AGO, SOURCE
from tests.integration.test_haproxy_director import OFTEN, reset
from tests.support.haproxy import wait_until
from tests.support.pair import Pair, fetch, running_pair


@pytest.fixture(scope="module")
def running() -> Iterator[Pair]:
    with running_pair(relay_timeout=0.5, hold=True, haproxy_check=OFTEN) as pair:
        yield pair


@pytest.fixture
def pair(running: Pair) -> Iterator[Pair]:
    reset(running)
    running.director().admit(DESTINATION, LONG_AGO, token=1)
    yield running
    running.director().release(token=99)


class Asking:
    """A request at each load balancer, from threads of their own."""

    def __init__(self, pair: Pair, path: str = "/") -> None:
        self.answers: list[str] = []
        self._threads = [
            threading.Thread(target=self._ask, args=(f"http://{front}{path}",))
            for front in pair.fronts
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, url: str) -> None:
        self.answers.append(fetch(url).split()[0])

    def wait(self) -> list[str]:
        for thread in self._threads:
            thread.join(10)
        return self.answers


@contextmanager
def slow(pair: Pair, seconds: float) -> Iterator[None]:
    asking = Asking(pair, f"/slow?seconds={seconds}")
    wait_until(lambda: pair.services[SOURCE].in_flight() == 2, "the requests to arrive")
    yield
    asking.wait()


def test_what_is_held_is_answered_by_the_host_that_it_is_delivered_to(pair: Pair) -> None:
    director = pair.director()
    began = time.monotonic()
    assert director.hold(SOURCE, 5.0, 1.0, token=1)
    assert director.held()
    asking = Asking(pair)
    time.sleep(0.2)
    assert asking.answers == []
    held = director.deliver({DESTINATION: 100}, token=1)
    assert held is not None
    assert 0.2 <= held <= time.monotonic() - began
    assert asking.wait() == [DESTINATION] * 2
    assert not director.held()
    assert director.converged({DESTINATION: 100})
    assert director.deliver({DESTINATION: 100}, token=1) is None, "nothing was held any more"


def test_a_hold_counts_from_its_first_beginning_and_up_to_its_own_end(pair: Pair) -> None:
    director = pair.director()
    began = time.monotonic()
    assert director.hold(SOURCE, 5.0, 1.0, token=1)
    time.sleep(0.2)
    assert director.hold(SOURCE, 0.2, 1.0, token=1), "as for a service that has to let go first"
    most = time.monotonic() - began + 0.2
    wait_until(lambda: not director.held(), "the hold to end by itself")
    time.sleep(0.3)
    held = director.deliver({DESTINATION: 100}, token=1)
    assert held is not None
    assert 0.4 <= held <= most


def test_it_waits_for_the_requests_that_the_host_has(pair: Pair) -> None:
    director = pair.director()
    with slow(pair, 0.6):
        assert not director.hold(SOURCE, 5.0, 0.1, token=1)
        assert director.held()
        began = time.monotonic()
        assert director.hold(SOURCE, 5.0, 3.0, token=1)
        assert time.monotonic() - began < 2


def test_a_hold_and_the_first_look_are_one_exchange(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    director = pair.director()
    director.read()
    assert not director.held()
    asked: list[str] = []
    exchange = RuntimeSocket.exchange

    async def noted(self: RuntimeSocket, commands: Sequence[str]) -> list[str]:
        asked.append(str(self.path))
        return await exchange(self, commands)

    monkeypatch.setattr(RuntimeSocket, "exchange", noted)
    assert director.hold(SOURCE, 5.0, 1.0, token=1)
    assert len(asked) == len(set(asked)) == 2


def test_a_backend_that_has_another_number_by_now_is_held_as_well(pair: Pair) -> None:
    director = pair.director()
    director.read()
    for client in pair.access.clients.values():
        numbers = client.relay._numbers
        numbers |= dict.fromkeys(numbers, "99")
    with slow(pair, 0.6):
        assert not director.hold(SOURCE, 5.0, 0.1, token=1)
        assert director.held()
    assert director.hold(SOURCE, 5.0, 3.0, token=1)
    director.deliver({DESTINATION: 100}, token=1)
    assert director.converged({DESTINATION: 100})


def test_a_hold_ends_by_itself(pair: Pair) -> None:
    director = pair.director()
    director.hold(SOURCE, 0.3, 0.1, token=1)
    began = time.monotonic()
    assert Asking(pair).wait() == [SOURCE] * 2
    assert 0.1 < time.monotonic() - began < 2
    assert not director.held()


def test_released_requests_go_where_they_would_have_gone(pair: Pair) -> None:
    director = pair.director()
    director.hold(SOURCE, 5.0, 0.1, token=1)
    asking = Asking(pair)
    time.sleep(0.1)
    director.release(token=1)
    assert asking.wait() == [SOURCE] * 2


def test_a_late_actor_neither_holds_nor_delivers_nor_releases(pair: Pair) -> None:
    pair.director().hold(SOURCE, 5.0, 0.1, token=7)
    late = pair.director()
    for act in (
        lambda: late.hold(SOURCE, 50.0, 0.1, token=6),
        lambda: late.deliver({DESTINATION: 100}, token=6),
        lambda: late.release(token=6),
    ):
        with pytest.raises(FencedError):
            act()
    assert pair.director().held()
    assert pair.director().converged({SOURCE: 100})


def test_another_process_than_the_one_that_held_is_not_taken_for_it(pair: Pair) -> None:
    director = pair.director()
    director.hold(SOURCE, 5.0, 0.1, token=1)
    pair.haproxies["lb-2"].reload()
    with pytest.raises(DirectorError, match="was reloaded since it was read"):
        director.deliver({DESTINATION: 100}, token=1)
    assert not director.held(), "the other one has delivered, and a new process holds nothing"
    again = pair.director()
    again.admit(DESTINATION, LONG_AGO, token=1)
    again.apply({DESTINATION: 100}, token=1)
    assert pair.answers() == [DESTINATION] * 2


def test_what_has_nowhere_to_go_is_held_on(pair: Pair) -> None:
    director = pair.director()
    director.hold(SOURCE, 5.0, 0.1, token=1)
    with frozen(pair, DESTINATION):
        wait_until(lambda: pair.states(DESTINATION) == ["DOWN"] * 2, "the checks to fail")
        with pytest.raises(DirectorError, match="requests are held on"):
            director.deliver({DESTINATION: 100}, token=1)
        assert director.held()


@contextmanager
def frozen(pair: Pair, host: str) -> Iterator[None]:
    pair.services[host].freeze()
    try:
        yield
    finally:
        pair.services[host].thaw()


def test_a_configuration_without_a_hold_is_told(pair: Pair) -> None:
    with running_pair(haproxy_check=OFTEN) as plain:
        director = plain.director()
        for _ in range(2):  # what was tried must not look like a hold afterwards
            with pytest.raises(DirectorError, match="cannot hold requests of this backend"):
                director.hold(SOURCE, 5.0, 0.1, token=1)
            with pytest.raises(DirectorError, match="cannot hold requests of this backend"):
                director.held()
        assert plain.answers() == [SOURCE] * 2
