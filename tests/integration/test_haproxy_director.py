"""The HAProxy director on a real pair of HAProxy processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from foreshadow.directors.haproxy import HaproxyDirector
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import DirectorError, FencedError, UnreachableError
from foreshadow.testing.directors import DESTINATION, LONG_AGO, SOURCE, DirectorConformance
from tests.support.haproxy import wait_until
from tests.support.load import Load
from tests.support.pair import BACKEND, Pair, fetch, running_pair

# Checks that come and fail faster than in life, so that the tests wait less.
OFTEN = {"inter": "40ms", "fastinter": "20ms", "downinter": "40ms", "timeout": "300ms"}


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair(relay_timeout=0.5, haproxy_check=OFTEN) as running:
        yield running


class HaproxyWorld:
    """The conformance suite's world, on a pair of load balancers."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    def director(self) -> HaproxyDirector:
        return self.pair.director()

    def hasty_director(self) -> HaproxyDirector:
        return self.pair.director(admit_timeout="500ms")

    def rest(self) -> None:
        reset(self.pair)

    @contextmanager
    def unwell(self, host: str) -> Iterator[None]:
        self.pair.services[host].freeze()
        try:
            yield
        finally:
            self.pair.services[host].thaw()

    @contextmanager
    def silent(self) -> Iterator[None]:
        with self.pair.haproxies["lb-2"].freeze():
            yield

    @contextmanager
    def request_open(self, host: str) -> Iterator[None]:
        slow = threading.Thread(
            target=fetch, args=(f"http://{self.pair.fronts[0]}/slow?seconds=0.5",)
        )
        slow.start()
        wait_until(lambda: self.pair.services[host].in_flight() == 1, "the request to arrive")
        yield
        slow.join()

    def served_by(self) -> set[str]:
        return {answer for _ in range(4) for answer in self.pair.answers()}


def reset(pair: Pair) -> None:
    """Give ``edge-a`` all traffic, by hand, whatever a test left behind."""
    for haproxy in pair.haproxies.values():
        for line in (f"{SOURCE}-net", f"{DESTINATION}-net", DESTINATION):
            haproxy.ask(f"set server {BACKEND}/{line} state maint")
        haproxy.ask(f"set server {BACKEND}/{SOURCE} state ready")
        haproxy.ask(f"set server {BACKEND}/{SOURCE} weight 100")
    for client in pair.access.clients.values():
        client.fences.newest.clear()
    wait_until(lambda: pair.answers() == [SOURCE, SOURCE], f"{SOURCE} to serve")


class TestHaproxyConformance(DirectorConformance):
    @pytest.fixture
    def world(self, pair: Pair) -> HaproxyWorld:
        return HaproxyWorld(pair)


@pytest.fixture
def rested(pair: Pair) -> Pair:
    reset(pair)
    return pair


def flip(pair: Pair, source: str, destination: str, token: int) -> None:
    """Move all traffic the way a switchover does, and freeze the old primary."""
    director = pair.director()
    pair.services[destination].thaw()
    director.admit(destination, WallTime(time.time()), token)
    director.apply({source: 50, destination: 50}, token)
    director.apply({destination: 100}, token)
    wait_until(
        lambda: pair.services[source].in_flight() == 0 and director.drained(source), "the drain"
    )
    director.retire(source, token)
    pair.services[source].freeze()


def test_fifty_flips_fail_no_request() -> None:
    with running_pair(haproxy_check=OFTEN) as pair:
        pair.services[DESTINATION].freeze()
        with Load(pair.fronts, 200, slow_every=20, stream_every=20, seconds=0.1) as load:
            for turn in range(25):
                flip(pair, SOURCE, DESTINATION, turn + 1)
                flip(pair, DESTINATION, SOURCE, turn + 1)
    assert (load.tally.failed, load.tally.truncated) == (0, 0), load.tally.errors
    assert load.tally.ok > 500
    assert min(load.tally.served[SOURCE], load.tally.served[DESTINATION]) > 100


