"""A slice of the enumeration in ``tests/long/test_cloudflare.py``: each fault at some call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cloudflare import FAULTS
from tests.support.cloudflare_moves import Stage, rehearsed, running_stage, tried
from tests.support.cloudflare_world import CloudflareWorld, DnsWorld, LbWorld


@pytest.fixture(scope="module", params=[DnsWorld, LbWorld], ids=["dns", "lb"])
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    kind: type[CloudflareWorld] = request.param
    with running_stage(kind, tmp_path_factory.mktemp("moves")) as running:
        yield running


@pytest.fixture(scope="module")
def writes(stage: Stage) -> list[int]:
    """Give the numbers of the calls that write, in a switchover that nothing befalls."""
    return [n for n, call in enumerate(rehearsed(stage)) if not call.startswith("GET")]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_switchover_survives_a_fault(stage: Stage, writes: list[int], fault: str) -> None:
    tried(stage, fault, writes[FAULTS.index(fault) % len(writes)])


def test_a_switchover_survives_a_look_that_is_blocked(stage: Stage, writes: list[int]) -> None:
    tried(stage, "429", writes[0] + 1)
