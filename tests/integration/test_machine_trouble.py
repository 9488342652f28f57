"""A machine that its own agent measures above its limit is no destination."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from foreshadow.domain.fleet import Capacity
from foreshadow.operations.switch import SwitchRequest, switch_over
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.haproxy import wait_until

A, B = "edge-a", "edge-b"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("fleet"), policy={"soak": 0}) as running:
        yield running


def declare(fleet: Fleet, name: str, **capacity: float) -> None:
    host = fleet.ledger.host(name)
    fleet.ledger.put_host(host.model_copy(update={"capacity": Capacity(**capacity)}))


def planned(fleet: Fleet) -> dict[str, object]:
    request = SwitchRequest(resource=NAME, to=B, state="planned")
    return dict(switch_over(fleet.context, request).preview["switchover"])


def test_a_machine_above_its_limit_is_refused_and_one_with_room_is_not(fleet: Fleet) -> None:
    declare(fleet, B, cpu=0.001)  # whatever runs here needs more than a thousandth of a core
    wait_until(lambda: planned(fleet)["outcome"] == "refused", "its agent to have measured")
    refused = planned(fleet)
    assert refused["refused_by"] == ["no_benefit"]
    assert "edge-b is in trouble itself: its machine has cpu at" in str(refused["error"])
    declare(fleet, B, cpu=4096)
    assert planned(fleet)["outcome"] == "planned"
    declare(fleet, A, memory=1)  # the source alone in trouble is why one moves
    assert planned(fleet)["outcome"] == "planned"
