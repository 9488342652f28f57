"""The ledger goes away in the middle of a switchover: traffic is served, the next run ends it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from foreshadow.domain.errors import ForeshadowError, LedgerError
from foreshadow.domain.spec import ResourceSpec
from tests.unit.switchover.agreement import assert_agreement
from tests.unit.switchover.controller import Controllers
from tests.unit.switchover.world import NAME, A, B, World, make_world, pausing_spec, spec_of

Make = Callable[[World], Controllers]


class Away:
    """Refuses every line of the journal from one of them on."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.was_away = False

    def __call__(self, event: str) -> None:
        if not event.startswith("journal"):
            return
        if self.left <= 0:
            self.was_away = True
            raise LedgerError("the database server is away", where="ledger")
        self.left -= 1


@pytest.mark.parametrize("spec", [spec_of(), pausing_spec()], ids=["shift", "pause"])
def test_it_goes_away_at_any_line_and_nobody_is_left_unserved(
    new_controllers: Make, spec: ResourceSpec
) -> None:
    primaries = set()
    for line in range(200):
        controllers = new_controllers(make_world(spec))
        world = controllers.world
        away = world.before_event = Away(line)
        try:
            controllers.switch(B)
        except ForeshadowError:
            pass
        else:
            assert not away.was_away or controllers.ledger.unfinished()
        assert world.violations == []
        assert all(server.carried() for server in world.all_servers())
        world.before_event = lambda _: None
        if not away.was_away:
            break
        controllers.recover()
        primaries.add(controllers.ledger.primary(NAME))
        assert_agreement(controllers, controllers.ledger.primary(NAME))
    else:
        pytest.fail("it never came to its end")
    assert line > 15, "it has to go away at every step"
    assert primaries == {A, B}
