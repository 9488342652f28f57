"""What every instance driver must do. A driver's tests subclass it and give it a host to act on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest

from foreshadow.domain.errors import FencedError, ForeshadowError, RefusedError
from foreshadow.domain.fleet import RESTING, Role, RunState
from foreshadow.domain.protocols import InstanceDriver
from foreshadow.domain.spec import Mode, ResourceSpec


class InstanceWorld(Protocol):
    """A host that carries no instance at first, and a resource that can run there."""

    def driver(self) -> InstanceDriver:
        """Return a new driver for the host, as another run of the controller would have it."""
        ...

    def spec(self) -> ResourceSpec:
        """Return the resource; its service tells its requests in flight."""
        ...

    def answers(self) -> str:
        """Ask the service as a client would, and return what tells one process from another.

        :raises OSError: when nothing answers.
        """
        ...


class InstanceConformance:
    """The suite; a subclass defines the fixture ``world``."""

    def test_a_host_without_an_instance_says_so(self, world: InstanceWorld) -> None:
        driver, name = world.driver(), world.spec().name
        assert driver.get(name) is None
        driver.remove(name, 1)
        with pytest.raises(ForeshadowError):
            driver.promote(name, 1)

    @pytest.mark.parametrize("mode", list(Mode))
    def test_a_shadow_rests_in_its_mode_however_often_it_is_made(
        self, world: InstanceWorld, mode: Mode
    ) -> None:
        made = world.driver().create(world.spec(), mode, 1)
        assert (made.role, made.mode, made.state) == (Role.SHADOW, mode, RESTING[mode])
        assert world.driver().get(made.resource) == made
        assert world.driver().create(world.spec(), mode, 1) == made

    def test_a_mode_can_be_changed(self, world: InstanceWorld) -> None:
        driver, spec = world.driver(), world.spec()
        driver.create(spec, Mode.COLD, 1)
        for mode in (Mode.WARM, Mode.HOT, Mode.WARM, Mode.COLD):
            assert driver.create(spec, mode, 1).state is RESTING[mode]
            assert driver.freeze(spec, mode, 1).state is RESTING[mode]
        driver.activate(spec, 1)
        for mode in (Mode.HOT, Mode.WARM):
            driver.freeze(spec, mode, 1)
            found = driver.get(spec.name)
            assert found is not None
            assert (found.mode, found.state) == (mode, RESTING[mode])

    def test_only_an_activated_shadow_answers(self, world: InstanceWorld) -> None:
        driver, spec = world.driver(), world.spec()
        driver.create(spec, Mode.WARM, 1)
        assert not driver.health(spec.name).healthy
        thawed_at = driver.activate(spec, 1)
        health = driver.health(spec.name, 3)
        assert health.healthy
        assert health.checked_at >= thawed_at
        before = world.answers()
        assert driver.activate(spec, 1) >= thawed_at
        driver.freeze(spec, Mode.WARM, 1)
        driver.activate(spec, 1)
        assert world.answers() == before

    def test_roles_change_hands_and_back(self, world: InstanceWorld) -> None:
        driver, spec = world.driver(), world.spec()
        driver.create(spec, Mode.WARM, 1)
        with pytest.raises(RefusedError):
            driver.promote(spec.name, 1)
        driver.activate(spec, 1)
        before = world.answers()
        with pytest.raises(RefusedError):
            driver.seal(spec.name, 1)
        for _ in range(2):
            driver.prepare(spec.name, 1)
        for _ in range(2):
            assert driver.promote(spec.name, 1, 30.0).role is Role.PRIMARY
        driver.prepare(spec.name, 1)
        driver.seal(spec.name, 1)
        driver.unseal(spec.name, 1)
        driver.go_away(spec.name, 1)
        assert driver.in_flight(spec.name) >= 0
        refused: tuple[Callable[[], object], ...] = (
            lambda: driver.freeze(spec, Mode.WARM, 1),
            lambda: driver.create(spec, Mode.WARM, 1),
        )
        for act in refused:
            with pytest.raises(RefusedError):
                act()
        assert world.answers() == before
        for _ in range(2):
            assert driver.demote(spec.name, 1).role is Role.SHADOW
        assert driver.freeze(spec, Mode.WARM, 1).state is RunState.FROZEN

    def test_a_primary_is_started_adopted_and_let_go(self, world: InstanceWorld) -> None:
        driver, spec = world.driver(), world.spec()
        started = driver.adopt(spec, 1)
        assert (started.role, started.state) == (Role.PRIMARY, RunState.RUNNING)
        before = world.answers()
        assert driver.adopt(spec, 1) == started
        driver.remove(spec.name, 1)
        assert driver.get(spec.name) is None
        assert driver.adopt(spec, 2).role is Role.PRIMARY
        assert world.answers() == before

    def test_a_stopped_instance_is_told_from_a_removed_one(self, world: InstanceWorld) -> None:
        driver, spec = world.driver(), world.spec()
        driver.create(spec, Mode.WARM, 1)
        for _ in range(2):
            driver.deactivate(spec.name, 1)
        stopped = driver.get(spec.name)
        assert stopped is not None
        assert stopped.state is RunState.STOPPED
        assert driver.in_flight(spec.name) == 0
        for _ in range(2):
            driver.remove(spec.name, 1)
        assert driver.get(spec.name) is None
        with pytest.raises(OSError, match="refused"):
            world.answers()

    def test_a_late_actor_is_refused_and_harmless(self, world: InstanceWorld) -> None:
        driver, spec = world.driver(), world.spec()
        made = driver.create(spec, Mode.WARM, 7)
        for act in (
            lambda: driver.create(spec, Mode.HOT, 6),
            lambda: driver.adopt(spec, 6),
            lambda: driver.activate(spec, 6),
            lambda: driver.freeze(spec, Mode.COLD, 6),
            lambda: driver.prepare(spec.name, 6),
            lambda: driver.promote(spec.name, 6),
            lambda: driver.seal(spec.name, 6),
            lambda: driver.unseal(spec.name, 6),
            lambda: driver.demote(spec.name, 6),
            lambda: driver.go_away(spec.name, 6),
            lambda: driver.deactivate(spec.name, 6),
            lambda: driver.remove(spec.name, 6),
        ):
            with pytest.raises(FencedError):
                act()
        assert world.driver().get(spec.name) == made
