"""How a switchover ends when something goes wrong, and what is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from foreshadow.domain.errors import (
    FencedError,
    RefusedError,
    RolledBackError,
    StalePlanError,
    UnreachableError,
)
from foreshadow.domain.fleet import Instance, Role, RunState
from foreshadow.domain.moves import Outcome, StepState
from foreshadow.switchover.engine import UnfinishedError
from tests.unit.switchover.agreement import assert_agreement
from tests.unit.switchover.controller import Controllers
from tests.unit.switchover.world import (
    NAME,
    A,
    B,
    C,
    FakeInstances,
    World,
    make_world,
    spec_of,
)

Make = Callable[[World], Controllers]


def at(label: str, action: Callable[[], None]) -> Callable[[str], None]:
    """Return a hook that acts once, just before the first event of this name."""
    left = [action]

    def hook(event: str) -> None:
        if event == label and left:
            left.pop()()

    return hook


def test_there_and_back(controllers: Controllers) -> None:
    there = controllers.switch(B)
    assert there.outcome is Outcome.SWITCHED
    assert there.error is None
    assert [step.name for step in there.steps] == list(there.plan.steps)
    assert all(step.state is StepState.DONE for step in there.steps)
    assert_agreement(controllers, B)
    controllers.switch(A)
    assert_agreement(controllers, A)


def test_figures_come_from_the_journal(controllers: Controllers) -> None:
    ended = controllers.switch(B)
    by_name = {step.name: step for step in ended.steps}
    moved = by_name["shift-100"].ended_at
    assert moved is not None
    assert ended.switch_ms == pytest.approx((moved - by_name["activate"].started_at) * 1000)
    assert ended.rto_seconds == pytest.approx(moved - ended.started_at)
    # Captured at the final delta; one second of soak for each of the two shifts, then the drain.
    assert ended.rpo_seconds == pytest.approx(by_name["commit"].started_at - ended.started_at)
    assert controllers.ledger.switchover(ended.id) == ended


def test_a_shadow_that_never_gets_well_leaves_everything_as_it_was(
    controllers: Controllers,
) -> None:
    controllers.world.machines[B].healthy = False
    with pytest.raises(RolledBackError, match="never passed its health check"):
        controllers.switch(B)
    assert_agreement(controllers, A)
    (ended,) = controllers.ledger.switchovers(NAME)
    assert ended.outcome is Outcome.ROLLED_BACK
    assert ended.error is not None
    assert "health check" in ended.error
    activate = next(step for step in ended.steps if step.name == "activate")
    assert activate.state is StepState.UNDONE
    assert "health check" in activate.detail, "the error stays readable after the undo"


def test_a_shadow_that_dies_while_it_soaks_gives_the_traffic_back(
    controllers: Controllers,
) -> None:
    world = controllers.world

    def die() -> None:
        world.machines[B].healthy = False

    world.before_event = at("journal soak-50 started", die)
    with pytest.raises(RolledBackError, match="under traffic"):
        controllers.switch(B)
    assert all(server.carried() == {A: 100} for server in world.all_servers())
    assert controllers.ledger.unfinished() == ()
    assert world.machines[B].role is Role.SHADOW


def test_what_hangs_at_a_frozen_shadow_does_not_hold_up_the_way_back(
    controllers: Controllers,
) -> None:
    world = controllers.world

    def freeze() -> None:
        world.machines[B].healthy = False
        world.machines[B].hanging = 7

    world.before_event = at("journal soak-100 started", freeze)
    with pytest.raises(RolledBackError, match="under traffic"):
        controllers.switch(B)
    assert {e for e in world.events if e.startswith("evict")} == {
        "evict edge-b on lb-1",
        "evict edge-b on lb-2",
        "evict edge-b on lb-3",
    }
    back = max(n for n, e in enumerate(world.events) if e.startswith("edge-a ready 100"))
    assert min(n for n, e in enumerate(world.events) if e.startswith("evict")) > back
    assert controllers.ledger.unfinished() == ()


def test_a_host_that_answers_is_left_to_work_off_what_it_has(controllers: Controllers) -> None:
    world = controllers.world
    world.machines[A].stuck = True
    with pytest.raises(RolledBackError, match="still has requests open"):
        controllers.switch(B)
    assert not [e for e in world.events if e.startswith("evict")]


def test_a_change_by_hand_while_it_soaks_turns_it_back(controllers: Controllers) -> None:
    world = controllers.world
    lines = world.servers["pair"][1].lines

    def meddle() -> None:
        lines[A], lines[B] = ("ready", 100), ("drain", 0)

    world.before_event = at("journal soak-50 started", meddle)
    with pytest.raises(
        RolledBackError, match="shows 100 % on edge-a where 50 % on edge-b, 50 % on edge-a was set"
    ):
        controllers.switch(B)
    assert_agreement(controllers, A)


def test_a_source_that_never_drains_keeps_the_traffic(controllers: Controllers) -> None:
    controllers.world.machines[A].stuck = True
    with pytest.raises(RolledBackError, match="still has requests open after 10s"):
        controllers.switch(B)
    assert_agreement(controllers, A)


def test_a_source_that_dies_under_way_is_not_gone_back_to(controllers: Controllers) -> None:
    world = controllers.world

    def both_fail() -> None:
        world.machines[A].healthy = False
        world.machines[A].reachable = False

    world.before_event = at("journal drain started", both_fail)
    ended = controllers.switch(B)
    assert ended.outcome is Outcome.SWITCHED
    assert ended.error is not None
    assert "no longer serves" in ended.error
    assert all(server.carried() == {B: 100} for server in world.all_servers())
    assert controllers.ledger.primary(NAME) == B
    assert controllers.ledger.unfinished() == ()
    (gone,) = controllers.ledger.instances(resource=NAME, host=A)
    assert (gone.role, gone.state) == (Role.SHADOW, RunState.FAILED)


def test_a_director_that_does_not_answer_in_the_undo_leaves_the_rest_for_recovery(
    controllers: Controllers,
) -> None:
    world = controllers.world
    lost = world.servers["single"][0]

    def lose() -> None:
        lost.reachable = False

    world.before_event = at("journal soak-50 started", lose)
    with pytest.raises(UnfinishedError, match="lb-3"):
        controllers.switch(B)
    assert world.violations == []
    assert world.machines[B].state is RunState.RUNNING, "the lost director may still send to it"
    assert len(controllers.ledger.unfinished()) == 1
    with pytest.raises(UnfinishedError, match="lb-3"):
        controllers.recover()
    lost.reachable = True
    assert [ended.direction for ended in controllers.recover()] == ["undone"]
    assert_agreement(controllers, A)


def test_a_moment_of_silence_does_not_mean_that_nothing_is_open(
    controllers: Controllers, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, ask = controllers.world, FakeInstances.in_flight
    silences = [B]

    def in_flight(driver: FakeInstances, resource: str) -> int:
        if world.in_flight(driver.machine.name) and driver.machine.name in silences:
            silences.remove(driver.machine.name)
            raise UnreachableError("does not answer", where=f"host {driver.machine.name}")
        return ask(driver, resource)

    monkeypatch.setattr(FakeInstances, "in_flight", in_flight)
    world.before_event = at("journal soak-100 started", controllers.stop.ask)
    with pytest.raises(RolledBackError, match="stopped on request"):
        controllers.switch(B)
    assert not silences, "it was silent while a request was open"
    assert_agreement(controllers, A)


def test_a_moment_of_silence_at_the_end_is_no_failure(
    controllers: Controllers, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, get = controllers.world, FakeInstances.get
    silences = [A, A]

    def seen(driver: FakeInstances, resource: str) -> Instance | None:
        if world.events and "journal resync done" in world.events and silences:
            silences.pop()
            raise UnreachableError("does not answer", where=f"host {driver.machine.name}")
        return get(driver, resource)

    monkeypatch.setattr(FakeInstances, "get", seen)
    assert controllers.switch(B).outcome is Outcome.SWITCHED
    assert not silences
    assert_agreement(controllers, B)


def test_what_somebody_changed_after_the_commit_is_put_right_and_told(
    controllers: Controllers,
) -> None:
    world = controllers.world
    lines = world.servers["pair"][1].lines

    def meddle() -> None:
        lines[A], lines[B] = ("ready", 100), ("drain", 0)

    world.before_event = at("journal retire started", meddle)
    ended = controllers.switch(B)
    retire = next(step for step in ended.steps if step.name == "retire")
    assert "lb-2 showed 100 % on edge-a, which was put right" in retire.detail
    assert_agreement(controllers, B)


def test_what_is_left_after_the_commit_is_done_by_recovery(controllers: Controllers) -> None:
    world = controllers.world

    def leave() -> None:
        world.machines[A].reachable = False

    world.before_event = at("journal demote started", leave)
    ended = controllers.switch(B)
    assert ended.outcome is None
    assert ended.pivoted
    assert ended.error is not None
    assert "demote" in ended.error
    assert "freeze waits" in ended.error
    world.machines[A].reachable = True
    (recovered,) = controllers.recover()
    assert recovered.outcome is Outcome.RECOVERED
    assert recovered.direction == "finished"
    assert_agreement(controllers, B)


def test_a_host_that_stays_away_does_not_hold_up_a_recovery(controllers: Controllers) -> None:
    world = controllers.world

    def leave() -> None:
        world.machines[A].reachable = False

    world.before_event = at("journal demote started", leave)
    controllers.switch(B)
    (recovered,) = controllers.recover()
    assert recovered.outcome is Outcome.RECOVERED
    assert recovered.error is not None
    assert "freeze was left out" in recovered.error
    # The resource can move on without it.
    assert controllers.switch(C).outcome is Outcome.SWITCHED
    assert controllers.ledger.primary(NAME) == C


def test_a_host_that_falls_silent_once_all_is_done_is_not_taken_for_failed(
    controllers: Controllers,
) -> None:
    """Its agent is busy or frozen for a moment: what it was told last is what it runs."""
    machine = controllers.world.machines[A]
    controllers.world.before_event = at(
        "journal resync done", lambda: setattr(machine, "reachable", False)
    )
    assert controllers.switch(B).outcome is Outcome.SWITCHED
    machine.reachable = True
    assert_agreement(controllers, B)


def test_a_director_that_reverted_after_the_crash_is_put_right(controllers: Controllers) -> None:
    world = controllers.world
    controllers.switch(B)
    controllers.switch(A)
    point = world.events.index("journal retire started")
    world.events.clear()
    assert controllers.dies(point, B)
    reverted = world.servers["pair"][0].lines
    reverted[A], reverted[B] = ("ready", 100), ("maint", 0)
    world.machines[A].left_at = world.at
    controllers.recover()
    assert_agreement(controllers, B)


class TestRefusals:
    def refused(self, controllers: Controllers, **kwargs: bool) -> str:
        plan = controllers.plan(B, **kwargs)
        before = list(controllers.world.events)
        with pytest.raises(RefusedError) as caught:
            controllers.run(plan)
        acted = [e for e in controllers.world.events[len(before) :] if "journal" not in e]
        assert acted == [], "a refusal does nothing"
        (ended,) = controllers.ledger.switchovers(NAME)
        assert ended.outcome is Outcome.REFUSED
        return str(caught.value)

    def test_a_shadow_that_does_not_rest(self, controllers: Controllers) -> None:
        controllers.world.machines[B].state = RunState.STOPPED
        assert "warm shadow on edge-b is stopped" in self.refused(controllers)

    def test_a_dead_primary_without_failover(self, controllers: Controllers) -> None:
        controllers.world.machines[A].healthy = False
        assert "use failover" in self.refused(controllers)

    def test_a_director_that_shows_something_else(self, controllers: Controllers) -> None:
        controllers.world.servers["single"][0].lines[C] = ("ready", 100)
        said = self.refused(controllers)
        assert "lb-3 sends traffic to edge-a 50 %, edge-c 50 %" in said
        assert "the ledger believes edge-a has all of it" in said

    def test_two_primaries(self, controllers: Controllers) -> None:
        controllers.world.machines[B].role = Role.PRIMARY
        assert "edge-b believes that it is the primary" in self.refused(controllers)

    def test_an_old_plan(self, controllers: Controllers) -> None:
        plan = controllers.plan(B)
        controllers.world.at += 901
        with pytest.raises(StalePlanError, match="expired"):
            controllers.run(plan)

    def test_a_plan_of_another_world(self, controllers: Controllers) -> None:
        plan = controllers.plan(B)
        controllers.world.spec = spec_of(policy={"steps": [100], "soak": 1})
        with pytest.raises(StalePlanError, match="changed since it was made: spec"):
            controllers.run(plan)


def test_failover_moves_off_a_dead_host(controllers: Controllers) -> None:
    world = controllers.world
    world.machines[A].healthy = False
    world.machines[A].reachable = False
    ended = controllers.switch(B, failover=True)
    assert ended.outcome is Outcome.SWITCHED
    assert ended.plan.weights == (100,)
    sync = next(step for step in ended.steps if step.name == "sync")
    assert "no final delta" in sync.detail
    assert "1s old" in sync.detail
    assert ended.error is not None
    assert "demote was left out" in ended.error
    assert ended.rpo_seconds == pytest.approx(world.at - ended.started_at + 1, abs=5)
    assert controllers.ledger.primary(NAME) == B
    assert all(server.carried() == {B: 100} for server in world.all_servers())


def test_asked_to_stop_before_the_commit_it_goes_back_within_five_seconds(
    controllers: Controllers,
) -> None:
    world = controllers.world
    asked: list[float] = []

    def ask() -> None:
        asked.append(world.at)
        controllers.stop.ask()

    world.before_event = at("journal soak-100 started", ask)
    with pytest.raises(RolledBackError, match="stopped on request"):
        controllers.switch(B)
    assert world.at - asked[0] < 5
    assert_agreement(controllers, A)


def test_asked_to_stop_it_takes_no_further_step(new_controllers: Make) -> None:
    controllers = new_controllers(make_world(spec_of(policy={"steps": [100], "soak": 0})))
    world = controllers.world
    world.before_event = at("journal activate done", controllers.stop.ask)
    with pytest.raises(RolledBackError, match="stopped on request"):
        controllers.switch(B)
    assert f"promote {B}" not in world.events
    assert_agreement(controllers, A)


def test_asked_to_stop_after_the_commit_it_leaves_the_rest_to_recovery(
    controllers: Controllers,
) -> None:
    world = controllers.world
    world.before_event = at("journal commit done", controllers.stop.ask)
    ended = controllers.switch(B)
    assert (ended.outcome, ended.pivoted) == (None, True)
    controllers.stop.asked_at = None
    controllers.recover()
    assert_agreement(controllers, B)


def test_a_controller_that_slept_past_its_lease_does_nothing(controllers: Controllers) -> None:
    world = controllers.world

    def oversleep() -> None:
        world.before_event = lambda _: None
        world.at += 60
        # Meanwhile another one finds the lease run out, and undoes what was left.
        assert [ended.direction for ended in controllers.recover()] == ["undone"]
        world.events.clear()

    world.before_event = at("journal shift-50 started", oversleep)
    with pytest.raises(FencedError):
        controllers.switch(B)
    assert world.events == ["journal shift-50 started"], (
        "its write was refused, and it acted no more"
    )
    assert_agreement(controllers, A)


def test_a_late_action_is_refused_by_agents_and_directors(controllers: Controllers) -> None:
    world = controllers.world
    ports = controllers.ports()
    controllers.switch(B)
    late = world.machines[B].token - 1
    with pytest.raises(FencedError):
        ports.instances(B).freeze(world.spec, world.machines[B].mode, late)
    with pytest.raises(FencedError):
        ports.directors[0].apply({A: 100}, late)


def test_a_recovery_fences_directors_first_for_it_may_have_nothing_to_change_there(
    new_controllers: Make,
) -> None:
    rehearsal = new_controllers(make_world())
    rehearsal.switch(B)
    controllers = new_controllers(make_world())
    assert controllers.dies(rehearsal.world.events.index("journal admit started") + 1, B)
    (left,) = controllers.ledger.unfinished(NAME)
    world = controllers.world
    world.events.clear()
    assert controllers.recover()
    assert_agreement(controllers, A)
    fenced = [f"fence on {server.name}" for server in world.all_servers()]
    acted = [event for event in world.events if "journal" not in event]
    assert acted[: len(fenced)] == fenced
    for director in controllers.ports().directors:
        with pytest.raises(FencedError):
            director.admit(B, world.now(), left.token)
    assert_agreement(controllers, A)


def test_a_demoted_hot_primary_leaves_the_checks_too(new_controllers: Make) -> None:
    world = make_world()
    for machine in world.machines.values():
        machine.mode = machine.mode.HOT
        machine.state = RunState.RUNNING
    for server in world.all_servers():
        server.lines |= {B: ("drain", 0), C: ("drain", 0)}
    controllers = new_controllers(world)
    for name in (A, B, C):
        seen = controllers.ports().instances(name).get(NAME)
        assert seen is not None
        controllers.ledger.put_instance(seen)
    controllers.switch(B)
    assert [server.lines[A] for server in world.all_servers()] == [("maint", 0)] * 3


def test_a_resource_without_state_has_nothing_to_lose(new_controllers: Make) -> None:
    controllers = new_controllers(make_world(spec_of(state=[])))
    ended = controllers.switch(B)
    assert ended.rpo_seconds == 0.0
    assert not {"sync", "resync"} & {step.name for step in ended.steps}
