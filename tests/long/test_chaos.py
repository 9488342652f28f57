"""The whole enumeration, and 200 random kills: what ``make bench-chaos`` prints, as tests.

``CHAOS_SHARD=K/N`` takes a part. Whoever wants the matrix, or to go on after a break, runs the
benchmark instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chaos.cells import STEPS, Cell, Strike, every_cell, every_stop, strikes
from tests.support.chaos.runner import Arena
from tests.support.postgres import MISSING, programs

pytestmark = [
    pytest.mark.skipif(programs() is None, reason=MISSING),
    pytest.mark.timeout(300),
]

NUMBER, SHARDS = (int(part) for part in os.environ.get("CHAOS_SHARD", "1/1").split("/"))
EVERYTHING: list[Cell | Strike] = [
    *every_cell(),
    *every_stop(),
    *strikes(200, seed=1, plans=list(STEPS)),
]
CHOSEN = sorted(EVERYTHING[NUMBER - 1 :: SHARDS], key=lambda one: one.plan)


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena(rate=500, evidence=Path("build/bench/chaos")) as arena:
        yield arena


@pytest.mark.parametrize("one", CHOSEN, ids=str)
def test_it_converges_and_loses_nothing(arena: Arena, one: Cell | Strike) -> None:
    result = arena.run(one)
    assert result.problems == []
    assert result.reached
