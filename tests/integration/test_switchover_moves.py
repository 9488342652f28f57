"""Switchovers by hand on real agents, before a real pair of HAProxy, under real load."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.moves import Outcome, StepState
from foreshadow.operations.switch import SwitchRequest, recover, switch_over
from tests.support.fleet import NAME, Fleet, running_fleet, signal_instance
from tests.support.haproxy import wait_until
from tests.support.load import Load

A, B = "edge-a", "edge-b"
Way = tuple[str, str]
CONTROLLER = Path(__file__).parents[1] / "support" / "controller.py"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def way(fleet: Fleet) -> Iterator[Way]:
    """Give where the primary is, and where else it could be; at the end everything agrees."""
    here = fleet.ledger.primary(NAME)
    yield here, _other(here)
    recover(fleet.context, NAME).apply()
    primary = fleet.ledger.primary(NAME)
    fleet.assert_agreement(primary, [_other(primary)])


def _other(host: str) -> str:
    return B if host == A else A


def controller(fleet: Fleet, to: str, *fatal: str) -> subprocess.Popen[bytes]:
    """Start a controller as a process of its own."""
    known = fleet.connection
    command = [sys.executable, CONTROLLER, known.ledger, known.ca, known.cert, known.key, to]
    return subprocess.Popen(
        [*map(str, command), *fatal],
        cwd=CONTROLLER.parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@contextmanager
def under_load(fleet: Fleet, rate: float, **kinds: Any) -> Iterator[Load]:
    """Send requests, and begin once they are answered; none of them may be lost."""
    with Load(fleet.fronts, rate=rate, **kinds) as load:
        wait_until(lambda: load.tally.ok > 50, "requests to be answered")
        yield load
    assert (load.tally.failed, load.tally.truncated) == (0, 0), load.tally.errors


def test_there_and_back_loses_nothing(fleet: Fleet, way: Way) -> None:
    here, there = way
    with under_load(fleet, 150) as load:
        time.sleep(0.5)
        for to, other in ((there, here), (here, there)):
            change = switch_over(fleet.context, SwitchRequest(resource=NAME, to=to))
            assert (change.before["primary"], change.after["primary"]) == (other, to)
            moved = change.apply()["switchover"]
            assert moved["outcome"] == "switched"
            assert moved["error"] is None
            assert {step["state"] for step in moved["steps"]} == {"done"}
            fleet.assert_agreement(to, [other])
            again = switch_over(fleet.context, SwitchRequest(resource=NAME, to=to))
            assert not again.changed
            assert again.apply()["switchover"]["outcome"] == "unchanged"
    assert set(load.tally.served) == {A, B}


def test_what_the_primary_wrote_is_there_after_the_move(fleet: Fleet, way: Way) -> None:
    here, there = way
    fleet.settings(here).write_text("written here")
    switch_over(fleet.context, SwitchRequest(resource=NAME, to=there)).apply()
    assert fleet.settings(there).read_text() == "written here"
    # The new primary has state of its own to write, and sends it back the other way.
    fleet.settings(there).write_text("written there")
    wait_until(
        lambda: fleet.settings(here).read_text() == "written there", "the state to come back"
    )


@pytest.mark.parametrize(
    ("step", "state", "ends"),
    [
        ("shift-50", "done", "undone"),
        ("drain", "started", "undone"),
        ("freeze", "started", "finished"),
    ],
)
def test_a_controller_that_is_killed_loses_nothing(
    fleet: Fleet, way: Way, step: str, state: str, ends: str
) -> None:
    here, there = way
    with under_load(fleet, 100, slow_every=0, stream_every=0):
        process = controller(fleet, there, step, state)
        _, said = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL, said.decode()
        time.sleep(0.2)
        change = recover(fleet.context, NAME)
        assert change.changed
        (ended,) = change.apply()["switchovers"]
        assert (ended["outcome"], ended["direction"]) == ("recovered", ends)
        assert not recover(fleet.context, NAME).changed
        primary, shadow = (there, here) if ends == "finished" else (here, there)
        fleet.assert_agreement(primary, [shadow])


def test_the_next_switchover_begins_with_what_was_left(fleet: Fleet, way: Way) -> None:
    here, there = way
    controller(fleet, there, "admit", "done").communicate(timeout=30)
    moved = switch_over(fleet.context, SwitchRequest(resource=NAME, to=there)).apply()
    assert [one["direction"] for one in moved["recovered"]] == ["undone"]
    assert moved["switchover"]["outcome"] == "switched"
    fleet.assert_agreement(there, [here])


def test_asked_to_stop_it_goes_back_within_five_seconds(fleet: Fleet, way: Way) -> None:
    here, there = way
    with under_load(fleet, 60, slow_every=0):
        process = controller(fleet, there)
        wait_until(lambda: _stands(fleet, "soak-50"), "the soak")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - began < 5
        assert b"RolledBackError" in said
        assert b"stopped on request" in said
    assert fleet.ledger.switchovers(NAME)[0].outcome is Outcome.ROLLED_BACK
    fleet.assert_agreement(here, [there])


def test_two_at_once_one_moves_and_the_other_says_who(fleet: Fleet, way: Way) -> None:
    _, there = way
    process = controller(fleet, there)
    wait_until(lambda: _stands(fleet, "soak-50"), "the first one to soak")
    change = switch_over(fleet.context, SwitchRequest(resource=NAME, to=there))
    refused = change.apply()["switchover"]
    out, _ = process.communicate(timeout=30)
    assert out.strip() == b"switched"
    assert refused["outcome"] == "refused"
    assert refused["refused_by"] == ["in_progress"]
    assert f":{process.pid}:" in refused["error"]
    assert not recover(fleet.context).changed, "a live controller is left alone"


def test_a_shadow_that_is_killed_while_it_soaks_costs_no_request(fleet: Fleet, way: Way) -> None:
    here, there = way
    with under_load(fleet, 100, stream_every=0):
        process = controller(fleet, there)
        wait_until(lambda: _stands(fleet, "soak-50"), "the soak")
        signal_instance(fleet, there, signal.SIGKILL)
        _, said = process.communicate(timeout=30)
        assert b"RolledBackError" in said
    assert fleet.answers() == [here, here]


def test_a_primary_that_is_killed_under_way_is_not_gone_back_to(fleet: Fleet, way: Way) -> None:
    here, there = way
    with under_load(fleet, 100, stream_every=0):
        process = controller(fleet, there)
        wait_until(lambda: _stands(fleet, "soak-50"), "the soak")
        signal_instance(fleet, here, signal.SIGKILL)
        out, said = process.communicate(timeout=30)
        assert out.strip() == b"switched", said.decode()
    # It was brought back up as the shadow of the new primary.
    fleet.assert_agreement(there, [here])


def _stands(fleet: Fleet, name: str) -> bool:
    left = fleet.ledger.unfinished(NAME)
    return any(
        step.name == name and step.state is StepState.STARTED for one in left for step in one.steps
    )
