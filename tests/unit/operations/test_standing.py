"""The facts for the guards, as the ledger and the directors have them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.decision import Ranked
from foreshadow.domain.errors import UnreachableError
from foreshadow.domain.fleet import Acknowledged, Instance, Role, RunState
from foreshadow.domain.moves import Lease, Outcome
from foreshadow.domain.protocols import Endpoint
from foreshadow.domain.spec import Mode, ResourceSpec
from foreshadow.ledger.holder import this_process
from foreshadow.operations.standing import candidates, facts_of
from tests.unit.operations.metered import Metered, add_hosts, open_metered, resource
from tests.unit.report.samples import switchover


@pytest.fixture
def spec() -> ResourceSpec:
    return resource("checkout", "edge-a", state=[{"kind": "profile"}])


@pytest.fixture
def context(tmp_path: Path, spec: ResourceSpec) -> Metered:
    made = open_metered(tmp_path, {})
    add_hosts(made.ledger, **{"edge-a": 100.0, "edge-b": 200.0, "edge-c": 400.0})
    made.ledger.put_resource(spec)
    return made


def stand(context: Metered, host: str, role: Role) -> None:
    context.ledger.put_instance(
        Instance(
            resource="checkout",
            host=host,
            role=role,
            mode=Mode.WARM,
            state=RunState.RUNNING,
            address="127.0.0.1",
            port=80,
        )
    )


def end(context: Metered, **keys: Any) -> Lease:
    """Make a move that is on its way, or with ``outcome`` one that has ended."""
    stand(context, "edge-a", Role.PRIMARY)
    stand(context, "edge-b", Role.SHADOW)
    lease = context.ledger.acquire("checkout", "gone:boot:1:1", 1e9, lambda holder: False)
    move = replace(switchover(), resource="checkout", outcome=None, ended_at=None, pivoted=False)
    context.ledger.begin(lease, move)
    if keys:
        context.ledger.finish(lease, replace(move, **keys))
    return lease


def test_at_rest_nothing_is_known_against_it(context: Metered, spec: ResourceSpec) -> None:
    facts = facts_of(context, spec)
    assert (facts.actor, facts.moved_at, facts.others_moving, facts.drift) == (None, None, 0, "")


def test_a_move_under_way_has_an_actor_and_counts_for_others(
    context: Metered, spec: ResourceSpec
) -> None:
    end(context)
    assert (facts_of(context, spec).actor or "").startswith("switchover ")
    other = resource("search", "edge-c")
    context.ledger.put_resource(other)
    assert facts_of(context, other).others_moving == 1


def test_a_lease_counts_while_its_holder_lives(context: Metered, spec: ResourceSpec) -> None:
    lease = context.ledger.acquire("checkout", this_process(), 1e9)
    assert facts_of(context, spec).actor == lease.holder
    context.ledger.release(lease)
    assert facts_of(context, spec).actor is None


def test_the_cooldown_begins_when_a_move_ended(context: Metered, spec: ResourceSpec) -> None:
    end(context, outcome=Outcome.ROLLED_BACK, ended_at=WallTime(999_000.0))
    assert facts_of(context, spec).moved_at == 999_000.0


def endpoint(weights: dict[str, int], drift: str = "") -> Endpoint:
    return Endpoint("lb-1", weights, {}, {}, drift)


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda: (endpoint({"edge-a": 100, "edge-b": 0}),), ""),
        (lambda: (endpoint({"edge-a": 50, "edge-b": 50}),), "lb-1 sends 50 % to edge-a, 50 %"),
        (lambda: (endpoint({"edge-a": 100}, "a server is missing"),), "lb-1: a server is missing"),
    ],
)
def test_traffic_that_a_person_moved_is_drift(
    context: Metered,
    spec: ResourceSpec,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[], tuple[Endpoint, ...]],
    said: str,
) -> None:
    monkeypatch.setattr(context, "directors", lambda spec: (SimpleNamespace(read=read),))
    drift = facts_of(context, spec).drift
    assert drift.startswith(said)
    assert bool(drift) == bool(said)


def test_traffic_that_cannot_be_read_is_unknown(
    context: Metered, spec: ResourceSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> tuple[Endpoint, ...]:
        raise UnreachableError("no answer", where="host lb-1")

    monkeypatch.setattr(context, "directors", lambda spec: (SimpleNamespace(read=read),))
    assert "host lb-1: no answer" in facts_of(context, spec).drift


def test_candidates_are_the_shadows_in_the_order_of_the_ranking(
    context: Metered, spec: ResourceSpec
) -> None:
    stand(context, "edge-a", Role.PRIMARY)
    stand(context, "edge-b", Role.SHADOW)
    stand(context, "edge-c", Role.SHADOW)
    seen = Acknowledged(
        resource="checkout",
        host="edge-c",
        version=1,
        root="r",
        captured_at=WallTime(1.0),
        acknowledged_at=WallTime(2.0),
    )
    context.ledger.acknowledge(seen)
    ranked = [Ranked("edge-c", 0.9), Ranked("edge-a", 0.8), Ranked("edge-b", 0.7)]
    found = candidates(context, spec, ranked, {"rate": 80.0, "cpu": 3.0})
    assert [(c.ranked.host, c.captured_at, c.utilization) for c in found] == [
        ("edge-c", 1.0, 0.2),
        ("edge-b", None, 0.4),
    ]