def test_the_safety_net_catches_a_shadow_that_dies_after_the_shift() -> None:
    with running_pair() as pair:
        director = pair.director()
        with Load(pair.fronts, 200, slow_every=8, stream_every=0, seconds=0.5) as load:
            director.admit(DESTINATION, LONG_AGO, 1)
            director.apply({DESTINATION: 100}, 1)
            wait_until(lambda: pair.services[DESTINATION].in_flight() > 5, "requests in flight")
            pair.services[DESTINATION].kill()
            time.sleep(1.0)
            for endpoint in director.read():
                assert endpoint.weights == {SOURCE: 100}
                assert f"{SOURCE}-net" in endpoint.drift
            with pytest.raises(DirectorError, match="still has traffic"):
                director.retire(SOURCE, 1)
    assert (load.tally.failed, load.tally.truncated) == (0, 0), load.tally.errors
    assert load.tally.served[SOURCE] > 50


def test_a_lone_primary_that_stalls_for_a_moment_is_not_taken_for_dead() -> None:
    """Its backlog of 128 is full meanwhile, so that connections to it are not answered."""
    with (
        running_pair(service_options=("--backlog", "128")) as pair,
        Load(pair.fronts, 600, slow_every=0, stream_every=0) as load,
    ):
        time.sleep(0.3)
        pair.services[SOURCE].freeze()
        time.sleep(0.6)
        pair.services[SOURCE].thaw()
        time.sleep(0.5)
    assert (load.tally.failed, load.tally.truncated) == (0, 0), load.tally.errors
    assert load.tally.ok > 300


def test_what_hangs_at_a_frozen_shadow_is_asked_of_the_primary() -> None:
    with running_pair(haproxy_check=OFTEN) as pair:
        director, shadow = pair.director(), pair.services[DESTINATION]
        with Load(pair.fronts, 200, slow_every=8, stream_every=0, seconds=0.5) as load:
            director.admit(DESTINATION, LONG_AGO, 1)
            director.apply({DESTINATION: 100}, 1)
            with pytest.raises(DirectorError, match="still has traffic"):
                director.evict(DESTINATION, 1)
            wait_until(lambda: shadow.in_flight() > 5, "requests in flight")
            shadow.freeze()
            wait_until(lambda: director.read()[0].weights == {SOURCE: 100}, "the net to catch")
            wait_until(lambda: director.read()[1].weights == {SOURCE: 100}, "the net to catch")
            assert not director.drained(DESTINATION)
            director.apply({SOURCE: 100}, 1)
            director.evict(DESTINATION, 1)
            wait_until(lambda: director.drained(DESTINATION), "what hung to go elsewhere", 2)
    # It was never thawed: every answer since came from the primary.
    assert (load.tally.failed, load.tally.truncated) == (0, 0), load.tally.errors


def test_nothing_is_ended_at_a_host_that_is_well(rested: Pair) -> None:
    director = rested.director()
    director.admit(DESTINATION, LONG_AGO, 1)
    director.apply({DESTINATION: 100}, 1)
    with Load(rested.fronts, 120, slow_every=8, stream_every=0, seconds=1.0) as load:
        wait_until(lambda: rested.services[DESTINATION].in_flight() > 5, "requests in flight")
        director.apply({SOURCE: 100}, 1)
        director.evict(DESTINATION, 1)
        assert not director.drained(DESTINATION)
        assert rested.services[DESTINATION].in_flight() > 5
    assert load.tally.served[DESTINATION] > 5
    assert (load.tally.failed, load.tally.truncated) == (0, 0), load.tally.errors


def test_states_survive_a_reload_once_they_are_persisted(rested: Pair) -> None:
    director = rested.director()
    director.admit(DESTINATION, LONG_AGO, 1)
    director.apply({DESTINATION: 100}, 1)
    director.retire(SOURCE, 1)
    director.persist()
    for haproxy in rested.haproxies.values():
        haproxy.reload()
    assert director.converged({DESTINATION: 100})
    assert rested.states(SOURCE) == ["MAINT", "MAINT"]
    assert rested.answers() == [DESTINATION, DESTINATION]


def test_a_fence_holds_off_a_late_admission_also_while_a_haproxy_is_away(rested: Pair) -> None:
    with rested.haproxies["lb-2"].freeze():
        rested.director().fence(5)
    before = rested.states(DESTINATION)
    with pytest.raises(FencedError):
        rested.director().admit(DESTINATION, LONG_AGO, 4)
    assert rested.states(DESTINATION) == before


def test_a_reload_that_reverts_states_is_seen(rested: Pair) -> None:
    director = rested.director()
    director.persist()
    director.admit(DESTINATION, LONG_AGO, 1)
    director.apply({DESTINATION: 100}, 1)
    rested.haproxies["lb-2"].reload()
    assert not director.converged({DESTINATION: 100})
    assert [endpoint.weights for endpoint in director.read()] == [{DESTINATION: 100}, {SOURCE: 100}]


