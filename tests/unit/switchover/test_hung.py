"""A service that hangs while its agent answers holds up no way back, and no way on, for good."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from foreshadow.domain.errors import RolledBackError
from foreshadow.domain.fleet import Role, RunState
from foreshadow.domain.moves import Outcome
from foreshadow.switchover.engine import UnfinishedError
from tests.unit.switchover.agreement import assert_agreement
from tests.unit.switchover.controller import Controllers
from tests.unit.switchover.world import (
    A,
    B,
    FakeInstances,
    Killed,
    World,
    make_world,
    pausing_spec,
)

Make = Callable[[World], Controllers]


def hang_at(controllers: Controllers, label: str, host: str | None, *, dies: bool = False) -> None:
    """Let a service hang right before the first event of this name.

    :param dies: the controller is killed there too.
    """
    world = controllers.world

    def hook(event: str) -> None:
        if event == label:
            world.before_event = lambda _: None
            if host is not None:
                world.machines[host].healthy = False
            if dies:
                world.dead = True
                raise Killed

    world.before_event = hook


def killed(controllers: Controllers) -> None:
    with pytest.raises(Killed):
        controllers.switch(B)
    controllers.bury()


def test_a_recovery_unseals_the_source_of_a_destination_that_hangs(new_controllers: Make) -> None:
    controllers = new_controllers(make_world(pausing_spec()))
    world = controllers.world
    hang_at(controllers, "journal pivot", B, dies=True)
    killed(controllers)
    assert world.machines[A].sealed
    (ended,) = controllers.recover()
    assert ended.direction == "undone"
    assert_agreement(controllers, A)


def test_a_recovery_puts_a_promoted_destination_that_hangs_to_rest(
    controllers: Controllers,
) -> None:
    hang_at(controllers, "journal promote done", B, dies=True)
    killed(controllers)
    assert controllers.world.machines[B].role is Role.PRIMARY
    (ended,) = controllers.recover()
    assert (ended.direction, ended.error) == ("undone", None)
    assert_agreement(controllers, A)


def test_a_question_that_is_waited_for_as_long_as_the_step_is_silence_too(
    controllers: Controllers, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, ask = controllers.world, FakeInstances.in_flight

    def in_flight(driver: FakeInstances, resource: str) -> int:
        if not driver.machine.serves:
            world.at += 12.0
        return ask(driver, resource)

    monkeypatch.setattr(FakeInstances, "in_flight", in_flight)
    hang_at(controllers, "journal promote done", B, dies=True)
    killed(controllers)
    assert [ended.direction for ended in controllers.recover()] == ["undone"]
    assert_agreement(controllers, A)


def test_a_failover_to_a_destination_that_hangs_is_undone(controllers: Controllers) -> None:
    world = controllers.world
    world.machines[A].healthy = world.machines[A].reachable = False
    hang_at(controllers, f"promote {B}", B)
    with pytest.raises(RolledBackError, match="fails its health check"):
        controllers.switch(B, failover=True)
    assert controllers.ledger.unfinished() == ()
    assert (world.machines[B].role, world.machines[B].state) == (Role.SHADOW, RunState.FROZEN)


def test_a_recovery_puts_a_source_that_hangs_to_rest(controllers: Controllers) -> None:
    hang_at(controllers, "journal retire started", None, dies=True)
    killed(controllers)
    hang_at(controllers, "journal freeze started", A)
    (ended,) = controllers.recover()
    assert (ended.outcome, ended.direction) == (Outcome.RECOVERED, "finished")
    assert_agreement(controllers, B)


def test_a_service_that_says_what_is_open_is_not_put_to_rest(controllers: Controllers) -> None:
    """Patience is for those who do not tell; who tells that requests are open keeps them."""
    destination = controllers.world.machines[B]
    hang_at(controllers, "journal promote done", None, dies=True)
    killed(controllers)
    destination.stuck = True
    with pytest.raises(UnfinishedError, match="still has requests open"):
        controllers.recover()
    assert (destination.role, destination.state) == (Role.PRIMARY, RunState.RUNNING)
    destination.stuck = False
    controllers.recover()
    assert_agreement(controllers, A)
