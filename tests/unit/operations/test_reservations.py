"""Room that is held for moves whose outcome is not known yet, and who sees it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.fleet import Instance, Role, RunState
from foreshadow.domain.moves import Lease, Outcome, Switchover
from foreshadow.domain.spec import Mode
from foreshadow.operations.place import rank_resources
from foreshadow.operations.reservations import reserved
from foreshadow.operations.standing import recorded_facts
from foreshadow.operations.switch_aim import Aim
from foreshadow.operations.switch_guards import Guards
from tests.unit.operations.metered import Metered, add_hosts, open_metered, resource
from tests.unit.report.samples import switchover

A, B, C = "edge-a", "edge-b", "edge-c"
POLICY = {"cooldown": "30m", "max_concurrent": 1}


@pytest.fixture
def context(tmp_path: Path) -> Metered:
    made = open_metered(
        tmp_path, {(name, "rate"): lambda at: 60.0 for name in ("checkout", "search")}
    )
    add_hosts(made.ledger, **{A: 100.0, B: 100.0, C: 400.0})
    for name, primary, shadow in (("checkout", A, B), ("search", C, A)):
        made.ledger.put_resource(resource(name, primary, policy=POLICY))
        for host, role in ((primary, Role.PRIMARY), (shadow, Role.SHADOW)):
            made.ledger.put_instance(
                Instance(resource=name, host=host, role=role, mode=Mode.WARM,
                         state=RunState.RUNNING, address="127.0.0.1", port=80)
            )  # fmt: skip
    return made


def begin(context: Metered, name: str, source: str, to: str, **keys: Any) -> tuple[Lease, Any]:
    lease = context.ledger.acquire(name, f"{name}:boot:1:1", 1e9, lambda holder: False)
    move = replace(
        switchover(), id=f"move-{name}", resource=name, source=source, destination=to,
        outcome=None, ended_at=None, pivoted=False, steps=(), decision_id=None,
        started_at=WallTime(context.time), token=lease.token, **keys,
    )  # fmt: skip
    context.ledger.begin(lease, move)
    return lease, move


def finish(context: Metered, lease: Lease, move: Switchover, outcome: Outcome) -> None:
    if outcome is not Outcome.ROLLED_BACK:
        context.ledger.pivot(lease, move.id)
    ended = replace(move, outcome=outcome, ended_at=WallTime(context.time))
    context.ledger.finish(lease, ended)
    context.ledger.release(lease)


def refusals(context: Metered, name: str, to: str) -> str:
    found = Guards(context, context.ledger.resource(name), Aim(to)).against()
    return "; ".join(f"{block.by.value}: {block.reason}" for block in found)


def test_at_rest_nothing_is_held(context: Metered) -> None:
    assert reserved(context) == {}


def test_on_its_way_a_resource_holds_room_at_both_ends(context: Metered) -> None:
    begin(context, "checkout", A, B)
    assert reserved(context) == {B: frozenset({"checkout"})}  # on A it is the primary
    assert reserved(context, "checkout") == {}, "its own room is no load to it"


def test_when_it_has_arrived_its_old_room_is_held_for_the_cooldown(context: Metered) -> None:
    lease, move = begin(context, "checkout", A, B)
    finish(context, lease, move, Outcome.SWITCHED)
    assert reserved(context) == {A: frozenset({"checkout"})}
    context.time += 1799
    assert reserved(context) == {A: frozenset({"checkout"})}
    context.time += 1
    assert reserved(context) == {}


def test_what_was_rolled_back_holds_nothing(context: Metered) -> None:
    lease, move = begin(context, "checkout", A, B)
    finish(context, lease, move, Outcome.ROLLED_BACK)
    assert reserved(context) == {}


def test_a_drill_holds_its_home_until_it_is_back(context: Metered) -> None:
    drill = replace(switchover().plan, drill=True)
    lease, move = begin(context, "checkout", A, B, plan=drill)
    finish(context, lease, move, Outcome.SWITCHED)
    context.time += 1e5
    assert reserved(context) == {}, "by then nobody looks for when it began"
    context.time -= 1e5 - 1000
    assert reserved(context) == {A: frozenset({"checkout"})}


def test_the_way_back_stays_open_to_whoever_moves_meanwhile(context: Metered) -> None:
    lease, move = begin(context, "checkout", A, B)
    finish(context, lease, move, Outcome.SWITCHED)
    told = refusals(context, "search", A)
    assert told == (
        "capacity: with search, edge-a would need 120 requests/s of rate within the horizon, and "
        "has 100 requests/s, checkout held to come back included"
    )
    spec = context.ledger.resource("search")
    ranked = rank_resources(context, [spec], peaks={"search": {"rate": 60.0}})["search"]
    (row,) = (row for row in ranked if row.host == A)
    assert row.rejected is not None
    assert row.rejected.rule == "capacity"
    assert refusals(context, "checkout", A) == "", "its own way back is the one that is held"
    context.time += 1800
    assert refusals(context, "search", A) == ""


def test_of_two_at_once_the_one_that_began_first_has_the_room_and_goes(context: Metered) -> None:
    begin(context, "checkout", A, B)
    context.time += 1
    lease, _ = begin(context, "search", C, B)
    assert "capacity" in refusals(context, "search", B)
    assert refusals(context, "checkout", B) == ""
    assert recorded_facts(context, context.ledger.resource("search")).others_moving == 1
    assert recorded_facts(context, context.ledger.resource("checkout")).others_moving == 0
    context.ledger.release(lease)
