"""A database under writes for a minute, while agents are killed: every version is whole."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.integration.sync_fleet import Fleet, running, wait_for
from tests.integration.test_sync_databases import begun, place
from tests.unit.sync.databases import proven, writing

SECONDS = 60


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_minute_of_scheduled_rounds_and_killed_agents(tmp_path: Path, mode: str) -> None:
    with running(tmp_path) as fleet:
        live = place(fleet)
        with writing(live / "app.db", mode) as writer:
            wait_for(lambda: begun(writer), 60)
            fleet.schedule(0.2)
            versions, held = set(), [0]
            end, kill = time.monotonic() + SECONDS, time.monotonic() + SECONDS / 4
            victims = ["edge-b", "edge-a"]
            while time.monotonic() < end:
                number, transactions = look(fleet)
                versions.add(number)
                assert held[-1] <= transactions <= writer.acknowledged + 1
                held.append(transactions)
                if victims and time.monotonic() > kill:
                    victim = victims.pop()
                    fleet.kill(victim, signal.SIGKILL)
                    fleet.start(victim)
                    fleet.wait(victim)
                    kill = time.monotonic() + SECONDS / 4
            assert len(versions) > 20
            before = writer.acknowledged
            wait_for(lambda: look(fleet)[1] >= before, 60)


def look(fleet: Fleet) -> tuple[int, int]:
    """Return the number of the shadow's version, and the transactions that it holds."""
    while True:
        current = fleet.resource("edge-b") / "current"
        try:
            version = current.resolve(strict=True)
            copy = tmp_link(version / "app.db", fleet.folder / "looked-at.db")
        except FileNotFoundError:
            continue  # not there yet, or gone: a newer one is
        return int(version.name), proven(copy)


def tmp_link(path: Path, name: Path) -> Path:
    """Keep a file of a version by another name, so that it can be read when the version is gone."""
    name.unlink(missing_ok=True)
    os.link(path, name)
    return name
