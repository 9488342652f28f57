"""A switchover over a director of AWS ends switched or rolled back, whatever goes wrong.

Here a share of the requests goes wrong; ``tests/long/test_aws.py`` takes each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.aws.faults import Fault
from tests.support.aws.moves import (
    A,
    B,
    Traffic,
    agree,
    enumerate_calls,
    folder_in_memory,
    new_controllers,
    running_traffic,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_in_memory() as made:
        yield made


@pytest.fixture(scope="module", params=["elbv2", "route53"])
def traffic(request: pytest.FixtureRequest) -> Iterator[Traffic]:
    with running_traffic(request.param) as running:
        yield running


def test_there_and_back(traffic: Traffic, folder: Path) -> None:
    controllers = new_controllers(traffic, folder, 0)
    for host in (B, A):
        assert controllers.switch(host).outcome == "switched"
        agree(controllers, f"to {host}")
    controllers.ledger.close()


def test_a_reply_that_is_lost_is_got_over(traffic: Traffic, folder: Path) -> None:
    ends = enumerate_calls(traffic, folder, Fault.LOST, times=1, stride=14)
    assert set(ends) == {"switched"}
    assert ends["switched"] >= 2


def test_what_goes_wrong_for_good_is_undone_or_finished(traffic: Traffic, folder: Path) -> None:
    ends = enumerate_calls(traffic, folder, Fault.DENIED, times=10_000, stride=17)
    assert len(ends) >= 2
