"""A single writer is handed over: no acknowledged write is lost, wherever anything breaks."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from foreshadow.domain.errors import (
    LedgerError,
    RolledBackError,
    ServiceError,
    SpecError,
    UnreachableError,
)
from foreshadow.domain.fleet import Role
from foreshadow.domain.moves import Outcome, StepState
from foreshadow.switchover.engine import UnfinishedError
from foreshadow.switchover.handover import require_holding
from tests.unit.switchover.agreement import assert_agreement
from tests.unit.switchover.controller import Controllers
from tests.unit.switchover.world import (
    NAME,
    REQUEST_SECONDS,
    A,
    B,
    FakeDirector,
    Killed,
    World,
    make_world,
    pausing_spec,
    spec_of,
)

Make = Callable[[World], Controllers]


@pytest.fixture
def world() -> World:
    return make_world(pausing_spec())


def test_there_and_back(controllers: Controllers) -> None:
    there = controllers.switch(B)
    assert there.outcome is Outcome.SWITCHED
    assert there.plan.weights == (100,)
    assert {"handover", "deliver"} < {step.name for step in there.steps}
    assert there.pause_ms is not None
    assert 0 < there.pause_ms <= 5000
    assert_agreement(controllers, B)
    controllers.switch(A)
    assert_agreement(controllers, A)
    assert len(controllers.world.acknowledged) > 100


def test_steps_and_soak_are_forced() -> None:
    policy = pausing_spec(steps=[10, 50, 100], soak=10).policy
    assert (policy.steps, policy.soak) == ((100,), 0.0)


def test_it_needs_hooks_that_seal_and_unseal() -> None:
    with pytest.raises(SpecError, match=r"pause_writes needs service.hooks.fence"):
        spec_of(policy={"pause_writes": True})


def test_a_director_that_cannot_hold_is_refused(world: World) -> None:
    holds = FakeDirector(world, world.servers["pair"])
    with pytest.raises(SpecError, match="a director of kind single cannot hold requests"):
        require_holding(world.spec, [holds, object()])  # type: ignore[list-item]
    require_holding(world.spec, [holds, holds])


def test_killed_anywhere_no_acknowledged_write_is_lost(new_controllers: Make) -> None:
    directions = set()
    for point in range(1000):
        controllers = new_controllers(make_world(pausing_spec()))
        if not controllers.dies(point, B):
            break
        # The next run may come at once, or long after the hold has ended by itself.
        controllers.world.at += 60.0 * (point % 2)
        controllers.world.write()
        directions |= {one.direction for one in controllers.recover()}
        assert_agreement(controllers, controllers.ledger.primary(NAME))
    else:
        pytest.fail("it never came to its end")
    assert point > 55, "the enumeration has to reach every step"
    assert directions == {"finished", "undone"}


def test_recoveries_may_be_killed_too(new_controllers: Make) -> None:
    chance = random.Random(5)
    for _ in range(12):
        controllers = new_controllers(make_world(pausing_spec()))
        controllers.dies(chance.randrange(75), B)
        while controllers.ledger.unfinished():
            controllers.world.die_at = chance.randrange(40)
            try:
                controllers.recover()
            except Killed:
                controllers.bury()
            controllers.world.die_at = None
        assert_agreement(controllers, controllers.ledger.primary(NAME))


@pytest.mark.parametrize("promoted", [False, True], ids=["before", "after"])
def test_a_destination_that_falls_silent_does_not_keep_the_source_sealed(
    controllers: Controllers, promoted: bool
) -> None:
    world = controllers.world
    silent = world.machines[B]

    def fall_silent(label: str) -> None:
        if (
            label == ("journal pivot" if promoted else f"send {A} to {B}")
            and world.machines[A].sealed
        ):
            silent.reachable = False
            if promoted:
                raise LedgerError("does not answer")

    world.before_event = fall_silent
    with pytest.raises(UnfinishedError, match="edge-a writes again without edge-b"):
        controllers.switch(B)
    assert silent.role is (Role.PRIMARY if promoted else Role.SHADOW)
    assert_only_the_source_takes_writes(world)

    silent.reachable, world.before_event = True, lambda _: None
    (ended,) = controllers.recover()
    assert ended.direction == "undone"
    assert_agreement(controllers, A)


def test_a_source_stays_sealed_while_a_director_may_still_lead_to_the_silent_destination(
    controllers: Controllers,
) -> None:
    world = controllers.world
    lost = world.servers["single"][0]

    def fall_silent(label: str) -> None:
        if label == "journal pivot":
            world.machines[B].reachable = lost.reachable = False
            raise LedgerError("does not answer")

    world.before_event = fall_silent
    with pytest.raises(UnfinishedError, match="edge-a may still be sealed: lb-3"):
        controllers.switch(B)
    assert world.machines[A].sealed
    world.machines[B].reachable = lost.reachable = True
    world.before_event = lambda _: None
    controllers.recover()
    assert_agreement(controllers, A)


def test_a_destination_that_does_not_give_its_role_back_does_not_keep_the_source_sealed(
    controllers: Controllers,
) -> None:
    """Its hook ``fence`` fails: its agent answers, and it is the primary still."""
    world = controllers.world

    def fail(label: str) -> None:
        if label == "journal pivot":
            raise LedgerError("does not answer")
        if label == f"demote {B}":
            raise ServiceError("its hook fence failed with 1")

    world.before_event = fail
    with pytest.raises(UnfinishedError, match=r"hook fence .*; edge-a writes again without edge-b"):
        controllers.switch(B)
    assert world.machines[B].role is Role.PRIMARY
    assert_only_the_source_takes_writes(world)
    with pytest.raises(UnfinishedError, match="edge-a writes again without edge-b"):
        controllers.recover()
    assert_only_the_source_takes_writes(world)

    world.before_event = lambda _: None
    (ended,) = controllers.recover()
    assert ended.direction == "undone"
    assert_agreement(controllers, A)


@pytest.mark.parametrize("silent", [False, True], ids=["there", "silent"])
def test_nobody_leads_to_the_destination_when_a_recovery_lets_the_source_write(
    controllers: Controllers, silent: bool
) -> None:
    world = controllers.world
    led: list[set[tuple[str, int]]] = []

    def die(label: str) -> None:
        if label == "journal pivot":
            world.dead = True
            raise Killed

    def note(label: str) -> None:
        if label == f"unseal {A}":
            led.append({server.lines[B] for server in world.all_servers()})

    world.before_event = die
    with pytest.raises(Killed):
        controllers.switch(B)
    controllers.bury()
    assert world.machines[B].role is Role.PRIMARY
    world.machines[B].reachable = not silent
    world.before_event = note
    (ended,) = controllers.recover()
    assert ended.direction == "undone"
    assert led == [{("maint", 0)}]
    assert_only_the_source_takes_writes(world)


def test_a_director_that_does_not_follow_keeps_no_source_sealed_whose_destination_is_a_shadow(
    controllers: Controllers,
) -> None:
    world = controllers.world
    lost = world.servers["single"][0]

    def lose(label: str) -> None:
        if label == "journal pivot":
            lost.reachable = False
            raise LedgerError("does not answer")

    world.before_event = lose
    with pytest.raises(UnfinishedError, match="lb-3"):
        controllers.switch(B)
    assert world.machines[B].role is Role.SHADOW
    assert not world.machines[A].sealed
    lost.reachable, world.before_event = True, lambda _: None
    controllers.recover()
    assert_agreement(controllers, A)


def test_letting_the_source_write_is_tried_again(
    controllers: Controllers, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, retire = controllers.world, FakeDirector.retire
    failures = [1, 2, 3]

    def not_at_once(director: FakeDirector, host: str, token: int) -> None:
        if failures:
            failures.pop()
            raise UnreachableError("does not answer", where=director.servers[0].name)
        retire(director, host, token)

    def fall_silent(label: str) -> None:
        if label == "journal pivot":
            world.machines[B].reachable = False
            raise LedgerError("does not answer")

    monkeypatch.setattr(FakeDirector, "retire", not_at_once)
    world.before_event = fall_silent
    with pytest.raises(UnfinishedError, match="edge-a writes again without edge-b"):
        controllers.switch(B)
    assert not failures
    assert_only_the_source_takes_writes(world)


def assert_only_the_source_takes_writes(world: World) -> None:
    assert not world.machines[A].sealed
    assert {server.lines[B] for server in world.all_servers()} == {("maint", 0)}
    count, written = len(world.acknowledged), len(world.machines[B].written)
    world.write()
    assert len(world.acknowledged) == count + len(world.all_servers())
    assert len(world.machines[B].written) == written


def test_what_does_not_end_in_time_is_let_go(controllers: Controllers) -> None:
    controllers.world.machines[A].stuck = True
    with pytest.raises(RolledBackError, match="still has requests open"):
        controllers.switch(B)
    controllers.world.machines[A].stuck = False
    assert_agreement(controllers, A)


def test_a_hold_that_is_lost_on_the_way_costs_no_write(controllers: Controllers) -> None:
    world = controllers.world

    def reload(label: str) -> None:
        if label.startswith("seal"):
            for server in world.all_servers():
                server.held_until = 0.0

    world.before_event = reload
    assert controllers.switch(B).outcome is Outcome.SWITCHED
    assert_agreement(controllers, B)


def test_while_requests_are_held_the_ledger_is_waited_for_once(controllers: Controllers) -> None:
    moved = controllers.switch(B)
    events = controllers.world.events
    first = next(i for i, label in enumerate(events) if label.startswith("hold on"))
    last = max(i for i, label in enumerate(events) if label.startswith("release on"))
    held = events[first : last + 1]
    assert [label for label in held if label.startswith("journal")] == ["journal pivot"]
    assert "journal handover started" in events[:first]
    assert "journal promote started" in events[:first]
    written = controllers.ledger.switchover(moved.id).steps
    assert written == moved.steps
    assert {step.state for step in written} == {StepState.DONE}
    names = [step.name for step in written]
    assert names == list(moved.plan.steps)


def test_what_can_be_done_before_the_hold_is_done_before_it(controllers: Controllers) -> None:
    controllers.switch(B)
    events = controllers.world.events
    hold = next(i for i, label in enumerate(events) if label.startswith("hold on"))
    before, after = events[:hold], events[hold:]
    assert f"prepare {B}" in before
    assert before.index(f"schedule {A} to nobody") < len(before) - before[::-1].index(
        f"send {A} to {B}"
    )
    assert after.count(f"send {A} to {B}") == 1


def test_the_pause_is_from_the_hold_to_the_release(controllers: Controllers) -> None:
    world = controllers.world
    took = {"prepare": 3.0, "hold": 0.05, "promote": 0.5, "retire": 7.0}

    def pass_time(label: str) -> None:
        world.at += took.get(label.split()[0], 0.0)

    world.before_event = pass_time
    servers = len(world.all_servers())
    held = {"hold": servers, "promote": 1}
    moved = controllers.switch(B)
    assert moved.pause_ms is not None
    least = 1000 * sum(took[name] * count for name, count in held.items())
    # The requests that are in flight when the hold begins take their time too.
    assert least <= moved.pause_ms <= least + 1000 * (REQUEST_SECONDS + 0.2)


def test_a_promotion_that_fails_is_undone_and_the_source_writes_again(
    controllers: Controllers,
) -> None:
    world = controllers.world

    def break_down(label: str) -> None:
        if label == f"promote {B}":
            world.machines[B].healthy = False

    world.before_event = break_down
    with pytest.raises(RolledBackError, match="fails its health check"):
        controllers.switch(B)
    world.before_event = lambda _: None
    world.machines[B].healthy = True
    controllers.recover()
    assert_agreement(controllers, A)
    (undone,) = controllers.ledger.switchovers(NAME)
    states = {step.name: step.state for step in undone.steps}
    assert (states["handover"], states["promote"]) == (StepState.UNDONE, StepState.UNDONE)


def test_a_commit_that_the_ledger_refuses_is_undone(
    controllers: Controllers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise LedgerError("does not answer", where="ledger")

    monkeypatch.setattr(controllers.ledger, "pivot", away)
    with pytest.raises(RolledBackError, match="does not answer"):
        controllers.switch(B)
    monkeypatch.undo()
    assert_agreement(controllers, A)
    (undone,) = controllers.ledger.switchovers(NAME)
    assert not undone.pivoted
    assert {step.state for step in undone.steps} == {StepState.UNDONE, StepState.FAILED}
