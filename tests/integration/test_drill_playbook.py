"""The playbooks ``drill`` and ``evaluate`` on a real fleet: what is due, what a failure hides."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.decision import Decision, Ranked, Trigger, Verdict
from foreshadow.domain.spec import merged, parse_resource
from foreshadow.operations.switch_drill import drilled_at
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.modules import COLLECTIONS

A, B = "edge-a", "edge-b"
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(
        tmp_path_factory.mktemp("fleet"),
        policy={"mode": "automatic", "soak": "200ms", "cooldown": 0, "drill_max_age": "1d"},
    ) as running:
        yield running


class Play:
    """One playbook run: its status, what it printed, and its statistics."""

    def __init__(self, fleet: Fleet, folder: Path, name: str, **extra: Any) -> None:
        known = fleet.connection
        variables = {"foreshadow_ledger": known.ledger, "foreshadow_ca": known.ca,
                     "foreshadow_cert": known.cert, "foreshadow_key": known.key}  # fmt: skip
        inventory = folder / "inventory.yml"
        inventory.write_text(yaml.safe_dump({"all": {"vars": variables}}))
        given = folder / "extra.json"
        given.write_text(json.dumps(extra))
        ran = subprocess.run(
            [PLAYBOOK, "-i", inventory, f"foreshadow.core.{name}", "-e", f"@{given}"],
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1",
                 "ANSIBLE_SHOW_CUSTOM_STATS": "1"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        self.status, self.said = ran.returncode, ran.stdout + ran.stderr
        found = re.search(r"RUN: (\{.*\})\s*$", ran.stdout, re.DOTALL)
        self.statistics: dict[str, Any] = json.loads(found.group(1)) if found else {}


def put_policy(fleet: Fleet, **policy: Any) -> None:
    raw = merged(fleet.spec.plain(), {"policy": policy})
    fleet.ledger.put_resource(parse_resource(raw))


def test_what_is_due_is_drilled_within_the_windows_and_once(fleet: Fleet, tmp_path: Path) -> None:
    put_policy(fleet, windows=[{"from": "2040-01-01", "to": "2040-01-02"}])
    closed = Play(fleet, tmp_path, "drill")
    assert closed.status == 0, closed.said
    assert "changed=0 " in closed.said
    (refused,) = closed.statistics["foreshadow_drills"]
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["window"])
    assert drilled_at(fleet.ledger, NAME, B) is None

    put_policy(fleet, windows=[])
    due = Play(fleet, tmp_path, "drill")
    assert due.status == 0, due.said
    (drilled,) = due.statistics["foreshadow_drills"]
    assert (drilled["outcome"], drilled["destination"]) == ("reversed", B)
    assert drilled["back"]["destination"] == A
    assert drilled["rto_seconds"] > 0
    assert drilled["rpo_seconds"] >= 0
    assert drilled["pause_ms"] == 0.0
    assert drilled["errors"] == 0
    assert drilled_at(fleet.ledger, NAME, B) is not None
    fleet.assert_agreement(A, [B])

    again = Play(fleet, tmp_path, "drill")
    assert "changed=0 " in again.said
    assert again.statistics["foreshadow_drills"][0]["outcome"] == "unchanged"


def test_a_resource_that_asks_for_no_drill_has_none(fleet: Fleet, tmp_path: Path) -> None:
    put_policy(fleet, drill_max_age=None)
    before = fleet.ledger.switchovers(NAME)
    play = Play(fleet, tmp_path, "drill")
    put_policy(fleet, drill_max_age="1d")
    assert play.status == 0, play.said
    assert play.statistics["foreshadow_drills"] == []
    assert fleet.ledger.switchovers(NAME) == before


def decided(fleet: Fleet, resource: str, destination: str) -> dict[str, Any]:
    """Record a decision to move, as an evaluation would just have made it."""
    now = fleet.context.now()
    made = Decision(
        f"d-{resource}", resource, MetricTime(float(now)), WallTime(now), Verdict.SWITCH,
        Trigger.FORECAST, ("it will pass its limit",), destination=Ranked(destination, 0.9),
    )  # fmt: skip
    fleet.ledger.record_decision(made)
    return made.plain()


def test_one_failure_hides_neither_the_other_moves_nor_what_is_learned(
    fleet: Fleet, tmp_path: Path
) -> None:
    lost = fleet.spec.plain()
    lost["name"] = "lost"
    lost["policy"]["drill_max_age"] = None
    lost["directors"][0]["backend"] = "nowhere"  # no load balancer has it: nothing can be read
    fleet.ledger.put_resource(parse_resource(lost))
    try:
        decisions = [decided(fleet, "lost", B), decided(fleet, NAME, B)]
        play = Play(fleet, tmp_path, "evaluate", switchover_decisions=decisions)
    finally:
        fleet.ledger.change_resources(remove={"lost"})
    assert play.status != 0, "what failed must not look well"
    moves = play.statistics["foreshadow_switchovers"]
    assert [(move["resource"], move["outcome"]) for move in moves] == [(NAME, "switched")]
    (failure,) = play.statistics["foreshadow_failures"]
    assert "has no backend nowhere" in failure
    learned = play.said.index("Measure what finished, and learn")
    assert learned > play.said.index("Hand the moves to the job's statistics")
    fleet.assert_agreement(B, [A])
