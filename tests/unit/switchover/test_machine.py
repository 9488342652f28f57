"""Invariants 1 to 4, 7 and 10 of the design, whatever happens; and that breaking one is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.switchover.guards import REMOVED, Guard
from tests.unit.switchover.machine import SPECS, Moves
from tests.unit.switchover.shaky import KINDS

BUDGET = 60
"""Runs of the machine within which the loss of a guard has to be found."""


def search(registered: Path, runs: int, *phases: Phase, guard: Guard | None = None) -> None:
    """Run the machine, always the same runs.

    :param guard: look where it matters.
    :raises AssertionError: when something that must hold does not.
    """
    own: dict[str, Any] = {"registered": registered}
    if guard is not None:
        own |= {"resources": guard.resources or tuple(SPECS), "kinds": guard.kinds or KINDS}
        own |= {"places": guard.places}
    machine = type("Machine", (Moves,), own)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=runs,
            stateful_step_count=8,
            derandomize=True,
            database=None,
            deadline=None,
            phases=phases or tuple(Phase),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_nothing_that_is_forbidden_ever_happens(registered: Path) -> None:
    search(registered, 30)


@pytest.mark.parametrize("guard", REMOVED.values(), ids=REMOVED.keys())
def test_the_loss_of_a_guard_is_found(
    guard: Guard, registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.take(monkeypatch)
    with pytest.raises(AssertionError):
        search(registered, BUDGET, Phase.generate, guard=guard)
