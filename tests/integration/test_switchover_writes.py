"""A single writer is moved under writes: what was acknowledged is there, and the pause is short."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.errors import DirectorError
from foreshadow.domain.fleet import Acknowledged
from foreshadow.operations.switch import SwitchRequest, recover, switch_over
from foreshadow.operations.switch_ports import AgentSync, ports
from foreshadow.switchover.engine import UnfinishedError
from tests.integration.test_switchover_moves import controller
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.haproxy import wait_until
from tests.support.writers import Writers, changes

A, B = "edge-a", "edge-b"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("writer"), **changes()) as running:
        yield running


def other(host: str) -> str:
    return B if host == A else A


def written(fleet: Fleet) -> set[int]:
    primary = fleet.ledger.primary(NAME)
    text = (fleet.agents.resource(primary, NAME) / "live" / "writes").read_text()
    return {int(line) for line in text.split()}


def fresh(fleet: Fleet, host: str) -> bool:
    sync = ports(fleet.context, fleet.spec).sync
    return sync.standing(fleet.ledger.primary(NAME), host) is not None


def clear(fleet: Fleet) -> None:
    primary = fleet.ledger.primary(NAME)
    (fleet.agents.resource(primary, NAME) / "live" / "writes").write_text("")


def test_every_acknowledged_write_is_on_the_new_primary(fleet: Fleet) -> None:
    clear(fleet)
    with Writers(fleet.fronts, rate=100) as writers:
        for _ in range(4):
            time.sleep(0.3)
            to = other(fleet.ledger.primary(NAME))
            wait_until(partial(fresh, fleet, to), "the first state to come the other way")
            moved = switch_over(fleet.context, SwitchRequest(resource=NAME, to=to)).apply()
            shown = moved["switchover"]
            assert (shown["outcome"], shown["error"]) == ("switched", None)
            assert 0 < shown["pause_ms"] < 2000
            assert list(shown["plan"]["weights"]) == [100]
    assert writers.refused == []
    assert writers.acknowledged <= written(fleet)
    assert len(writers.acknowledged) > 100
    primary = fleet.ledger.primary(NAME)
    fleet.assert_agreement(primary, [other(primary)])


@pytest.mark.parametrize(
    ("step", "state"),
    [("handover", "taken"), ("promote", "taken"), ("commit", "done"), ("deliver", "taken")],
)
def test_a_controller_that_dies_while_it_holds_lets_go_by_itself(
    fleet: Fleet, step: str, state: str
) -> None:
    spec = fleet.spec.model_copy(
        update={"policy": fleet.spec.policy.model_copy(update={"pause_limit": 1.0})}
    )
    fleet.ledger.put_resource(spec)
    clear(fleet)
    here = fleet.ledger.primary(NAME)
    with Writers(fleet.fronts, rate=50) as writers:
        time.sleep(0.2)
        wait_until(lambda: fresh(fleet, other(here)), "the state to come the other way")
        process = controller(fleet, other(here), step, state)
        process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL
        began = time.monotonic()
        served = other(here) if step == "deliver" else here
        assert fleet.answers() == [served, served], "readers are served without anybody's help"
        assert time.monotonic() - began < 3
        (ended,) = recover(fleet.context, NAME).apply()["switchovers"]
        assert ended["direction"] == (
            "undone" if state == "taken" and step != "deliver" else "finished"
        )
        time.sleep(0.2)
    assert writers.acknowledged <= written(fleet)
    primary = fleet.ledger.primary(NAME)
    fleet.assert_agreement(primary, [other(primary)])


def test_a_destination_that_freezes_under_way_costs_no_write(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = fleet.spec.model_copy(
        update={"policy": fleet.spec.policy.model_copy(update={"pause_limit": 1.0})}
    )
    fleet.ledger.put_resource(spec)
    clear(fleet)
    here = fleet.ledger.primary(NAME)
    there = other(here)
    hand_over = AgentSync.hand_over

    def then_freeze(self: AgentSync, *way: Any) -> Acknowledged:
        acknowledged = hand_over(self, *way)
        fleet.agents.signal(there, signal.SIGSTOP)
        return acknowledged

    with Writers(fleet.fronts, rate=50) as writers:
        wait_until(lambda: fresh(fleet, there), "the state to come the other way")
        monkeypatch.setattr(AgentSync, "hand_over", then_freeze)
        began = time.monotonic()
        try:
            with pytest.raises(UnfinishedError, match="could not be undone completely"):
                switch_over(fleet.context, SwitchRequest(resource=NAME, to=there)).apply()
            assert time.monotonic() - began < 60
            assert fleet.answers() == [here, here], "readers are served meanwhile"
            count = len(writers.acknowledged)
            wait_until(lambda: len(writers.acknowledged) > count + 10, "writes while it is frozen")
        finally:
            fleet.agents.signal(there, signal.SIGCONT)
        (ended,) = recover(fleet.context, NAME).apply()["switchovers"]
        assert ended["direction"] == "undone"
        count = len(writers.acknowledged)
        wait_until(lambda: len(writers.acknowledged) > count + 10, "writes to go on")
    assert writers.acknowledged <= written(fleet)
    fleet.assert_agreement(here, [there])


def test_a_load_balancer_that_cannot_hold_is_told_before_anything_moves(tmp_path: Path) -> None:
    plain = {key: value for key, value in changes().items() if key != "policy"}
    with running_fleet(tmp_path, **plain) as fleet:
        policy = fleet.spec.policy.model_copy(update={"pause_writes": True, "steps": (100,)})
        fleet.ledger.put_resource(fleet.spec.model_copy(update={"policy": policy}))
        with pytest.raises(DirectorError, match="cannot hold requests of this backend"):
            switch_over(fleet.context, SwitchRequest(resource=NAME, to=B))
