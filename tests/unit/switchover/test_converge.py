"""A handover of a name: everybody who may still come is served, and who followed when is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import RolledBackError, SpecError
from foreshadow.domain.moves import Outcome, StepState
from foreshadow.domain.protocols import Answer, CachingDirector
from foreshadow.switchover.converge import Vigil
from foreshadow.switchover.handover import require_holding
from foreshadow.switchover.pace import Pace
from tests.unit.switchover.agreement import assert_agreement
from tests.unit.switchover.controller import Controllers
from tests.unit.switchover.names import TTL, Keeper, NameDirector, NamedWorld, named_world
from tests.unit.switchover.test_engine import at
from tests.unit.switchover.world import A, B, World, pausing_spec

Make = Callable[[World], Controllers]


@pytest.fixture
def named() -> NamedWorld:
    return named_world()


def test_the_fake_is_a_director_whose_answers_are_cached(named: NamedWorld) -> None:
    assert isinstance(NameDirector(named), CachingDirector)


def test_the_source_serves_until_nobody_can_have_its_address(
    named: NamedWorld, new_controllers: Make
) -> None:
    controllers = new_controllers(named)
    began = named.at
    ended = controllers.switch(B)
    assert ended.outcome is Outcome.SWITCHED
    assert_agreement(controllers, B)
    assert named.name.host == B
    assert TTL <= named.at - began < TTL + 5.0


def test_a_sum_of_seconds_that_is_rounded_ends_no_progress(
    named: NamedWorld, new_controllers: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    controllers = new_controllers(named)
    plan = controllers.plan(B)
    # From here two seconds lead past a power of two: what is two seconds later is less than that.
    named.at = 1048575.7116111737
    assert named.at + 2.0 - named.at < 2.0
    pauses = iter(range(1000))
    monkeypatch.setattr(Pace, "sleep", lambda pace, seconds: _pass(named, seconds, next(pauses)))
    with controllers.keeper() as keeper:
        stage = controllers.stage(plan, keeper)
        driver = stage.at(B)
        driver.activate(stage.spec, stage.token)
        Vigil(stage).wait_until(named.at + 5.0, spacing=1e9)


def _pass(world: World, seconds: float, _: int) -> None:
    world.at += seconds


def test_who_followed_when_is_in_the_record(named: NamedWorld, new_controllers: Make) -> None:
    controllers = new_controllers(named)
    controllers.switch(B)
    ended = controllers.ledger.switchovers()[0]
    server, resolver = ended.convergence
    changed = named.name.changed_at
    assert (server.server, server.authoritative, server.converged_at) == ("ns1", True, changed)
    assert resolver.converged_at == changed + TTL - 1
    assert (resolver.authoritative, resolver.overstayed, resolver.ttl) == (False, 0.0, TTL)
    shown = ended.plain()["convergence"]
    assert [row["server"] for row in shown] == ["ns1", "resolver"]
    assert shown[0]["converged_at"].endswith("Z")


def test_a_single_record_moves_all_at_once(named: NamedWorld, new_controllers: Make) -> None:
    plan = new_controllers(named).plan(B)
    assert named.spec.policy.steps == (50, 100)
    assert plan.weights == (100,)
    assert plan.steps.index("verify") < plan.steps.index("converge") < plan.steps.index("drain")


def test_a_plan_without_names_waits_for_none(controllers: Controllers) -> None:
    plan = controllers.plan(B)
    assert "converge" not in plan.steps
    assert plan.weights == (50, 100)


def test_names_come_last_on_the_way_there_and_first_on_the_way_back(
    named: NamedWorld, new_controllers: Make
) -> None:
    controllers = new_controllers(named)
    named.before_event = at(
        "journal drain started", lambda: setattr(named.machines[A], "stuck", True)
    )
    with pytest.raises(RolledBackError):
        controllers.switch(B)
    events = named.events
    named_at, back_at = events.index(f"name leads to {B}"), events.index(f"name leads to {A}")
    for server in ("lb-1", "lb-2", "lb-3"):
        assert events.index(f"{B} ready 100 on {server}") < named_at
        assert events.index(f"admit {B} on {server}") < events.index(f"admit {B} by name")
        assert events.index(f"{B} drain on {server}") > back_at
        assert events.index(f"retire {B} on {server}") > events.index(f"retire {B} by name")
    assert_agreement(controllers, A)
    assert named.name.host == A


def test_on_the_way_back_the_destination_serves_as_long(
    named: NamedWorld, new_controllers: Make
) -> None:
    controllers = new_controllers(named)
    named.machines[A].stuck = True
    with pytest.raises(RolledBackError):
        controllers.switch(B)
    assert named.at >= named.name.changed_at + TTL
    assert_agreement(controllers, A)


def test_a_resolver_that_overstays_a_little_is_waited_for_and_named(
    named: NamedWorld, new_controllers: Make
) -> None:
    named.keepers[1].lag = TTL + 4
    controllers = new_controllers(named)
    ended = controllers.switch(B)
    (resolver,) = [row for row in ended.convergence if not row.authoritative]
    assert resolver.overstayed == pytest.approx(4.0, abs=0.5)
    detail = next(step.detail for step in ended.steps if step.name == "converge")
    assert "resolver resolver kept the old answer for" in detail


def test_a_resolver_that_overstays_too_long_is_named_and_the_move_undone(
    named: NamedWorld, new_controllers: Make
) -> None:
    named.keepers[1].lag = 10 * TTL
    controllers = new_controllers(named)
    named.before_event = at(
        "journal converge failed", lambda: setattr(named.keepers[1], "lag", 1.0)
    )
    with pytest.raises(RolledBackError, match="not followed by resolver; resolver resolver kept"):
        controllers.switch(B)
    assert_agreement(controllers, A)
    (step,) = [s for s in controllers.ledger.switchovers()[0].steps if s.name == "converge"]
    assert step.state is StepState.UNDONE
    assert [row.server for row in step.convergence if row.converged_at is None] == ["resolver"]


def test_a_failover_names_the_late_one_and_goes_on(
    named: NamedWorld, new_controllers: Make
) -> None:
    named.keepers[1].lag = 10 * TTL
    named.machines[A].healthy = named.machines[A].reachable = False
    for server in named.all_servers():
        server.lines[A] = ("drain", 0)
    named.violations.clear()
    controllers = new_controllers(named)
    named.before_event = at("journal drain started", lambda: setattr(named.keepers[1], "lag", 1.0))
    ended = controllers.switch(B, failover=True)
    assert ended.pivoted
    detail = next(step.detail for step in ended.steps if step.name == "converge")
    assert detail.startswith("not followed by resolver")


def test_a_resolver_that_does_not_answer_holds_nothing_up(
    named: NamedWorld, new_controllers: Make
) -> None:
    named.keepers.append(Keeper("gone", False, 0.0, silent=True))
    ended = new_controllers(named).switch(B)
    assert ended.outcome is Outcome.SWITCHED
    (gone,) = [row for row in ended.convergence if row.server == "gone"]
    assert (gone.converged_at, gone.problem) == (None, "does not answer")


def test_a_destination_that_falls_ill_meanwhile_is_left_again(
    named: NamedWorld, new_controllers: Make
) -> None:
    controllers = new_controllers(named)

    def fall_ill() -> None:
        named.violations.clear()
        named.machines[B].healthy = False

    named.before_event = at("journal converge started", fall_ill)
    with pytest.raises(RolledBackError, match="fails its health check under traffic"):
        controllers.switch(B)
    assert named.name.host == A


def test_the_longer_there_is_to_wait_the_less_is_asked(new_controllers: Make) -> None:
    asked = {}
    for ttl in (30.0, 300.0):
        world = named_world()
        world.name.ttl, world.keepers[1].lag = ttl, 0.0
        new_controllers(world).switch(B)
        asked[ttl] = world.name.reads
        assert world.name.looks <= world.name.reads + 1, "who answers what is no more work"
        assert ttl <= world.at - world.name.changed_at < ttl + 5.0
    assert asked[300.0] < 3 * asked[30.0]
    assert asked[300.0] < 300.0 / 4


@pytest.mark.parametrize("lag", [12.34, 149.87, 299.6])
def test_when_a_resolver_follows_is_known_to_a_second_at_any_time(
    lag: float, named: NamedWorld, new_controllers: Make
) -> None:
    named.name.ttl, named.keepers[1].lag = 300.0, lag
    director = NameDirector(named)
    director.answers = _first_seen(named, director.answers)  # type: ignore[method-assign]
    named.directors = lambda: (director, *World.directors(named))  # type: ignore[method-assign]
    ended = new_controllers(named).switch(B)
    (resolver,) = [row for row in ended.convergence if not row.authoritative]
    assert resolver.converged_at is not None
    assert 0.0 <= resolver.converged_at - (named.name.changed_at + lag) <= 1.0


def _first_seen(
    world: NamedWorld, answers: Callable[[], tuple[Answer, ...]]
) -> Callable[[], tuple[Answer, ...]]:
    """Date answers by when they were first seen, as whoever asks a real resolver has to."""
    seen: dict[str, tuple[tuple[str, ...], WallTime]] = {}

    def dated() -> tuple[Answer, ...]:
        found = []
        for answer in answers():
            if seen.get(answer.server, ((), 0.0))[0] != answer.hosts:
                seen[answer.server] = answer.hosts, world.now()
            found.append(replace(answer, since=seen[answer.server][1]))
        return tuple(found)

    return dated


def test_illness_is_noticed_soon_however_long_there_is_to_wait(
    named: NamedWorld, new_controllers: Make
) -> None:
    named.name.ttl, named.keepers[1].lag = 300.0, 0.0
    controllers = new_controllers(named)
    fell_ill = 0.0

    def fall_ill() -> None:
        nonlocal fell_ill
        named.violations.clear()
        fell_ill = named.at
        named.machines[B].healthy = False

    named.before_event = at("journal converge started", fall_ill)
    with pytest.raises(RolledBackError, match="fails its health check under traffic"):
        controllers.switch(B)
    assert 0.0 < named.name.changed_at - fell_ill < 4.0


def test_a_name_cannot_hold_requests(named: NamedWorld) -> None:
    with pytest.raises(SpecError, match="cannot hold requests"):
        require_holding(pausing_spec(), [NameDirector(named)])


def test_killed_anywhere_the_next_run_ends_it_and_nobody_meets_a_closed_door(
    new_controllers: Make,
) -> None:
    directions = set()
    for point in range(0, 1000, 2):
        world = named_world()
        controllers = new_controllers(world)
        if not controllers.dies(point, B):
            break
        directions |= {ended.direction for ended in controllers.recover()}
        primary = controllers.ledger.primary("checkout")
        assert_agreement(controllers, primary)
        assert world.name.host == primary
        assert controllers.recover() == []
    else:
        pytest.fail("it never came to its end")
    assert directions == {"finished", "undone"}
