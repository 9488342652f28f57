"""Running the state machine: so many runs, the same ones each time or others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.switchover.guards import Guard
from tests.unit.switchover.machine import SPECS, Moves
from tests.unit.switchover.shaky import KINDS


def search(
    registered: Path,
    runs: int,
    *phases: Phase,
    guard: Guard | None = None,
    steps: int = 8,
    anew: bool = False,
) -> None:
    """Run the machine.

    :param registered: file of a ledger that knows the world.
    :param steps: of each run, at most.
    :param anew: other runs than the time before, instead of always the same.
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
            stateful_step_count=steps,
            derandomize=not anew,
            database=None,
            print_blob=anew,
            deadline=None,
            phases=phases or tuple(Phase),
            suppress_health_check=list(HealthCheck),
        ),
    )
