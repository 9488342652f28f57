"""What every director must do. A driver's tests subclass it and give it a world to act in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import (
    DirectorError,
    FencedError,
    SpecError,
    UnknownNameError,
    UnreachableError,
)
from foreshadow.domain.protocols import Director

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
    """The suite; a subclass defines the fixture ``world``."""

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
        director.apply({SOURCE: 34, DESTINATION: 66}, token=1)
        before = [endpoint.weights for endpoint in director.read()]
        director.apply({SOURCE: 34, DESTINATION: 66}, token=1)
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
