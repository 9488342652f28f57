"""The use case behind the module ``shadow_instance``, with real agents and a real ledger."""

from __future__ import annotations

import itertools
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import (
    ForeshadowError,
    LeaseHeldError,
    RefusedError,
    ServiceError,
    SpecError,
    UnknownNameError,
    UnreachableError,
)
from foreshadow.domain.fleet import Host
from foreshadow.domain.moves import Plan, Seen, Switchover
from foreshadow.ledger import Ledger
from foreshadow.ledger.holder import this_process
from foreshadow.operations.context import Connection, Context, open_context
from foreshadow.operations.instances import ensure_instances
from foreshadow.operations.registry import remove_resources
from tests.support.agents import Agents, end_instances, instances, loopback, start_agents
from tests.support.services import ask, spec

WARM = {"mode": "warm", "role": "shadow", "state": "frozen"}
PRIMARY = {"mode": "warm", "role": "primary", "state": "running"}
_NAMES = (f"shop-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    with start_agents(tmp_path_factory.mktemp("agents"), {"edge-a": {}, "edge-b": {}}) as found:
        yield found


@pytest.fixture
def shop() -> str:
    """A resource that the agents have never seen, so that each test begins with token 1."""
    return next(_NAMES)


@pytest.fixture
def context(agents: Agents, tmp_path: Path, shop: str) -> Iterator[Context]:
    files = agents.credentials
    connection = Connection(
        f"sqlite:///{tmp_path}/ledger.db", str(files.ca), str(files.cert), str(files.key)
    )
    with open_context(connection) as made:
        for host in agents.hosts.values():
            made.ledger.put_host(host)
        made.ledger.put_host(Host(name="edge-x", address=loopback()))
        made.ledger.put_host(Host(name="lb-1", address=loopback(), relay=True))
        made.ledger.put_resource(spec(shop, "edge-a"))
        yield made
        end_instances(agents.folder)


def on_b(shop: str, **more: str) -> list[dict[str, Any]]:
    return [{"resource": shop, "host": "edge-b", **more}]


def address(agents: Agents) -> str:
    return agents.hosts["edge-a"].address


def test_a_shadow_is_made_once_and_the_primary_is_taken_into_care(
    context: Context, agents: Agents, shop: str
) -> None:
    change = ensure_instances(context, on_b(shop))
    assert change.before == {"instances": {}}
    assert change.after == {"instances": {f"{shop}@edge-a": PRIMARY, f"{shop}@edge-b": WARM}}
    assert not instances(agents.folder)
    result = change.apply()
    assert [i["host"] for i in result["instances"]] == ["edge-a", "edge-b"]
    assert {i.host: i.plain() for i in context.ledger.instances(shop)} == {
        i["host"]: i for i in result["instances"]
    }
    assert context.ledger.lease(shop) is None or context.ledger.acquire(shop, "next", 1.0)
    again = ensure_instances(context, on_b(shop))
    assert not again.changed
    assert again.apply() == result


def test_the_preview_is_what_comes_true(context: Context, shop: str) -> None:
    change = ensure_instances(context, on_b(shop, mode="hot"))
    made = change.apply()["instances"]
    for promised, came in zip(change.preview["instances"], made, strict=True):
        assert {**promised, "launched": ""} == {**came, "launched": ""}


def test_a_mode_is_changed_and_nothing_else(context: Context, shop: str) -> None:
    ensure_instances(context, on_b(shop)).apply()
    change = ensure_instances(context, on_b(shop, mode="hot"))
    assert change.before["instances"][f"{shop}@edge-b"] == WARM
    hot = {"mode": "hot", "role": "shadow", "state": "running"}
    assert change.after["instances"][f"{shop}@edge-b"] == hot
    assert change.before["instances"][f"{shop}@edge-a"] == PRIMARY
    change.apply()
    assert context.ledger.instances(shop, "edge-b")[0].mode == "hot"


def test_a_shadow_of_an_older_spec_is_started_anew(context: Context, shop: str) -> None:
    ensure_instances(context, on_b(shop)).apply()
    context.ledger.put_resource(spec(shop, "edge-a", 8080, environment={"COLOUR": "red"}))
    change = ensure_instances(context, on_b(shop))
    assert change.before["instances"][f"{shop}@edge-b"] == {**WARM, "outdated": True}
    assert change.after["instances"][f"{shop}@edge-b"] == WARM
    change.apply()
    assert not ensure_instances(context, on_b(shop)).changed


def test_a_crashed_shadow_is_drift_and_is_made_good(context: Context, shop: str) -> None:
    ensure_instances(context, on_b(shop, mode="hot")).apply()
    os.kill(int(ask(context.ledger.host("edge-b").address, "/pid")), signal.SIGKILL)
    change = ensure_instances(context, on_b(shop, mode="hot"))
    assert change.before["instances"][f"{shop}@edge-b"]["state"] == "failed"
    change.apply()
    assert not ensure_instances(context, on_b(shop, mode="hot")).changed


def test_what_was_made_before_a_failure_is_kept(
    context: Context, agents: Agents, shop: str
) -> None:
    blocked = agents.hosts["edge-b"].address
    taken = f"port 8080 of {blocked} is taken by pid"
    with socket.create_server((blocked, 8080)), pytest.raises(ServiceError, match=taken):
        ensure_instances(context, on_b(shop)).apply()
    assert [i.host for i in context.ledger.instances(shop)] == ["edge-a"]
    change = ensure_instances(context, on_b(shop))
    assert change.before["instances"] == {f"{shop}@edge-a": PRIMARY}
    change.apply()
    assert [i.host for i in context.ledger.instances(shop)] == ["edge-a", "edge-b"]


def test_shadows_are_removed_and_the_primary_is_let_go_last(
    context: Context, agents: Agents, shop: str
) -> None:
    ensure_instances(context, on_b(shop)).apply()
    on_a = [{"resource": shop, "host": "edge-a"}]
    with pytest.raises(RefusedError, match="is the primary, and still has shadows on edge-b"):
        ensure_instances(context, on_a, present=False)
    pid = ask(address(agents), "/pid")
    change = ensure_instances(context, on_a + on_b(shop), present=False)
    assert change.after == {"instances": {}}
    assert change.apply() == {"instances": []}
    assert context.ledger.instances(shop) == ()
    assert ask(address(agents), "/pid") == pid
    assert not ensure_instances(context, on_a + on_b(shop), present=False).changed
    remove_resources(context, [shop]).apply()


def test_the_host_of_the_primary_needs_no_shadow(context: Context, shop: str) -> None:
    on_a = [{"resource": shop, "host": "edge-a", "mode": "hot"}]
    ensure_instances(context, on_a).apply()
    assert not ensure_instances(context, on_a).changed


@pytest.mark.parametrize(
    ("entry", "kind", "problem"),
    [
        ({"host": "edge-c"}, UnknownNameError, "unknown host edge-c; did you mean edge-"),
        ({"resource": "cart"}, UnknownNameError, "unknown resource cart; known: shop-"),
        ({"host": "lb-1"}, SpecError, "host lb-1: is a load balancer's host"),
        ({"host": "edge-x"}, UnreachableError, "host edge-x: no agent answers at"),
        ({"mode": "lukewarm"}, SpecError, "mode"),
        ({"size": 3}, SpecError, "size: unknown key"),
    ],
)
def test_bad_entries_are_refused_before_anything_is_done(
    context: Context, agents: Agents, shop: str, entry: dict[str, Any],
    kind: type[ForeshadowError], problem: str,
) -> None:  # fmt: skip
    with pytest.raises(kind) as caught:
        ensure_instances(context, [{**on_b(shop)[0], **entry}])
    assert problem in str(caught.value)
    assert not instances(agents.folder)


def test_an_entry_twice_is_refused(context: Context, shop: str) -> None:
    with pytest.raises(SpecError, match="is asked for twice"):
        ensure_instances(context, on_b(shop) + on_b(shop, mode="hot"))


def test_nothing_is_touched_while_somebody_moves_the_resource(
    context: Context, agents: Agents, shop: str
) -> None:
    context.ledger.acquire(shop, this_process(), 30.0)
    with pytest.raises(LeaseHeldError):
        ensure_instances(context, on_b(shop)).apply()
    assert not instances(agents.folder)


def test_an_unfinished_switchover_comes_first(context: Context, shop: str) -> None:
    ledger: Ledger = context.ledger
    lease = ledger.acquire(shop, "gone", 30.0)
    seen = Seen("spec", "edge-a", "edge-b", (), "frozen")
    plan = Plan(shop, seen, (), (100,), 1.0, False, False, None, WallTime(0.0))
    move = Switchover("s1", shop, "edge-a", "edge-b", plan, lease.token, context.now())
    ledger.begin(lease, move)
    ledger.release(lease)
    with pytest.raises(RefusedError, match="switchover s1 to edge-b is not finished; wait"):
        ensure_instances(context, on_b(shop))


def test_an_agent_and_a_ledger_that_disagree_are_told(context: Context, shop: str) -> None:
    ensure_instances(context, on_b(shop, mode="hot")).apply()
    context.driver("edge-b").promote(shop, 50)
    with pytest.raises(RefusedError, match="its agent has it as primary, the ledger as shadow"):
        ensure_instances(context, on_b(shop))


def test_a_primary_in_care_need_not_answer(context: Context, agents: Agents, shop: str) -> None:
    ensure_instances(context, on_b(shop)).apply()
    context.ledger.put_host(Host(name="edge-a", address=loopback()))
    change = ensure_instances(context, on_b(shop, mode="cold"))
    assert change.after["instances"][f"{shop}@edge-b"]["mode"] == "cold"
