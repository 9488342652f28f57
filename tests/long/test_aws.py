"""Every request of a switchover, and of a machine's life, goes wrong in every way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.aws.faults import Fault
from tests.support.aws.fleet import Fleet, enumerate_requests, running_fleet
from tests.support.aws.moves import (
    FOR_GOOD,
    ONCE,
    Traffic,
    enumerate_calls,
    folder_in_memory,
    running_traffic,
)
from tests.support.aws.server import running_cloud

pytestmark = pytest.mark.timeout(900)
FEWEST = {"elbv2": 40, "route53": 25}
"""Requests of a switchover: with fewer points the enumeration would not reach its end."""

TURNS = {"elbv2": ["unwell", "draining"], "route53": ["unwell", "pending", "busy", "paging"]}
REFUSED = {"AccessError", "UnreachableError"}
"""Nothing was begun: there was no plan yet."""
LEFT = {"UnfinishedError", "unfinished"}
"""A recovery had to end it, once AWS answered again."""
ENDS = {"switched", "RolledBackError", *REFUSED} | {
    f"{left}, then {end}" for left in LEFT for end in ("switched", "rolled back")
}

NO_ROOM = [Fault.CAPACITY, Fault.QUOTA]


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_in_memory() as made:
        yield made


@pytest.fixture(scope="module", params=["elbv2", "route53"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def traffic(kind: str) -> Iterator[Traffic]:
    with running_traffic(kind) as running:
        yield running


@pytest.mark.parametrize("fault", ONCE)
def test_at_each_request_once(traffic: Traffic, kind: str, folder: Path, fault: Fault) -> None:
    ends = enumerate_calls(traffic, folder, fault, times=1)
    print(kind, fault, ends)
    assert set(ends) == {"switched"}
    assert ends["switched"] >= FEWEST[kind]


@pytest.mark.parametrize("fault", FOR_GOOD)
def test_from_each_request_on(traffic: Traffic, kind: str, folder: Path, fault: Fault) -> None:
    ends = enumerate_calls(traffic, folder, fault, times=10_000)
    print(kind, fault, ends)
    assert sum(ends.values()) >= FEWEST[kind]
    assert len(ends) >= 2
    assert set(ends) <= ENDS
    assert sum(ends.get(refused, 0) for refused in REFUSED) <= 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, names in TURNS.items() for name in names],
    indirect=["kind"],
)
def test_the_world_turns_at_each_request(
    traffic: Traffic, kind: str, folder: Path, name: str
) -> None:
    turns = traffic.turns()
    assert set(turns) == set(TURNS[kind])
    ends = enumerate_calls(traffic, folder, Fault.TURN, times=1, turn=turns[name])
    print(kind, name, ends)
    assert sum(ends.values()) >= FEWEST[kind]
    assert set(ends) <= ENDS - REFUSED
    if name == "unwell":
        assert {"RolledBackError", "switched"} <= set(ends)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with running_cloud() as cloud, running_fleet(cloud) as made:
        yield made


@pytest.mark.parametrize("fault", [*ONCE, Fault.DENIED, Fault.EXPIRED, *NO_ROOM])
def test_a_machine_at_each_request(fleet: Fleet, fault: Fault) -> None:
    hit = enumerate_requests(fleet, fault)
    print("ec2", fault, hit)
    assert hit >= 15
