"""What a person decides: put in force once, refused when it does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from foreshadow.domain.change import Change
from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.decision import Block, Decision, Trigger, Verdict
from foreshadow.domain.errors import SpecError, StalePlanError, UnknownNameError
from foreshadow.domain.moves import Outcome, Plan, Seen, Switchover
from foreshadow.operations.context import Context
from foreshadow.operations.control import set_control
from foreshadow.operations.registry import register_resources


@pytest.fixture(autouse=True)
def _resources(context: Context) -> None:
    service = {"command": ["/opt/x"], "port": 8080}
    weights = {"load_similarity": 1, "network_proximity": 1, "availability": 2}
    register_resources(
        context,
        [
            {"name": "checkout", "primary": "edge-a", "service": service,
             "placement": {"weights": weights}},
            {"name": "search", "primary": "edge-b", "service": service},
        ],
    ).apply()  # fmt: skip


def _twice(context: Context, *args: Any, **options: Any) -> Change:
    """Put a decision in force, and prove that a second time there is nothing to do."""
    before = context.ledger.control()
    change = set_control(context, *args, **options)
    assert change.changed
    assert context.ledger.control() == before
    assert change.apply() == change.preview
    again = set_control(context, *args, **options)
    assert not again.changed
    assert again.preview == change.preview
    return change


def _plan(expires_in: float, at: WallTime) -> Plan:
    return Plan(
        "checkout", Seen("d", "edge-a", "edge-b", (), "frozen"), ("x",), (100,), 1.0, False, False,
        None, WallTime(at + expires_in),
    )  # fmt: skip


def _move(context: Context, at: float) -> None:
    ledger = context.ledger
    lease = ledger.acquire("checkout", "h:b:1:1", 60, lambda holder: True)
    moved = Switchover(
        f"s{at}", "checkout", "edge-a", "edge-b", _plan(1, WallTime(at)), lease.token, WallTime(at),
        outcome=Outcome.ROLLED_BACK, ended_at=WallTime(at + 1),
    )  # fmt: skip
    ledger.begin(lease, moved)


def test_all_and_one_are_paused_and_resumed_apart(context: Context) -> None:
    change = _twice(context, "paused")
    assert change.diff["before"]["control"]["paused"] is False
    assert change.diff["after"]["control"]["paused"] is True
    _twice(context, "paused", "checkout")
    _twice(context, "resumed")
    assert context.ledger.control().is_paused("checkout")
    assert not context.ledger.control().is_paused("search")
    _twice(context, "resumed", "checkout")
    assert not context.ledger.control().is_paused("checkout")


def test_a_plan_is_approved_while_it_holds(context: Context) -> None:
    fresh, stale = _plan(60, context.now()), _plan(0, context.now())
    context.ledger.put_plan(fresh)
    _twice(context, "approved", plan_id=fresh.id)
    assert context.ledger.control().approved == {fresh.id}
    context.ledger.put_plan(stale)
    with pytest.raises(StalePlanError, match=r"has expired at .*; plan again, and approve the new"):
        set_control(context, "approved", plan_id=stale.id)
    with pytest.raises(UnknownNameError, match="unknown plan nothing"):
        set_control(context, "approved", plan_id="nothing")


def test_what_happened_is_acknowledged_until_something_new_happens(context: Context) -> None:
    assert not set_control(context, "acknowledged", "checkout").changed
    _move(context, context.now() - 100)
    change = _twice(context, "acknowledged", "checkout")
    assert change.after["control"]["acknowledged"] == {"checkout": "2026-11-24T08:00:00Z"}
    _move(context, context.now() + 10)
    assert set_control(context, "acknowledged").changed


def test_a_flapping_resource_is_something_to_acknowledge(context: Context) -> None:
    context.ledger.record_decision(
        Decision(
            "d1", "search", MetricTime(5.0), WallTime(context.now() - 5), Verdict.BLOCKED,
            Trigger.FORECAST, ("to and fro",), blocked_by=(Block.FLAPPING,),
        )
    )  # fmt: skip
    change = _twice(context, "acknowledged")
    assert list(change.after["control"]["acknowledged"]) == ["search"]


def test_pinned_weights_sum_to_one_and_keep_what_is_written(context: Context) -> None:
    _twice(context, "pinned", "checkout", weights={"availability": 6})
    assert context.ledger.control().pinned_weights("checkout") == {
        "load_similarity": 0.125, "network_proximity": 0.125, "availability": 0.75,
    }  # fmt: skip
    _twice(context, "pinned", weights={"load_similarity": 1, "network_proximity": 0})
    pinned = context.ledger.control().pinned_weights("search")
    assert pinned is not None
    assert sum(pinned.values()) == pytest.approx(1.0)
    assert pinned["network_proximity"] == 0.0


def test_a_reset_forgets_pins_and_lessons_and_nothing_else(context: Context) -> None:
    ledger = context.ledger
    set_control(context, "paused").apply()
    for name in ("checkout", "search"):
        set_control(context, "pinned", name, weights={"availability": 1}).apply()
        ledger.put_learned_weights(name, {"availability": 0.6})
    ledger.put_pair_term("checkout", "edge-b", 0.5)
    change = _twice(context, "reset", "checkout")
    assert change.before["learned"] == {
        "checkout": {"weights": {"availability": 0.6}, "pair_terms": {"edge-b": 0.5}}
    }
    assert ledger.learned_weights("checkout") is None
    assert ledger.learned_weights("search") == {"availability": 0.6}
    assert set(ledger.control().pinned) == {"search"}
    _twice(context, "reset")
    assert ledger.learned_weights("search") is None
    assert ledger.control().paused


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            {"state": "pause"},
            ("control: unknown state pause; use one of paused, resumed, approved, acknowledged, "
            "reset, pinned"),
        ),
        (
            {"state": "approved"},
            "control, state approved: needs the plan to approve; give its plan_id",
        ),
        (
            {"state": "paused", "plan_id": "p"},
            "control, state paused: plan_id is for state approved; leave it out",
        ),
        (
            {"state": "approved", "plan_id": "p", "resource": "checkout"},
            "control, state approved: a plan belongs to its own resource; give plan_id alone",
        ),
        (
            {"state": "pinned"},
            "control, state pinned: needs weights; give such as {availability: 0.5}",
        ),
        (
            {"state": "reset", "weights": {"availability": 1}},
            "control, state reset: weights are for state pinned; leave them out",
        ),
        (
            {"state": "pinned", "weights": {"availabilty": 1}},
            "control, weights, availabilty: unknown key; did you mean availability?",
        ),
        (
            {"state": "pinned", "weights": {
                "availability": 0, "load_similarity": 0, "network_proximity": 0}},
            "control, weights: at least one weight must be more than zero",
        ),
        (
            {"state": "paused", "resource": "chekout"},
            "unknown resource chekout; did you mean checkout?",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_in_one_line(
    context: Context, arguments: dict[str, Any], line: str
) -> None:
    with pytest.raises(SpecError) as caught:
        set_control(context, **arguments)
    assert str(caught.value) == line
