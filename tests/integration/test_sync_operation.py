"""The use case behind the module: a round now, the schedule, and what the ledger knows then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from foreshadow.domain.errors import (
    ForeshadowError,
    RefusedError,
    SpecError,
    UnknownNameError,
    UnreachableError,
)
from foreshadow.domain.fleet import Instance, Role, RunState
from foreshadow.domain.spec import Mode
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Connection, Context, open_context
from foreshadow.operations.sync_calls import SyncCalls
from foreshadow.operations.synchronise import sync_state
from foreshadow.wire.gen import agent_pb2 as pb
from foreshadow.wire.gen import sync_pb2 as sync
from tests.integration.sync_fleet import Fleet, running, wait_for
from tests.unit.sync.trees import look


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running(tmp_path_factory.mktemp("fleet"), ("edge-a", "edge-b", "edge-c")) as fleet:
        fleet.place(told=False)
        yield fleet


@pytest.fixture
def context(fleet: Fleet, tmp_path: Path) -> Iterator[Context]:
    files = fleet.controller
    connection = Connection(
        f"sqlite:///{tmp_path / 'ledger.db'}", str(files.ca), str(files.cert), str(files.key)
    )
    with open_context(connection) as context:
        spec = fleet.spec()
        context.ledger.put_resource(spec)
        for host in fleet.hosts.values():
            context.ledger.put_host(host)
            role = Role.PRIMARY if host.name == "edge-a" else Role.SHADOW
            context.ledger.put_instance(
                Instance(
                    resource="shop",
                    host=host.name,
                    role=role,
                    mode=Mode.COLD,
                    state=RunState.STOPPED,
                    address=host.address,
                    port=spec.service.port,
                )
            )
        yield context


def test_a_round_is_previewed_made_and_then_nothing_is_left_to_do(
    fleet: Fleet, context: Context
) -> None:
    live = fleet.resource("edge-a") / "live"
    (live / "counter").write_text("1")
    change = sync_state(context, "shop")
    assert change.changed
    assert change.preview["files_changed"] == 1
    assert change.before == {"edge-b": {"version": 0}, "edge-c": {"version": 0}}
    assert context.ledger.acknowledgements("shop") == {}
    result = change.apply()
    assert (result["files_changed"], result["version"]) == (1, 1)
    assert result["bytes_sent"] > 0
    assert result["staleness_seconds"] < 30
    assert [row["host"] for row in result["results"]] == ["edge-b", "edge-c"]
    for name in ("edge-b", "edge-c"):
        assert look(live.resolve()) == look((fleet.resource(name) / "current").resolve())
    known = context.ledger.acknowledgements("shop")
    assert {known[name].version for name in ("edge-b", "edge-c")} == {1}

    again = sync_state(context, "shop")
    assert not again.changed
    assert again.apply()["files_changed"] == 0
    later = context.ledger.acknowledgements("shop")["edge-b"]
    assert later.captured_at > known["edge-b"].captured_at, "it was seen to be up to date"


def test_only_the_hosts_that_are_named_get_a_round(fleet: Fleet, context: Context) -> None:
    (fleet.resource("edge-a") / "live/only-b").write_text("x")
    assert sync_state(context, "shop", ["edge-b"]).apply()["files_changed"] == 1
    assert (fleet.resource("edge-b") / "current/only-b").exists()
    assert not (fleet.resource("edge-c") / "current/only-b").exists()


def test_a_shadow_that_alone_was_made_anew_is_sent_state(fleet: Fleet, context: Context) -> None:
    source, shadow = (context.access.client(name) for name in ("edge-a", "edge-b"))
    seen = source.call(source.agent.GetInstance, pb.InstanceQuery(resource="shop")).token
    while (lease := context.ledger.acquire("shop", "tests", 60.0)).token <= seen:
        context.ledger.release(lease)
    fence = pb.Fence(resource="shop", token=lease.token)
    shadow.call(shadow.agent.RaiseFence, pb.FenceRequest(fence=fence))
    context.ledger.release(lease)
    (fleet.resource("edge-a") / "live/anew").write_text("x")
    sync_state(context, "shop").apply()
    assert (fleet.resource("edge-b") / "current/anew").exists()


def test_the_schedule_is_set_once_and_taken_away_once(fleet: Fleet, context: Context) -> None:
    change = sync_state(context, "shop", state="scheduled")
    assert change.diff["after"] == {
        "scheduled": True, "interval": 0.2, "hosts": ["edge-b", "edge-c"]
    }  # fmt: skip
    change.apply()
    assert not sync_state(context, "shop", state="scheduled").changed
    (fleet.resource("edge-a") / "live/background").write_text("x")
    wait_for(lambda: (fleet.resource("edge-c") / "current/background").exists())
    fleet.kill("edge-a", 15)
    fleet.start("edge-a")
    fleet.wait("edge-a")
    assert not sync_state(context, "shop", state="scheduled").changed, "it survives a restart"
    (fleet.resource("edge-a") / "live/restarted").write_text("x")
    wait_for(lambda: (fleet.resource("edge-c") / "current/restarted").exists())
    stopping = sync_state(context, "shop", state="stopped")
    assert stopping.changed
    stopping.apply()
    stopped = sync_state(context, "shop", state="stopped")
    assert not stopped.changed
    assert stopped.apply()["version"] > 1


def test_a_shadow_that_follows_another_host_is_put_right(fleet: Fleet, context: Context) -> None:
    live, shadow = fleet.resource("edge-a") / "live", fleet.resource("edge-b")
    (live / "astray").write_text("x")
    newest = follows(fleet, "edge-b").token
    fleet.follow("edge-c", "edge-b", token=newest)
    change = sync_state(context, "shop")
    assert change.before["edge-b"] == {"follows": "edge-c"}
    assert change.after["edge-b"] == {"follows": "edge-a"}
    assert not (shadow / "current/astray").exists()
    change.apply()
    assert (shadow / "current/astray").exists()

    sync_state(context, "shop", state="scheduled").apply()
    fleet.follow("edge-c", "edge-b", token=newest)
    again = sync_state(context, "shop", state="scheduled")
    assert again.diff["before"]["hosts"] == ["edge-c"]
    again.apply()
    (live / "found").write_text("x")
    wait_for(lambda: (shadow / "current/found").exists())
    sync_state(context, "shop", state="stopped").apply()


@pytest.mark.parametrize("state", ["once", "scheduled"])
def test_nobody_is_left_bound_to_a_primary_that_was_moved_meanwhile(
    fleet: Fleet, context: Context, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    newest = follows(fleet, "edge-b").token
    fleet.follow("edge-b", "edge-b", token=newest)
    change = sync_state(context, "shop", state=state)
    monkeypatch.setattr(Ledger, "primary", lambda _ledger, _resource: "edge-c")
    with pytest.raises(RefusedError, match="moved from edge-a to edge-c meanwhile"):
        change.apply()
    assert follows(fleet, "edge-b").follows == "edge-c"
    assert not fleet.status("edge-a").scheduled
    monkeypatch.undo()
    sync_state(context, "shop").apply()
    assert follows(fleet, "edge-b").follows == "edge-a"


def test_nobody_is_bound_to_a_host_that_refuses_the_schedule_and_only_the_lost_are_told(
    fleet: Fleet, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.follow("edge-c", "edge-b", token=follows(fleet, "edge-b").token)
    told: list[str] = []
    follow = SyncCalls.follow

    def note(calls: SyncCalls, hosts: Sequence[str], token: int) -> dict[str, ForeshadowError]:
        told.extend(hosts)
        return follow(calls, hosts, token)

    def refuse(*_: object) -> sync.SyncStatusReply:
        raise RefusedError("is not the primary, so there is nothing to send from it")

    monkeypatch.setattr(SyncCalls, "follow", note)
    with monkeypatch.context() as patched:
        patched.setattr(SyncCalls, "schedule", refuse)
        with pytest.raises(RefusedError, match="is not the primary"):
            sync_state(context, "shop", state="scheduled").apply()
    assert told == []
    assert follows(fleet, "edge-b").follows == "edge-c"
    sync_state(context, "shop", state="scheduled").apply()
    assert told == ["edge-b"]
    sync_state(context, "shop", state="stopped").apply()


def follows(fleet: Fleet, name: str) -> pb.InstanceReply:
    """Return what a host's agent says of its instance, and whom that follows."""
    client = fleet.clients[name]
    return client.call(client.agent.GetInstance, pb.InstanceQuery(resource="shop"))


def test_odd_calls_are_told_in_one_line(context: Context) -> None:
    with pytest.raises(UnknownNameError, match="its shadows are on edge-b or edge-c"):
        sync_state(context, "shop", ["edge-z"])
    with pytest.raises(SpecError, match="once, scheduled or stopped"):
        sync_state(context, "shop", state="now")
    with pytest.raises(UnknownNameError):
        sync_state(context, "shopp")


def test_a_host_that_is_down_fails_the_round_after_the_others_were_served(
    fleet: Fleet, context: Context
) -> None:
    (fleet.resource("edge-a") / "live/late").write_text("x")
    fleet.kill("edge-c")
    change = sync_state(context, "shop")
    errors = {row["host"]: row["error"] for row in change.preview["results"]}
    assert errors["edge-b"] is None
    assert "edge-c" in errors["edge-c"]
    with pytest.raises(UnreachableError, match="edge-c"):
        change.apply()
    assert (fleet.resource("edge-b") / "current/late").exists()
    fleet.start("edge-c")
    fleet.wait("edge-c")
    assert sync_state(context, "shop").apply()["files_changed"] > 0
