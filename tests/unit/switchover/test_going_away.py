"""Connections that would not end by themselves: asked to go, never while they would come back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from foreshadow.domain.errors import RolledBackError
from foreshadow.domain.moves import Outcome
from foreshadow.domain.spec import ResourceSpec, merged, parse_resource
from tests.unit.switchover.agreement import assert_agreement
from tests.unit.switchover.controller import Controllers
from tests.unit.switchover.world import A, B, World, make_world, pausing_spec, spec_of

Make = Callable[[World], Controllers]


def asking(spec: ResourceSpec) -> ResourceSpec:
    """Return the spec with a hook that closes websockets."""
    return parse_resource(merged(spec.plain(), {"service": {"hooks": {"go_away": ["close"]}}}))


@pytest.fixture
def world() -> World:
    return make_world(asking(spec_of()))


def test_websockets_are_closed_once_all_traffic_is_elsewhere(controllers: Controllers) -> None:
    world = controllers.world
    world.machines[A].websockets = 7
    assert controllers.switch(B).outcome is Outcome.SWITCHED
    events = world.events
    assert events.index(f"go away {A}") > events.index("journal shift-100 done")
    assert events.index(f"go away {A}") < events.index("journal pivot")
    assert f"go away {B}" not in events
    assert_agreement(controllers, B)


def test_a_websocket_that_was_still_on_its_way_is_asked_again(controllers: Controllers) -> None:
    world = controllers.world
    world.machines[A].websockets, world.machines[A].late_websockets = 1, 1
    controllers.switch(B)
    asked = [number for number, event in enumerate(world.events) if event == f"go away {A}"]
    assert len([at for at in asked if at < world.events.index("journal pivot")]) == 2
    assert_agreement(controllers, B)


def test_without_the_hook_they_hold_the_source(new_controllers: Make) -> None:
    controllers = new_controllers(make_world())
    controllers.world.machines[A].websockets = 1
    with pytest.raises(RolledBackError, match=r"still has requests open after 10s.*"):
        controllers.switch(B)
    assert controllers.world.machines[A].websockets == 1, "they never noticed"
    assert_agreement(controllers, A)


def test_on_the_way_back_the_shadow_is_asked(controllers: Controllers) -> None:
    world = controllers.world
    world.machines[A].stuck = True
    world.machines[B].websockets = 3
    with pytest.raises(RolledBackError, match="still has requests open"):
        controllers.switch(B)
    assert world.machines[B].websockets == 0
    assert_agreement(controllers, A)


def test_a_dead_source_is_not_waited_for(controllers: Controllers) -> None:
    world = controllers.world
    world.machines[A].websockets = 3
    world.machines[A].healthy = False
    world.machines[A].reachable = False
    assert controllers.switch(B, failover=True).outcome is Outcome.SWITCHED


def test_a_single_writer_lets_go_while_new_ones_are_held(new_controllers: Make) -> None:
    controllers = new_controllers(make_world(asking(pausing_spec())))
    world = controllers.world
    world.machines[A].websockets = 3
    assert controllers.switch(B).outcome is Outcome.SWITCHED
    events = world.events
    assert events.index(f"go away {A}") < events.index(f"seal {A}")
    assert world.violations == []
    assert_agreement(controllers, B)
