"""Who may move a resource, and when: a person, a decision, an approved plan."""

from __future__ import annotations

from typing import Any

import pytest

from foreshadow.domain.clock import MetricTime, isoformat
from foreshadow.domain.control import Control
from foreshadow.domain.decision import Block, Verdict
from foreshadow.domain.fleet import parse_host
from foreshadow.operations import standing
from foreshadow.operations.context import Context
from foreshadow.operations.expected import Expected, keep_expected
from foreshadow.operations.switch import SwitchRequest, switch_over
from foreshadow.policy.failure_domains import Machine
from tests.unit.operations.metered import Canned
from tests.unit.switchover.agreement import assert_agreement
from tests.unit.switchover.controller import Controllers
from tests.unit.switchover.test_operation import ask, context, decide, world
from tests.unit.switchover.world import NAME, A, B, C, World, spec_of

__all__ = ["context", "world"]


def allow(context: Context, mode: str, **policy: Any) -> None:
    policy = {"mode": mode, "steps": [100], "soak": 0, "drill_max_age": None, **policy}
    context.ledger.put_resource(spec_of(policy=policy))


def test_a_decision_moves_in_automatic_mode(context: Context, controllers: Controllers) -> None:
    allow(context, "automatic")
    moved = ask(context, decision_id=decide(context))
    assert (moved["outcome"], moved["decision_id"]) == ("switched", "d1")
    assert_agreement(controllers, B)
    assert ask(context, decision_id="d1")["outcome"] == "unchanged"


def test_a_decision_moves_nothing_where_only_forecasts_are_asked_for(context: Context) -> None:
    allow(context, "forecast_only")
    refused = ask(context, decision_id=decide(context))
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["mode"])


def test_in_manual_mode_a_person_approves_the_plan(
    context: Context, controllers: Controllers
) -> None:
    allow(context, "manual")
    decide(context, Verdict.BLOCKED, blocked_by=(Block.MODE,))
    assert ask(context, decision_id="d1")["outcome"] == "refused"
    plan_id = ask(context, decision_id="d1", state="planned")["plan"]["id"]
    refused = ask(context, plan_id=plan_id)
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["mode"])
    context.ledger.change_control(lambda control: control.approve(plan_id))
    moved = ask(context, plan_id=plan_id)
    assert (moved["outcome"], moved["decision_id"]) == ("switched", "d1")
    assert_agreement(controllers, B)


def test_a_cooldown_holds_decisions_back_and_not_persons(context: Context) -> None:
    allow(context, "automatic", cooldown="1h")
    ask(context, to=C)
    refused = ask(context, decision_id=decide(context))
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["cooldown"])
    assert ask(context, to=B)["outcome"] == "switched"


NEVER = {"from": "2040-01-01", "to": "2040-01-02"}
ALWAYS = {"from": "00:00", "to": "24:00", "reason": "the fair"}


@pytest.mark.parametrize("policy", [{"windows": [NEVER]}, {"blackouts": [ALWAYS]}])
def test_a_closed_window_holds_back_decisions_and_drills_and_not_persons(
    context: Context, controllers: Controllers, policy: dict[str, Any]
) -> None:
    allow(context, "automatic", **policy)
    refused = ask(context, decision_id=decide(context))
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["window"])
    drill = ask(context, to=B, drill=True)
    assert (drill["outcome"], drill["refused_by"]) == ("refused", ["window"])
    assert_agreement(controllers, A)
    assert ask(context, to=B)["outcome"] == "switched"


def test_a_planned_event_is_a_blackout(context: Context) -> None:
    policy = {"mode": "automatic", "steps": [100], "soak": 0, "drill_max_age": None}
    context.ledger.put_resource(spec_of(policy=policy, events=[{"kind": "blackout", **ALWAYS}]))
    refused = ask(context, decision_id=decide(context))
    assert refused["refused_by"] == ["window"]
    assert "a blackout holds (the fair)" in refused["error"]


