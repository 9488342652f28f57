"""Invariants 1 to 4, 7 and 10 of the design, whatever happens; and that breaking one is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import Phase

from tests.unit.switchover.guards import REMOVED, Guard
from tests.unit.switchover.search import search

BUDGET = 60
"""Runs of the machine within which the loss of a guard has to be found."""

pytestmark = pytest.mark.timeout(600)  # a quarter of a minute of work, on a machine that is shared


def test_nothing_that_is_forbidden_ever_happens(registered: Path) -> None:
    search(registered, 45)


@pytest.mark.parametrize("guard", REMOVED.values(), ids=REMOVED.keys())
def test_the_loss_of_a_guard_is_found(
    guard: Guard, registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.take(monkeypatch)
    with pytest.raises(AssertionError):
        search(registered, BUDGET, Phase.generate, guard=guard)
