"""A slice of the enumeration that ``make bench-chaos`` runs: one cell for each target and fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.chaos import Cell, Chaos, running_chaos
from tests.support.postgres import MISSING, programs

pytestmark = pytest.mark.skipif(programs() is None, reason=MISSING)

SLICE = (
    Cell("shift-50", "done", "controller", "kill"),
    Cell("commit", "journaled", "controller", "stop"),
    Cell("promote", "before", "source", "kill"),
    Cell("shift-100", "done", "haproxy", "kill"),
    Cell("drain", "before", "ledger", "kill"),
    Cell("demote", "done", "destination", "reset"),
)


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    with running_chaos(tmp_path_factory.mktemp("chaos"), rate=80) as running:
        yield running


@pytest.mark.parametrize("cell", SLICE, ids=str)
def test_it_converges_and_loses_nothing(chaos: Chaos, cell: Cell) -> None:
    result = chaos.run(cell)
    assert result.reached
    assert result.problems == []
    assert result.requests > 50
