"""Each fault of Cloudflare's at each call of a switchover: it ends right, or undone and said so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cloudflare import FAULTS
from tests.support.cloudflare_moves import Stage, rehearsed, running_stage, tried
from tests.support.cloudflare_world import CloudflareWorld, DnsWorld, LbWorld, OnePoolWorld


@pytest.fixture(scope="module", params=[DnsWorld, OnePoolWorld], ids=["dns", "lb"])
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    kind: type[CloudflareWorld] = request.param
    with running_stage(kind, tmp_path_factory.mktemp("moves")) as running:
        yield running


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_each_call_of_a_switchover(
    stage: Stage, fault: str, record_property: Callable[[str, object], None]
) -> None:
    calls = rehearsed(stage)
    ends = Counter(tried(stage, fault, number) for number in range(len(calls)))
    record_property("ends", dict(ends))
    assert sum(ends.values()) == len(calls) > 15
    if fault in ("500", "503-done", "dropped", "dropped-done", "slow", "late", "garbage"):
        assert set(ends) == {"switched"}, "what passes must be sat out"


@pytest.mark.timeout(600)
def test_a_fault_at_each_write_to_two_pools(tmp_path: Path) -> None:
    with running_stage(LbWorld, tmp_path) as stage:
        writes = [n for n, call in enumerate(rehearsed(stage)) if not call.startswith("GET")]
        assert len(writes) == 8
        for fault in FAULTS:
            for number in writes:
                tried(stage, fault, number)


@pytest.mark.timeout(600)
def test_two_faults_in_a_row_at_each_write(stage: Stage) -> None:
    writes = [n for n, call in enumerate(rehearsed(stage)) if not call.startswith("GET")]
    for number in writes:
        for first, second in (("dropped-done", "429"), ("late", "dropped"), ("slow", "500")):
            with stage.move() as move:
                stage.cloud.fake.faults.update({number: first, number + 1: second})
                move.assert_right(move.run())
