"""A controller killed at every instruction that matters, on the way there and on the way back."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from foreshadow.domain.errors import RolledBackError
from foreshadow.domain.moves import Outcome
from tests.unit.switchover.agreement import assert_agreement
from tests.unit.switchover.controller import Controllers
from tests.unit.switchover.world import A, B, Killed, World, make_world

Make = Callable[[World], Controllers]


def test_killed_anywhere_on_the_way_there_the_next_run_ends_it(new_controllers: Make) -> None:
    directions = set()
    for point in range(1000):
        controllers = new_controllers(make_world())
        if not controllers.dies(point, B):
            break
        assert controllers.world.violations == []
        left = [s.pivoted for s in controllers.ledger.unfinished()]
        ended = controllers.recover()
        assert [s.outcome for s in ended] == [Outcome.RECOVERED] * len(left)
        assert [s.direction == "finished" for s in ended] == left
        directions |= {s.direction for s in ended}
        assert_agreement(controllers, controllers.ledger.primary("checkout"))
        assert controllers.recover() == []
    else:
        pytest.fail("it never came to its end")
    assert point > 60, "the enumeration has to reach every step"
    assert directions == {"finished", "undone"}


def test_killed_anywhere_on_the_way_back_the_next_run_ends_it(new_controllers: Make) -> None:
    start = turning_point(new_controllers(make_world()))
    for point in range(start, start + 1000):
        world = make_world()
        world.machines[A].stuck = True  # it never drains, so the switchover turns back
        controllers = new_controllers(world)
        try:
            if not controllers.dies(point, B):
                break
        except RolledBackError:
            assert_agreement(controllers, A)
            break
        controllers.recover()
        assert_agreement(controllers, A)
    else:
        pytest.fail("it never came to its end")


def turning_point(rehearsal: Controllers) -> int:
    """Return the event from which on a source that never drains makes a difference."""
    rehearsal.switch(B)
    return rehearsal.world.events.index("journal drain started")


def test_recoveries_may_be_killed_too(new_controllers: Make) -> None:
    chance = random.Random(11)
    for _ in range(12):
        controllers = new_controllers(make_world())
        controllers.dies(chance.randrange(70), B)
        while controllers.ledger.unfinished():
            controllers.world.die_at = chance.randrange(40)
            try:
                controllers.recover()
            except Killed:
                controllers.bury()
            controllers.world.die_at = None
        assert_agreement(controllers, controllers.ledger.primary("checkout"))
        # And the way is free again, there or back.
        primary = controllers.ledger.primary("checkout")
        target = B if primary == A else A
        assert controllers.switch(target).outcome is Outcome.SWITCHED
        assert_agreement(controllers, target)
