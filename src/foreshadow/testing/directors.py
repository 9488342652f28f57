"""What every director must do. A driver's tests subclass it and give it a world to act in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ClassVar, Protocol

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import (
    DirectorError,
    FencedError,
    SpecError,
    UnknownNameError,
    UnreachableError,
)
from foreshadow.domain.protocols import CachingDirector, Director

SOURCE, DESTINATION = "edge-a", "edge-b"
LONG_AGO = WallTime(1.0)


class DirectorWorld(Protocol):
    """A director's servers and a service on two hosts, ``edge-a`` with all traffic at first."""

    def director(self) -> Director:
        """Return a new director, as another run of the controller would have it."""
        ...

    def hasty_director(self) -> Director:
        """Return one that gives a host half a second to be admitted."""
        ...

    def rest(self) -> None:
        """Bring everything back to how it was at first, with fencing tokens from 0."""
        ...

    def unwell(self, host: str) -> AbstractContextManager[None]:
        """Make the service on a host not answer."""
        ...

    def silent(self) -> AbstractContextManager[None]:
        """Make one server of the director not answer the agent."""
        ...

    def request_open(self, host: str) -> AbstractContextManager[None]:
        """Keep a request open at a host, which has traffic."""
        ...

    def served_by(self) -> set[str]:
        """Return the hosts that answer a few requests at every server of the director."""
        ...


class DirectorConformance:
    """The suite; a subclass defines the fixture ``world``, and says what its director cannot do.

    :cvar shares: it splits traffic by percentages; if not, it refuses to, and moves all of it.
    :cvar counts_requests: it knows of requests that are open at a host.
    """

    shares: ClassVar[bool] = True
    counts_requests: ClassVar[bool] = True

    @pytest.fixture(autouse=True)
    def _rested(self, world: DirectorWorld) -> None:
        world.rest()

    def test_reads_where_traffic_goes(self, world: DirectorWorld) -> None:
        for endpoint in world.director().read():
            assert endpoint.weights == {SOURCE: 100}
            assert endpoint.drift == ""

    def test_an_admitted_host_has_no_traffic_and_a_passed_check(self, world: DirectorWorld) -> None:
        world.director().admit(DESTINATION, LONG_AGO, token=1)
        for endpoint in world.director().read():
            assert endpoint.weights == {SOURCE: 100}
            assert endpoint.checked[DESTINATION] > LONG_AGO
        assert world.served_by() == {SOURCE}

    def test_traffic_moves_in_steps_and_back(self, world: DirectorWorld) -> None:
        director = world.director()
        director.admit(DESTINATION, LONG_AGO, token=1)
        for step in ({SOURCE: 90, DESTINATION: 10}, {SOURCE: 50, DESTINATION: 50}):
            if not self.shares:
                with pytest.raises(SpecError):
                    director.apply(step, token=1)
                assert world.director().converged({SOURCE: 100})
                continue
            director.apply(step, token=1)
            assert world.director().converged(step)
            assert all(endpoint.weights == step for endpoint in world.director().read())
        director.apply({DESTINATION: 100}, token=1)
        assert world.director().converged({DESTINATION: 100, SOURCE: 0})
        assert not director.converged({SOURCE: 100})
        assert world.served_by() == {DESTINATION}
        director.apply({SOURCE: 100}, token=1)
        assert world.served_by() == {SOURCE}

    def test_applying_twice_changes_nothing(self, world: DirectorWorld) -> None:
        director = world.director()
        director.admit(DESTINATION, LONG_AGO, token=1)
        weights = {SOURCE: 34, DESTINATION: 66} if self.shares else {DESTINATION: 100}
        director.apply(weights, token=1)
        before = [endpoint.weights for endpoint in director.read()]
        director.apply(weights, token=1)
        assert [endpoint.weights for endpoint in director.read()] == before

    def test_admitting_a_host_with_traffic_leaves_it_alone(self, world: DirectorWorld) -> None:
        world.director().admit(SOURCE, LONG_AGO, token=1)
        assert world.director().converged({SOURCE: 100})

    def test_a_host_that_does_not_answer_is_not_admitted(self, world: DirectorWorld) -> None:
        with world.unwell(DESTINATION), pytest.raises(DirectorError):
            world.hasty_director().admit(DESTINATION, LONG_AGO, token=1)
        assert world.director().converged({SOURCE: 100})

    def test_a_check_from_before_the_freeze_does_not_count(self, world: DirectorWorld) -> None:
        director = world.director()
        director.admit(DESTINATION, LONG_AGO, token=1)
        director.retire(DESTINATION, token=1)
        with world.unwell(DESTINATION), pytest.raises(DirectorError):
            world.hasty_director().admit(DESTINATION, LONG_AGO, token=1)

    def test_a_host_that_was_never_admitted_gets_nothing(self, world: DirectorWorld) -> None:
        with pytest.raises(DirectorError):
            world.director().apply({DESTINATION: 100}, token=1)
        assert world.director().converged({SOURCE: 100})

    def test_an_older_token_is_refused(self, world: DirectorWorld) -> None:
        director = world.director()
        director.admit(DESTINATION, LONG_AGO, token=7)
        late: tuple[Callable[[], None], ...] = (
            lambda: world.director().apply({DESTINATION: 100}, token=6),
            lambda: world.director().retire(DESTINATION, token=6),
            lambda: world.director().admit(DESTINATION, LONG_AGO, token=6),
        )
        for act in late:
            with pytest.raises(FencedError):
                act()
        assert world.director().converged({SOURCE: 100})
        director.apply({DESTINATION: 100}, token=7)

    def test_an_unknown_host_is_named(self, world: DirectorWorld) -> None:
        with pytest.raises(UnknownNameError, match="edge-z"):
            world.director().admit("edge-z", LONG_AGO, token=1)
        with pytest.raises(UnknownNameError, match="edge-z"):
            world.director().apply({"edge-z": 100}, token=1)
        assert world.director().converged({SOURCE: 100})

    @pytest.mark.parametrize(
        "weights", [{}, {SOURCE: 50}, {SOURCE: 120, DESTINATION: -20}, {SOURCE: 101}]
    )
    def test_weights_must_be_percentages(
        self, world: DirectorWorld, weights: dict[str, int]
    ) -> None:
        with pytest.raises(SpecError):
            world.director().apply(weights, token=1)
        assert world.director().converged({SOURCE: 100})

    def test_a_host_with_traffic_is_not_retired(self, world: DirectorWorld) -> None:
        with pytest.raises(DirectorError):
            world.director().retire(SOURCE, token=1)
        assert world.director().converged({SOURCE: 100})

    def test_drained_when_nothing_is_open(self, world: DirectorWorld) -> None:
        director = world.director()
        if not self.counts_requests:
            return
        assert director.drained(SOURCE)
        with world.request_open(SOURCE):
            assert not director.drained(SOURCE)
            assert director.drained(DESTINATION)
        assert director.drained(SOURCE)

    def test_a_silent_server_is_told_and_nothing_changed(self, world: DirectorWorld) -> None:
        director = world.director()
        director.admit(DESTINATION, LONG_AGO, token=1)
        with world.silent():
            with pytest.raises(UnreachableError):
                director.read()
            with pytest.raises(UnreachableError):
                director.apply({DESTINATION: 100}, token=1)
            with pytest.raises(UnreachableError):
                director.converged({SOURCE: 100})
        assert director.converged({SOURCE: 100})

    def test_persisting_changes_no_traffic(self, world: DirectorWorld) -> None:
        director = world.director()
        director.admit(DESTINATION, LONG_AGO, token=1)
        director.apply({DESTINATION: 100}, token=1)
        director.persist()
        assert director.converged({DESTINATION: 100})


