"""Many controllers start the same switchover at once: one moves, the others say who."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from foreshadow.domain.moves import Plan
from foreshadow.ledger import Ledger
from foreshadow.operations.switch import SwitchRequest, switch_over
from foreshadow.operations.switch_move import Move
from foreshadow.operations.switch_shown import left_alone
from tests.support.chaos.controller import LEASE_SECONDS, Order, running_controller
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.haproxy import wait_until
from tests.support.race import PATIENCE, judge, race, way

CONTENDERS, RACES = 8, 2

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    policy = {"steps": [100], "soak": 0}
    with running_fleet(tmp_path_factory.mktemp("fleet"), policy=policy) as running:
        yield running


def test_one_moves_and_the_others_say_who(fleet: Fleet) -> None:
    for _ in range(RACES):
        here, to = way(fleet)
        fleet.wait_for_state(to)
        before = len(fleet.ledger.switchovers(NAME))
        said = race(fleet, to, CONTENDERS)
        assert judge(fleet, to, said, before) == []
        fleet.assert_agreement(to, [here])


@pytest.mark.parametrize(("step", "moment"), [("fence", "done"), ("shift-100", "before")])
def test_a_controller_that_slept_past_its_lease_does_nothing(
    fleet: Fleet, step: str, moment: str
) -> None:
    here, to = way(fleet)
    fleet.wait_for_state(to)
    order = Order(fleet.connection, NAME, to, step, moment, "stop")
    with running_controller(order) as sleeper:
        sleeper.tell()
        assert sleeper.hear(PATIENCE) == "at"
        wait_until(lambda: _lease_is_over(fleet), "its lease to end", 10 * LEASE_SECONDS)
        before = len(fleet.ledger.switchovers(NAME))
        said = race(fleet, to, CONTENDERS)
        assert judge(fleet, to, said, before) == []
        seen = _picture(fleet, here, to)
        sleeper.signal(signal.SIGCONT)
        assert sleeper.hear(PATIENCE).startswith("FencedError: ")
        assert _picture(fleet, here, to) == seen
    fleet.assert_agreement(to, [here])


def test_who_planned_while_another_moved_it_finds_it_done(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, to = way(fleet)
    fleet.wait_for_state(to)
    request, plan = SwitchRequest(resource=NAME, to=to), Move.plan

    def slowly(self: Move) -> Plan:
        monkeypatch.setattr(Move, "plan", plan)
        made = plan(self)
        assert switch_over(fleet.context, request).apply()["switchover"]["outcome"] == "switched"
        return made

    monkeypatch.setattr(Move, "plan", slowly)
    change = switch_over(fleet.context, request)
    assert change.changed, "there was something to do when it was planned"
    ended = change.apply()
    assert ended["switchover"]["outcome"] == "unchanged"
    assert left_alone(ended)
    fleet.assert_agreement(to, [here])


def _lease_is_over(fleet: Fleet) -> bool:
    lease = fleet.ledger.lease(NAME)
    assert lease is not None
    return lease.expires_at <= time.time()


def _picture(fleet: Fleet, *hosts: str) -> list[object]:
    """Return what a late actor must leave as it is."""
    with Ledger.open(str(fleet.connection.ledger)) as ledger:
        known = [ledger.primary(NAME), ledger.switchovers(NAME), ledger.lease(NAME)]
    seen = [fleet.context.driver(host).get(NAME) for host in hosts]
    weights = [
        (endpoint.name, endpoint.weights)
        for director in fleet.context.directors(fleet.spec)
        for endpoint in director.read()
    ]
    return [*known, *seen, *weights]
