"""The module's view of switchovers: what is shown, refused, done and left alone."""

from __future__ import annotations

from typing import Any, cast

import pytest

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.decision import Decision, Ranked, Trigger, Verdict
from foreshadow.domain.errors import RolledBackError, SpecError, UnknownNameError, UnreachableError
from foreshadow.domain.spec import ResourceSpec
from foreshadow.operations import switch_ports
from foreshadow.operations.context import Context
from foreshadow.operations.switch import SwitchRequest, recover, switch_over
from foreshadow.switchover.stage import Ports
from foreshadow.wire.access import Access
from tests.unit.switchover.agreement import assert_agreement
from tests.unit.switchover.controller import Controllers
from tests.unit.switchover.world import NAME, A, B, C, World, make_world, spec_of


class TickingWorld(World):
    """A world whose time passes whenever somebody looks at the clock."""

    def now(self) -> WallTime:
        self.at += 0.25
        return WallTime(self.at)


@pytest.fixture
def world() -> World:
    world = make_world(spec_of(policy={"steps": [100], "soak": 0, "drill_max_age": "1d"}))
    world.__class__ = TickingWorld
    return world


@pytest.fixture
def context(world: World, controllers: Controllers, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Give a context whose ports lead into the world in memory."""

    def ports(_context: Context, _spec: ResourceSpec) -> Ports:
        return controllers.ports()

    monkeypatch.setattr(switch_ports, "ports", ports)
    return Context(controllers.ledger, cast("Access", None), world.now)


def ask(context: Context, **request: Any) -> dict[str, Any]:
    change = switch_over(context, SwitchRequest(resource=NAME, **request))
    return dict(change.apply()["switchover"])


def preview(context: Context, **request: Any) -> dict[str, Any]:
    change = switch_over(context, SwitchRequest(resource=NAME, **request))
    return dict(change.preview["switchover"])


def decide(context: Context, verdict: Verdict = Verdict.SWITCH, **changes: Any) -> str:
    """Record a decision to move to B, and return its id."""
    at = context.now()
    values: dict[str, Any] = {
        "id": "d1",
        "resource": NAME,
        "at": MetricTime(float(at)),
        "decided_at": at,
        "verdict": verdict,
        "trigger": Trigger.FORECAST,
        "reasons": ("utilization will pass 80 % in 20 min",),
        "destination": Ranked(B, 0.8),
    }
    context.ledger.record_decision(Decision(**values | changes))
    return "d1"


def test_check_mode_shows_the_plan_and_changes_nothing(
    context: Context, controllers: Controllers
) -> None:
    change = switch_over(context, SwitchRequest(resource=NAME, to=B))
    assert change.diff == {
        "before": {"primary": A, "unfinished": []},
        "after": {"primary": B, "unfinished": []},
    }
    shown = change.preview["switchover"]
    assert (shown["outcome"], shown["source"], shown["destination"]) == ("planned", A, B)
    assert_agreement(controllers, A)
    assert context.ledger.switchovers(NAME) == ()


def test_a_plan_has_the_same_id_in_check_mode_and_is_stored_once(context: Context) -> None:
    shown = preview(context, to=B, state="planned")
    with pytest.raises(UnknownNameError):
        context.ledger.plan(shown["plan"]["id"])
    stored = ask(context, to=B, state="planned")
    assert stored["plan"]["id"] == shown["plan"]["id"]
    again = switch_over(context, SwitchRequest(resource=NAME, to=B, state="planned"))
    assert not again.changed


def test_a_stored_plan_is_applied_once(context: Context, controllers: Controllers) -> None:
    plan_id = ask(context, to=B, state="planned")["plan"]["id"]
    moved = ask(context, plan_id=plan_id)
    assert (moved["outcome"], moved["plan"]["id"]) == ("switched", plan_id)
    assert_agreement(controllers, B)
    assert ask(context, plan_id=plan_id)["outcome"] == "unchanged"


def test_a_stored_plan_of_another_world_is_refused(
    context: Context, controllers: Controllers
) -> None:
    plan_id = ask(context, to=B, state="planned")["plan"]["id"]
    changed = spec_of(policy={"steps": [20, 100], "soak": 0})
    context.ledger.put_resource(changed)
    refused = ask(context, plan_id=plan_id)
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["drift"])
    assert "changed since it was made: spec" in refused["error"]
    assert_agreement(controllers, A)


def test_there_and_reversed(context: Context, controllers: Controllers) -> None:
    there = ask(context, to=B)
    back = ask(context, state="reversed", switchover_id=there["id"])
    assert (back["outcome"], back["source"], back["destination"]) == ("reversed", B, A)
    assert_agreement(controllers, A)
    again = switch_over(
        context, SwitchRequest(resource=NAME, state="reversed", switchover_id=there["id"])
    )
    assert not again.changed


def test_reversing_what_others_moved_on_from_is_refused(context: Context) -> None:
    there = ask(context, to=B)
    ask(context, to=C)
    refused = ask(context, state="reversed", switchover_id=there["id"])
    assert refused["outcome"] == "refused"
    assert "moved on to edge-c" in refused["error"]


def test_a_drill_goes_and_comes_back_once_in_its_age(
    context: Context, controllers: Controllers, world: World
) -> None:
    drilled = ask(context, to=B, drill=True)
    assert (drilled["outcome"], drilled["destination"]) == ("reversed", B)
    assert drilled["rto_seconds"] > 0
    assert drilled["back"]["destination"] == A
    assert_agreement(controllers, A)
    again = switch_over(context, SwitchRequest(resource=NAME, to=B, drill=True))
    assert not again.changed
    assert again.preview["switchover"]["outcome"] == "unchanged"
    world.at += 86400
    assert ask(context, to=B, drill=True)["outcome"] == "reversed"


def test_a_drill_that_did_not_come_back_only_comes_back(
    context: Context, controllers: Controllers, world: World
) -> None:
    def lose_the_way_back(event: str) -> None:
        if event == f"activate {A}":
            world.machines[A].healthy = False
            world.before_event = lambda _: None

    world.before_event = lose_the_way_back
    with pytest.raises(Exception, match="never passed its health check"):
        ask(context, to=B, drill=True)
    world.machines[A].healthy = True
    assert context.ledger.primary(NAME) == B
    change = switch_over(context, SwitchRequest(resource=NAME, to=B, drill=True))
    assert (change.before["primary"], change.after["primary"]) == (B, A)
    assert change.apply()["switchover"]["back"]["destination"] == A
    assert_agreement(controllers, A)


def test_a_pause_refuses_everything(context: Context, controllers: Controllers) -> None:
    context.ledger.change_control(lambda control: control.pause(NAME))
    refused = ask(context, to=B)
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["paused"])
    assert not switch_over(context, SwitchRequest(resource=NAME, to=B)).changed
    assert_agreement(controllers, A)


def test_a_pause_that_comes_after_the_plan_is_seen_under_the_lease(
    context: Context, controllers: Controllers
) -> None:
    change = switch_over(context, SwitchRequest(resource=NAME, to=B))
    context.ledger.change_control(lambda control: control.pause(None))
    refused = change.apply()["switchover"]
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["paused"])
    assert_agreement(controllers, A)


def test_the_lease_is_as_long_as_the_context_says(
    context: Context, world: World, controllers: Controllers
) -> None:
    context.lease_seconds = 2.5
    held: list[float] = []

    def look(_event: str) -> None:
        lease = controllers.ledger.lease(NAME)
        assert lease is not None
        held.append(lease.expires_at - world.now())

    world.before_event = look
    assert ask(context, to=B)["outcome"] == "switched"
    assert held
    assert all(left <= 2.5 for left in held)
    assert max(held) > 1


def test_a_decision_that_says_stay_is_refused(context: Context) -> None:
    refused = ask(context, decision_id=decide(context, Verdict.STAY, destination=None))
    assert refused["outcome"] == "refused"
    assert "its verdict is stay" in refused["error"]


def test_an_old_decision_is_refused(context: Context, world: World) -> None:
    decide(context)
    world.at += 1000
    refused = ask(context, decision_id="d1")
    assert refused["outcome"] == "refused"
    assert "old; evaluate the resource again" in refused["error"]


def test_what_was_left_is_ended_before_the_next_move(
    context: Context, controllers: Controllers
) -> None:
    assert controllers.dies(25, B)
    controllers.world.at += 60
    (left,) = context.ledger.unfinished(NAME)
    planned = ask(context, to=B, state="planned")
    assert (planned["outcome"], planned["refused_by"]) == ("refused", ["in_progress"])
    change = switch_over(context, SwitchRequest(resource=NAME, to=B))
    assert change.before["unfinished"] == [left.id]
    result = change.apply()
    assert [one["id"] for one in result["recovered"]] == [left.id]
    assert result["switchover"]["outcome"] == "switched"
    assert_agreement(controllers, B)


def test_recovering_with_nothing_to_do_changes_nothing(context: Context) -> None:
    every = recover(context)
    assert (every.changed, every.preview) == (False, {"switchovers": []})
    one = recover(context, NAME)
    assert not one.changed
    assert one.preview["switchover"]["outcome"] == "unchanged"


def test_recovering_tells_the_direction(context: Context, controllers: Controllers) -> None:
    assert controllers.dies(25, B)
    assert not recover(context).changed, "its lease still runs: it may be alive elsewhere"
    controllers.world.at += 60
    change = recover(context)
    assert change.changed
    (ended,) = change.apply()["switchovers"]
    assert (ended["outcome"], ended["direction"]) == ("recovered", "undone")
    assert_agreement(controllers, A)


def test_somebody_else_at_work_is_named(context: Context) -> None:
    lease = context.ledger.acquire(NAME, "ctl-7:boot:42:1", 60, lambda _: False)
    refused = ask(context, to=B)
    assert (refused["outcome"], refused["refused_by"]) == ("refused", ["in_progress"])
    assert "ctl-7" in refused["error"]
    context.ledger.release(lease)


def test_a_director_that_does_not_answer_is_an_error(context: Context, world: World) -> None:
    world.servers["single"][0].reachable = False
    with pytest.raises(UnreachableError, match="lb-3"):
        ask(context, to=B)


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"to": "edge-x"}, "unknown host edge-x; did you mean edge-"),
        ({"plan_id": "p"}, "unknown plan p"),
        ({"decision_id": "d"}, "unknown decision d"),
        ({"state": "reversed", "switchover_id": "s"}, "unknown switchover s"),
        ({"state": "reversed"}, "takes switchover_id"),
        ({}, "exactly one of to, plan_id and decision_id"),
        ({"state": "recovered", "to": B}, "state recovered: does not heed to; leave that out"),
        ({"state": "recovered", "plan_id": "p", "drill": True}, "heed plan_id and drill"),
        ({"state": "recovered", "failover": True}, "does not heed failover"),
        ({"to": B, "plan_id": "p"}, "exactly one of to, plan_id and decision_id"),
    ],
)
def test_a_request_that_does_not_fit_is_one_line(
    context: Context, request_: dict[str, Any], told: str
) -> None:
    with pytest.raises(SpecError, match=told) as caught:
        ask(context, **request_)
    assert "\n" not in str(caught.value)


def test_a_resource_without_directors_cannot_be_moved(context: Context) -> None:
    context.ledger.put_resource(spec_of(directors=[]))
    with pytest.raises(SpecError, match="has no director"):
        ask(context, to=B)


def test_a_move_that_was_rolled_back_tells_how_it_ended(
    context: Context, controllers: Controllers, world: World
) -> None:
    world.machines[B].healthy = False
    with pytest.raises(RolledBackError) as caught:
        ask(context, to=B)
    ended = caught.value.details()["switchover"]
    assert isinstance(ended, dict)
    assert (ended["outcome"], ended["pivoted"], ended["refused_by"]) == ("rolled_back", False, [])
    assert "never passed its health check" in ended["error"]
    assert ended["steps"][-1]["name"] == "activate"
    assert_agreement(controllers, A)


def test_a_drill_brings_its_home_up_to_date_before_it_comes_back(
    context: Context, controllers: Controllers, world: World
) -> None:
    """Right after the way there nothing has been received at home that the way back could use."""
    world.events.clear()
    assert ask(context, to=B, drill=True)["outcome"] == "reversed"
    sent = [event for event in world.events if event.startswith("send ")]
    there = world.events.index(f"schedule {B} to {A}, {C}")
    assert sent == [f"send {A} to {B}", f"send {B} to {A}", f"send {B} to {A}"]
    assert there < world.events.index(f"send {B} to {A}") < world.events.index(f"activate {A}")
    assert_agreement(controllers, A)
