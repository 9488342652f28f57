"""A slice of the enumeration that ``make bench-chaos`` runs: each target and fault of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chaos.cells import Cell, strikes
from tests.support.chaos.runner import Arena
from tests.support.postgres import MISSING, programs

pytestmark = pytest.mark.skipif(programs() is None, reason=MISSING)

SLICE = (
    "shift/shift-50/done/controller/kill",
    "shift/commit/journaled/controller/stop",
    "shift/promote/before/source/kill",
    "shift/shift-100/done/haproxy/kill",
    "shift/drain/before/ledger/kill",
    "shift/demote/done/destination/reset",
    "shift/shift-50/journaled/controller/term",
    "pause/handover/done/controller/kill",
    "pause/handover/done/controller/term",
    "pause/promote/before/destination/reset",
    "pause/deliver/before/ledger/stop",
)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(rate=200, evidence=Path("build/bench/chaos")) as arena:
        yield arena


@pytest.mark.parametrize("cell", SLICE)
def test_it_converges_and_loses_nothing(arena: Arena, cell: str) -> None:
    result = arena.run(Cell.named(cell))
    assert result.problems == []
    assert result.reached
    assert result.requests > 100
    assert result.posts > 10


def test_a_process_that_is_killed_at_any_time_loses_nothing(arena: Arena) -> None:
    (strike,) = strikes(1, seed=7, plans=["pause"])
    assert strike == next(strikes(1, seed=7, plans=["pause"])), "a seed gives the same one again"
    assert arena.run(strike).problems == []
