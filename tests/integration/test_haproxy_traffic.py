"""Pointing traffic by hand, through a real ledger and a real pair of HAProxy processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import (
    DirectorError,
    LeaseHeldError,
    RefusedError,
    SpecError,
    UnknownNameError,
)
from foreshadow.domain.fleet import Instance, Role, RunState, parse_host
from foreshadow.domain.moves import Plan, Seen, Switchover
from foreshadow.domain.spec import Mode, parse_resource
from foreshadow.ledger import Ledger
from foreshadow.ledger.holder import this_process
from foreshadow.operations.context import Context
from foreshadow.operations.traffic import point_traffic
from foreshadow.wire.clock import system_time
from tests.support.pair import RESOURCE, Pair, running_pair

OFTEN = {"inter": "40ms", "fastinter": "20ms", "downinter": "40ms", "timeout": "300ms"}
ALL_ON_A = {"lb-1": {"edge-a": 100}, "lb-2": {"edge-a": 100}}
MIXED = {"lb-1": {"edge-a": 90, "edge-b": 10}, "lb-2": {"edge-a": 90, "edge-b": 10}}


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair(haproxy_check=OFTEN) as running:
        yield running


@pytest.fixture
def context(pair: Pair, tmp_path: Path) -> Iterator[Context]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        for name in ("edge-a", "edge-b", "edge-c"):
            ledger.put_host(parse_host({"name": name, "address": "127.0.0.1"}))
        ledger.put_resource(
            parse_resource(
                {
                    "name": RESOURCE,
                    "primary": "edge-a",
                    "service": {"command": ["/opt/x"], "port": 8080},
                    "directors": [pair.spec(admit_timeout="1s").model_dump()],
                }
            )
        )
        ledger.put_instance(
            Instance(
                resource=RESOURCE, host="edge-b", role=Role.SHADOW, mode=Mode.HOT,
                state=RunState.RUNNING, address="127.0.0.1", port=8080,
            )
        )  # fmt: skip
        made = Context(ledger, pair.access.typed(), system_time)
        for client in pair.access.clients.values():
            client.fences.newest.clear()
        point_traffic(made, RESOURCE, {"edge-a": 100}).apply()
        yield made


def test_points_traffic_and_then_has_nothing_to_do(context: Context, pair: Pair) -> None:
    change = point_traffic(context, RESOURCE, {"edge-a": "90", "edge-b": 10})
    assert change.changed
    assert change.before == {"weights": ALL_ON_A}
    assert change.after == {"weights": MIXED}
    assert change.preview == {"before": ALL_ON_A, "after": MIXED, "converged": False}
    assert pair.director().converged({"edge-a": 100})  # nothing was done yet

    assert change.apply() == {"before": ALL_ON_A, "after": MIXED, "converged": True}
    assert pair.director().converged({"edge-a": 90, "edge-b": 10})
    assert context.ledger.lease(RESOURCE) is None

    again = point_traffic(context, RESOURCE, {"edge-a": 90, "edge-b": 10})
    assert not again.changed
    assert again.apply() == {"before": MIXED, "after": MIXED, "converged": True}


def test_what_was_pointed_survives_a_reload(context: Context, pair: Pair) -> None:
    point_traffic(context, RESOURCE, {"edge-b": 100}).apply()
    for haproxy in pair.haproxies.values():
        haproxy.reload()
    assert pair.director().converged({"edge-b": 100})


@pytest.mark.parametrize(
    ("weights", "error", "told"),
    [
        ({"edge-a": 50}, SpecError, "they sum to 50"),
        ({"edge-a": 150, "edge-b": -50}, SpecError, "negative"),
        ({}, SpecError, "they sum to 0"),
        ({"edge-a": 99.5, "edge-b": 0.5}, SpecError, "whole numbers"),
        ({"edge-z": 100}, UnknownNameError, "edge-z"),
        ({"edge-c": 100}, UnknownNameError, "unknown instance on host edge-c"),
    ],
)
def test_bad_weights_change_nothing(
    context: Context, pair: Pair, weights: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        point_traffic(context, RESOURCE, weights)
    assert pair.director().converged({"edge-a": 100})


def test_an_unknown_resource_is_named(context: Context) -> None:
    with pytest.raises(UnknownNameError, match="chekout"):
        point_traffic(context, "chekout", {"edge-a": 100})


def test_a_resource_without_a_director_is_told(context: Context) -> None:
    spec = context.ledger.resource(RESOURCE).model_copy(update={"name": "bare", "directors": ()})
    context.ledger.put_resource(spec)
    with pytest.raises(SpecError, match="has no director"):
        point_traffic(context, "bare", {"edge-a": 100})


def test_refused_while_somebody_holds_the_lease(context: Context) -> None:
    planned = point_traffic(context, RESOURCE, {"edge-b": 100})
    lease = context.ledger.acquire(RESOURCE, this_process(), 60)
    with pytest.raises(LeaseHeldError):
        point_traffic(context, RESOURCE, {"edge-b": 100})
    with pytest.raises(LeaseHeldError):
        planned.apply()
    context.ledger.release(lease)
    planned.apply()


def test_refused_while_a_switchover_is_unfinished(context: Context, pair: Pair) -> None:
    planned = point_traffic(context, RESOURCE, {"edge-b": 100})
    lease = context.ledger.acquire(RESOURCE, this_process(), 60)
    seen = Seen("digest", "edge-a", "edge-b", (), "running")
    plan = Plan(RESOURCE, seen, (), (100,), 0.0, False, False, None, WallTime(0.0))
    context.ledger.begin(
        lease,
        Switchover("move-1", RESOURCE, "edge-a", "edge-b", plan, lease.token, WallTime(0.0)),
    )
    context.ledger.release(lease)
    with pytest.raises(RefusedError, match="move-1"):
        point_traffic(context, RESOURCE, {"edge-b": 100})
    with pytest.raises(RefusedError, match="move-1"):
        planned.apply()
    assert context.ledger.lease(RESOURCE) is None
    assert pair.director().converged({"edge-a": 100})


def test_a_host_that_passes_no_check_is_put_back(context: Context, pair: Pair) -> None:
    change = point_traffic(context, RESOURCE, {"edge-b": 100})
    pair.director().retire("edge-b", 1)
    pair.services["edge-b"].freeze()
    try:
        with pytest.raises(DirectorError, match="passed no check"):
            change.apply()
    finally:
        pair.services["edge-b"].thaw()
    assert pair.states("edge-b") == ["MAINT", "MAINT"]
    assert pair.director().converged({"edge-a": 100})