class CachingWorld(DirectorWorld, Protocol):
    """A world whose director's answers are kept by others; the record's TTL is ``ttl`` at first."""

    ttl: float

    def director(self) -> CachingDirector:
        """Return a new director, as another run of the controller would have it."""
        ...

    def pass_time(self, seconds: float) -> None:
        """Let time pass, as every director sees it."""
        ...


class CachingConformance(DirectorConformance):
    """The suite of directors whose answers are cached, beside what every director must do."""

    def test_every_server_answers_with_the_primary(self, world: CachingWorld) -> None:
        answers = [one for one in world.director().answers() if one.authoritative]
        assert answers
        for answer in answers:
            assert (answer.hosts, answer.ttl, answer.problem) == ((SOURCE,), world.ttl, "")

    def test_a_host_is_drained_once_its_address_can_be_in_no_cache(
        self, world: CachingWorld
    ) -> None:
        director = world.director()
        director.admit(DESTINATION, LONG_AGO, token=1)
        director.apply({DESTINATION: 100}, token=1)
        for one in (director, world.director()):  # and so for another run of the controller
            assert not one.drained(SOURCE)
            assert one.cached_until(SOURCE) > LONG_AGO
            assert not one.drained(DESTINATION)  # it is what is answered
        world.pass_time(world.ttl / 2)
        assert not director.drained(SOURCE)
        world.pass_time(world.ttl / 2 + 2.0)
        assert director.drained(SOURCE)
        assert world.director().drained(SOURCE)

    def test_a_way_back_is_drained_like_the_way_there(self, world: CachingWorld) -> None:
        director = world.director()
        director.admit(DESTINATION, LONG_AGO, token=1)
        director.apply({DESTINATION: 100}, token=1)
        director.apply({SOURCE: 100}, token=1)
        assert not world.director().drained(DESTINATION)
        world.pass_time(world.ttl + 2.0)
        assert world.director().drained(DESTINATION)

    def test_a_lowered_ttl_is_shown_everywhere_and_moves_nothing(self, world: CachingWorld) -> None:
        director = world.director()
        assert director.ttl() == world.ttl
        lower = director.armed_ttl()
        assert lower is not None
        assert lower < world.ttl
        director.set_ttl(lower, token=1)
        assert world.director().ttl() == lower
        assert world.director().converged({SOURCE: 100})
        director.set_ttl(world.ttl, token=1)
        assert world.director().ttl() == world.ttl

    def test_an_older_token_changes_no_ttl(self, world: CachingWorld) -> None:
        world.director().set_ttl(world.ttl / 2, token=7)
        with pytest.raises(FencedError):
            world.director().set_ttl(world.ttl, token=6)
        assert world.director().ttl() == world.ttl / 2

    def test_a_lowered_ttl_counts_only_once_the_old_one_has_run_out(
        self, world: CachingWorld
    ) -> None:
        director = world.director()
        lower = director.armed_ttl()
        assert lower is not None
        director.set_ttl(lower, token=1)
        director.admit(DESTINATION, LONG_AGO, token=1)
        director.apply({DESTINATION: 100}, token=1)
        world.pass_time(lower + 2.0)
        assert not world.director().drained(SOURCE)  # fetched before: kept for the old TTL
        world.pass_time(world.ttl)
        assert world.director().drained(SOURCE)
