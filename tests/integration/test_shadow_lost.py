"""The shadow is lost right after it got all traffic: the primary has it back, none fails."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from foreshadow.domain.errors import RolledBackError
from foreshadow.domain.moves import StepState
from foreshadow.operations.switch import SwitchRequest, switch_over
from tests.support.fleet import NAME, Fleet, running_fleet, signal_instance
from tests.support.haproxy import wait_until
from tests.support.load import Load

A, B = "edge-a", "edge-b"
OFTEN = {"inter": "100ms", "fastinter": "50ms", "downinter": "100ms", "timeout": "300ms"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(
        tmp_path_factory.mktemp("fleet"),
        haproxy={"haproxy_check": OFTEN},
        policy={"steps": [100], "soak": "20s"},
        service={"health": {"path": "/healthz", "successes": 3, "timeout": "500ms"}},
    ) as running:
        yield running


@pytest.mark.parametrize("lost_by", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_the_primary_has_the_traffic_back_and_no_request_fails(
    fleet: Fleet, lost_by: signal.Signals
) -> None:
    here = fleet.ledger.primary(NAME)
    there = B if here == A else A
    said: list[Exception] = []

    def move() -> None:
        try:
            switch_over(fleet.context, SwitchRequest(resource=NAME, to=there)).apply()
        except RolledBackError as error:
            said.append(error)

    with Load(fleet.fronts, rate=200, slow_every=20, stream_every=0, seconds=0.5) as load:
        controller = threading.Thread(target=move)
        controller.start()
        wait_until(lambda: _stands(fleet, "soak-100"), "the shift of all traffic")
        time.sleep(0.3)
        signal_instance(fleet, there, lost_by)
        lost_at = time.monotonic()
        controller.join(30)
        back_after = time.monotonic() - lost_at
    assert [type(error) for error in said] == [RolledBackError]
    assert (load.tally.failed, load.tally.truncated) == (0, 0), load.tally.errors
    # It was never thawed, and a request that hung at it waited for nobody's timeout.
    assert back_after < 5
    assert load.tally.percentile(1.0) < 5
    assert fleet.answers() == [here, here]
    assert not fleet.ledger.unfinished()


def _stands(fleet: Fleet, name: str) -> bool:
    return any(
        step.name == name and step.state is StepState.STARTED
        for one in fleet.ledger.unfinished(NAME)
        for step in one.steps
    )