def test_a_window_that_closes_after_the_plan_is_seen_under_the_lease(
    context: Context, controllers: Controllers, world: World
) -> None:
    soon = {"from": isoformat(world.at + 100), "to": isoformat(world.at + 500)}
    allow(context, "automatic", blackouts=[soon])
    change = switch_over(context, SwitchRequest(resource=NAME, decision_id=decide(context)))
    world.at += 100
    refused = change.apply()["switchover"]
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["window"])
    assert_agreement(controllers, A)


def test_a_decision_goes_only_where_a_drill_has_been(context: Context, world: World) -> None:
    allow(context, "automatic", drill_max_age="1d")
    refused = ask(context, decision_id=decide(context))
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["drill"])
    assert ask(context, to=B, drill=True)["outcome"] == "reversed"
    assert ask(context, decision_id="d1")["outcome"] == "switched"


def test_what_is_forecast_counts_at_the_destination(
    context: Context, controllers: Controllers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Context, "source", lambda *_: Canned({(NAME, "rps"): lambda at: 20.0}, broken=False)
    )
    demand = {"rate": {"query": "rps", "unit": "per_second"}}
    spec = spec_of(metrics={"sources": [{"kind": "canned"}], "step": "60s", "demand": demand})
    context.ledger.put_resource(spec)
    small = {"name": B, "address": "127.0.0.1", "capacity": {"rate": 50}}
    context.ledger.put_host(parse_host(small))
    assert ask(context, to=B, state="planned")["outcome"] == "planned"
    keep_expected(context, [Expected(spec.name, MetricTime(context.now()), 1800.0, {"rate": 70.0})])
    refused = ask(context, to=B)
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["capacity"])
    assert "would need 70 requests/s of rate within the horizon" in refused["error"]
    assert_agreement(controllers, A)


def test_a_machine_in_trouble_is_no_destination_and_a_dead_source_cannot_choose(
    context: Context, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    def hot(*_: object) -> dict[str, Machine]:
        return {A: Machine(A, "north"), B: Machine(B, "north", "its machine has cpu at 0.97")}

    monkeypatch.setattr(standing, "machines", hot)
    refused = ask(context, to=B)
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["no_benefit"])
    assert "edge-b is in trouble itself" in refused["error"]
    world.machines[A].healthy = False
    assert ask(context, to=B, failover=True)["outcome"] == "switched"


def test_a_drill_starts_no_cooldown(context: Context) -> None:
    allow(context, "automatic", cooldown="1h")
    ask(context, to=B, drill=True)
    assert ask(context, decision_id=decide(context))["outcome"] == "switched"


def test_a_destination_without_room_is_refused(
    context: Context, controllers: Controllers, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = {(NAME, "rps"): lambda at: 90.0 + at % 2}
    monkeypatch.setattr(Context, "source", lambda *_: Canned(curves, broken=False))
    context.ledger.put_resource(
        spec_of(
            metrics={
                "sources": [{"kind": "canned"}],
                "step": "60s",
                "demand": {"rate": {"query": "rps", "unit": "per_second"}},
            }
        )
    )
    small = {"name": B, "address": "127.0.0.1", "capacity": {"rate": 50}}
    context.ledger.put_host(parse_host(small))
    refused = ask(context, to=B)
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["capacity"])
    assert (
        "edge-b would need 90 requests/s of rate within the horizon, and has 50 requests/s"
        in refused["error"]
    )
    assert_agreement(controllers, A)
    context.ledger.put_host(parse_host({**small, "capacity": {"rate": 100}}))
    assert ask(context, to=B, state="planned")["outcome"] == "planned"


def test_approval_is_of_one_plan(context: Context) -> None:
    allow(context, "manual")
    decide(context, Verdict.BLOCKED, blocked_by=(Block.MODE,))
    context.ledger.put_control(Control(approved=frozenset({"another"})))
    plan_id = ask(context, decision_id="d1", state="planned")["plan"]["id"]
    assert ask(context, plan_id=plan_id)["outcome"] == "refused"