def test_a_host_is_admitted_again_when_a_reload_undid_it(rested: Pair) -> None:
    director = rested.director()
    director.persist()
    with HaproxyWorld(rested).unwell(DESTINATION):
        admitting = threading.Thread(target=director.admit, args=(DESTINATION, LONG_AGO, 1))
        admitting.start()
        wait_until(lambda: rested.states(DESTINATION) != ["MAINT", "MAINT"], "the drain")
        rested.haproxies["lb-1"].reload()
    admitting.join()
    director.apply({DESTINATION: 100}, 1)
    assert rested.answers() == [DESTINATION, DESTINATION]


def test_a_check_that_was_passed_before_the_freeze_is_not_shown(rested: Pair) -> None:
    director = rested.director()
    director.admit(DESTINATION, LONG_AGO, 1)
    passed = {endpoint.name: endpoint.checked[DESTINATION] for endpoint in director.read()}
    director.retire(DESTINATION, 1)
    assert all(DESTINATION not in endpoint.checked for endpoint in director.read())
    thawed = WallTime(time.time())
    director.admit(DESTINATION, thawed, 1)
    for endpoint in director.read():
        assert endpoint.checked[DESTINATION] >= thawed > passed[endpoint.name]


def test_targets_map_hosts_to_server_lines(rested: Pair) -> None:
    director = rested.director(targets={"host-1": SOURCE, "host-2": DESTINATION})
    director.admit("host-2", LONG_AGO, 1)
    director.apply({"host-1": 10, "host-2": 90}, 1)
    assert [e.weights for e in director.read()] == [{"host-1": 10, "host-2": 90}] * 2
    assert director.read()[0].in_flight == {"host-1": 0, "host-2": 0}


@pytest.mark.parametrize("phase", ["raise", "lower"])
def test_an_endpoint_that_falls_silent_in_the_middle_is_named(rested: Pair, phase: str) -> None:
    director = rested.director()
    director.admit(DESTINATION, LONG_AGO, 1)
    client = rested.access.clients["lb-2"]
    relayed = client.agent.ApplyHaproxy
    calls = iter(["raise", "lower"])

    def fall_silent(request: object) -> object:
        if next(calls) == phase:
            raise UnreachableError("its agent did not answer", where="host lb-2")
        return relayed(request)

    with ExitStack() as stack:
        stack.callback(setattr, client.agent, "ApplyHaproxy", relayed)
        client.agent.ApplyHaproxy = fall_silent
        with pytest.raises(DirectorError, match=r"lb-2.*state is unknown"):
            director.apply({DESTINATION: 100}, 1)
    # Nobody lost traffic before everybody had it, so that every request is still served.
    assert set(rested.answers()) <= {SOURCE, DESTINATION}
    if phase == "raise":
        assert "UP" in rested.states(SOURCE)[0]
    director.apply({SOURCE: 100}, 1)
    assert director.converged({SOURCE: 100})


def test_no_request_is_sent_to_a_host_whose_checks_fail(rested: Pair) -> None:
    director = rested.director()
    director.admit(DESTINATION, LONG_AGO, 1)
    with HaproxyWorld(rested).unwell(DESTINATION):
        wait_until(lambda: rested.states(DESTINATION) == ["DOWN", "DOWN"], "the checks to fail")
        with pytest.raises(DirectorError, match="cannot take traffic"):
            director.apply({DESTINATION: 100}, 1)
    assert rested.answers() == [SOURCE, SOURCE]


def test_a_primary_that_fails_can_still_be_left(rested: Pair) -> None:
    director = rested.director()
    director.admit(DESTINATION, LONG_AGO, 1)
    with HaproxyWorld(rested).unwell(SOURCE):
        wait_until(lambda: rested.states(SOURCE) == ["DOWN", "DOWN"], "the checks to fail")
        director.apply({SOURCE: 50, DESTINATION: 50}, 1)
        assert [endpoint.weights for endpoint in director.read()] == [{DESTINATION: 100}] * 2
        director.apply({DESTINATION: 100}, 1)
        assert director.converged({DESTINATION: 100})
        with pytest.raises(DirectorError, match="cannot take traffic"):
            director.apply({SOURCE: 100}, 1)
    assert rested.answers() == [DESTINATION, DESTINATION]
