"""A host that dies with its agent: only failover leaves it, and tells what that costs."""

from __future__ import annotations

import os
import signal
import urllib.error
from pathlib import Path

from foreshadow.operations.switch import SwitchRequest, switch_over
from tests.support.agents import instances
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.haproxy import wait_until

A, B = "edge-a", "edge-b"


def test_a_dead_host_is_left_by_failover_alone(tmp_path: Path) -> None:
    with running_fleet(tmp_path) as fleet:
        fleet.agents.kill(A)
        for process in instances(fleet.agents.state_dir(A)):
            os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: not _answers(fleet), "the directors to see it dead")
        change = switch_over(fleet.context, SwitchRequest(resource=NAME, to=B))
        refused = change.apply()["switchover"]
        assert refused["outcome"] == "refused"
        assert "use failover to move without it" in refused["error"]
        request = SwitchRequest(resource=NAME, to=B, failover=True)
        moved = switch_over(fleet.context, request).apply()["switchover"]
        assert moved["outcome"] == "switched"
        assert "demote was left out" in moved["error"]
        assert moved["rpo_seconds"] > 0
        assert fleet.answers() == [B, B]
        assert fleet.ledger.primary(NAME) == B


def _answers(fleet: Fleet) -> bool:
    try:
        return bool(fleet.answers())
    except urllib.error.URLError:
        return False
