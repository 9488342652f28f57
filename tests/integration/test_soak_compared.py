"""A shadow that serves clients worse than the primary, before a real pair of HAProxy under load."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreshadow.domain.errors import RolledBackError
from foreshadow.domain.moves import Outcome, StepState
from foreshadow.operations.switch import SwitchRequest, switch_over
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.load import Load
from tests.support.service import COMMAND

A, B = "edge-a", "edge-b"


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trouble")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, trouble: Path) -> Iterator[Fleet]:
    command = [*COMMAND, "--listen", "{address}:{port}", "--state", "{state}",
               "--name", "{host}", "--trouble", str(trouble)]  # fmt: skip
    with running_fleet(
        tmp_path_factory.mktemp("fleet"),
        service={"command": command},
        policy={"steps": [30, 100], "soak": "3s", "drill_max_age": None},
    ) as running:
        yield running


@pytest.mark.parametrize(
    ("sick", "said"),
    [
        pytest.param("status 500", r"of \d+ requests fail, where 0.0% did before", id="errors"),
        pytest.param("delay 0.25", r"answers in \d+ ms on average, where it was", id="slow"),
    ],
)
def test_a_shadow_that_serves_worse_is_left_before_anybody_is_hurt(
    fleet: Fleet, trouble: Path, sick: str, said: str
) -> None:
    (trouble / B).write_text(sick)
    try:
        with Load(fleet.fronts, rate=120, slow_every=0, stream_every=0) as load:
            time.sleep(0.5)
            with pytest.raises(RolledBackError, match=f"worse than {A}: .*{said}"):
                switch_over(fleet.context, SwitchRequest(resource=NAME, to=B)).apply()
            time.sleep(0.3)
    finally:
        (trouble / B).unlink()
    tally = load.tally
    assert (tally.failed, tally.truncated) == (0, 0), tally.errors
    fleet.assert_agreement(A, [B])
    last = fleet.ledger.switchovers(NAME)[0]
    assert last.outcome is Outcome.ROLLED_BACK
    steps = {step.name: step.state for step in last.steps}
    assert steps["soak-30"] is StepState.UNDONE
    assert "shift-100" not in steps, "the first share was enough to tell"
    assert last.requests is not None
    assert last.requests >= 20
    assert (last.errors or 0) > 0 if sick.startswith("status") else last.errors == 0


def test_a_shadow_that_is_as_good_goes_all_the_way_and_its_figures_are_kept(fleet: Fleet) -> None:
    with Load(fleet.fronts, rate=120, slow_every=0, stream_every=0) as load:
        drilled = switch_over(fleet.context, SwitchRequest(resource=NAME, to=B, drill=True))
        moved = drilled.apply()["switchover"]
    assert load.tally.failed == 0, load.tally.errors
    assert moved["outcome"] == "reversed"
    soaks = [step["detail"] for step in moved["steps"] if step["name"].startswith("soak")]
    assert all("0 failed" in detail and B in detail for detail in soaks), soaks
    assert moved["requests"] > 100
    assert moved["errors"] == 0
    assert moved["back"]["errors"] == 0
    assert {moved["pause_ms"], moved["back"]["pause_ms"]} == {0.0}
    assert moved["rto_seconds"] > 0
    assert moved["rpo_seconds"] >= 0
    fleet.assert_agreement(A, [B])
