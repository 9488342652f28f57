"""A single writer is handed over: no acknowledged write is lost, wherever anything breaks."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from foreshadow.domain.errors import RolledBackError, SpecError
from foreshadow.domain.moves import Outcome
from foreshadow.switchover.handover import require_holding
from tests.unit.switchover.agreement import assert_agreement
from tests.unit.switchover.controller import Controllers
from tests.unit.switchover.world import (
    NAME,
    A,
    B,
    FakeDirector,
    Killed,
    World,
    make_world,
    pausing_spec,
    spec_of,
)

Make = Callable[[World], Controllers]


@pytest.fixture
def world() -> World:
    return make_world(pausing_spec())


def test_there_and_back(controllers: Controllers) -> None:
    there = controllers.switch(B)
    assert there.outcome is Outcome.SWITCHED
    assert there.plan.weights == (100,)
    assert {"handover", "deliver"} < {step.name for step in there.steps}
    assert there.pause_ms is not None
    assert 0 < there.pause_ms <= 5000
    assert_agreement(controllers, B)
    controllers.switch(A)
    assert_agreement(controllers, A)
    assert len(controllers.world.acknowledged) > 100


def test_steps_and_soak_are_forced() -> None:
    policy = pausing_spec(steps=[10, 50, 100], soak=10).policy
    assert (policy.steps, policy.soak) == ((100,), 0.0)


def test_it_needs_hooks_that_seal_and_unseal() -> None:
    with pytest.raises(SpecError, match=r"pause_writes needs service.hooks.fence"):
        spec_of(policy={"pause_writes": True})


def test_a_director_that_cannot_hold_is_refused(world: World) -> None:
    holds = FakeDirector(world, world.servers["pair"])
    with pytest.raises(SpecError, match="a director of kind single cannot hold requests"):
        require_holding(world.spec, [holds, object()])  # type: ignore[list-item]
    require_holding(world.spec, [holds, holds])


def test_killed_anywhere_no_acknowledged_write_is_lost(new_controllers: Make) -> None:
    directions = set()
    for point in range(1000):
        controllers = new_controllers(make_world(pausing_spec()))
        if not controllers.dies(point, B):
            break
        # The next run may come at once, or long after the hold has ended by itself.
        controllers.world.at += 60.0 * (point % 2)
        controllers.world.write()
        directions |= {one.direction for one in controllers.recover()}
        assert_agreement(controllers, controllers.ledger.primary(NAME))
    else:
        pytest.fail("it never came to its end")
    assert point > 60, "the enumeration has to reach every step"
    assert directions == {"finished", "undone"}


def test_recoveries_may_be_killed_too(new_controllers: Make) -> None:
    chance = random.Random(5)
    for _ in range(12):
        controllers = new_controllers(make_world(pausing_spec()))
        controllers.dies(chance.randrange(75), B)
        while controllers.ledger.unfinished():
            controllers.world.die_at = chance.randrange(40)
            try:
                controllers.recover()
            except Killed:
                controllers.bury()
            controllers.world.die_at = None
        assert_agreement(controllers, controllers.ledger.primary(NAME))


def test_what_does_not_end_in_time_is_let_go(controllers: Controllers) -> None:
    controllers.world.machines[A].stuck = True
    with pytest.raises(RolledBackError, match=r"after new ones were held for 2.5s"):
        controllers.switch(B)
    controllers.world.machines[A].stuck = False
    assert_agreement(controllers, A)


def test_a_hold_that_is_lost_on_the_way_costs_no_write(controllers: Controllers) -> None:
    world = controllers.world

    def reload(label: str) -> None:
        if label.startswith("seal"):
            for server in world.all_servers():
                server.held_until = 0.0

    world.before_event = reload
    assert controllers.switch(B).outcome is Outcome.SWITCHED
    assert_agreement(controllers, B)
