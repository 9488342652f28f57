"""State between real agents: rounds, the schedule, and what happens when one of them is killed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreshadow.domain.errors import AccessError, FencedError, RefusedError
from foreshadow.domain.fleet import Host
from foreshadow.wire.client import AgentClient
from foreshadow.wire.gen import agent_pb2 as agent
from foreshadow.wire.gen import sync_pb2 as sync
from foreshadow.wire.pki import issue
from tests.integration.sync_fleet import Fleet, running, wait_for
from tests.unit.sync.trees import look


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with running(tmp_path) as fleet:
        fleet.place()
        yield fleet


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet whose primary stays where it is, for several tests."""
    with running(tmp_path_factory.mktemp("shared")) as fleet:
        fleet.place()
        yield fleet


def same(fleet: Fleet) -> bool:
    a, b = fleet.resource("edge-a") / "live", fleet.resource("edge-b") / "current"
    return look(a.resolve()) == look(b.resolve())


def test_rounds_schedule_and_fences(fleet: Fleet) -> None:
    live = fleet.resource("edge-a") / "live"
    (live / "data").mkdir()
    for number in range(50):
        (live / f"data/{number}").write_bytes(os.urandom(2000))
    (live / "server.key").write_text("secret")
    preview = fleet.sync(dry_run=True)
    assert preview.results[0].files_changed == 50
    assert not (fleet.resource("edge-b") / "incoming").exists()
    reply = fleet.sync()
    (result,) = reply.results
    assert (result.ok, result.error) == (True, "")
    assert (result.files_changed, result.version, result.profile_changed) == (50, 1, True)
    assert "server.key" in reply.notes[0]
    (live / "server.key").unlink()
    assert same(fleet)
    profile = (fleet.resource("edge-b") / "profile.json").read_text()
    assert '"kind": "buy"' in profile

    again = fleet.sync().results[0]
    assert again.files_changed == 0
    assert again.bytes_sent < 400
    assert again.root == result.root
    assert again.captured_at > result.captured_at

    client = fleet.clients["edge-b"]
    shadow = client.call(client.agent.GetInstance, agent.InstanceQuery(resource="shop"))
    assert shadow.version == 1
    with pytest.raises(RefusedError, match="not the primary"):
        fleet.sync("edge-b", "edge-a")

    fleet.schedule(0.2)
    (live / "data/7").write_text("scheduled")
    wait_for(lambda: same(fleet))
    wait_for(lambda: bool(fleet.status().results))
    first = fleet.status().results[0].captured_at
    wait_for(lambda: fleet.status().results[0].captured_at > first)

    # A newer actor was seen at the shadow only: the primary's rounds are refused from then on.
    fence = agent.Fence(resource="shop", token=5)
    client.call(client.agent.RaiseFence, agent.FenceRequest(fence=fence))
    (late,) = fleet.sync().results
    assert late.error_code == FencedError.code
    (live / "data/8").write_text("late")
    time.sleep(0.5)
    assert not same(fleet)
    assert fleet.sync(token=5).results[0].ok
    assert same(fleet)
    with pytest.raises(FencedError):
        fleet.sync(token=4)
    assert not fleet.schedule(0, token=5).scheduled


def test_only_the_agent_of_the_source_may_offer(shared: Fleet) -> None:
    target = shared.hosts["edge-b"]
    offer = sync.OfferRequest(
        fence=agent.Fence(resource="shop", token=1), source="edge-a", root=bytes(32), version=1
    )

    def offer_as(name: str, kind: str) -> None:
        client = AgentClient(target, issue(shared.authority, name, kind).credentials, 10)
        try:
            client.call(client.sync.Offer, iter([sync.OfferPart(start=offer)]))  # type: ignore[arg-type]
        finally:
            client.close()

    with pytest.raises(AccessError, match="in the name of 'edge-a'"):
        offer_as("edge-c", "agent")
    with pytest.raises(AccessError, match="only the agent"):
        offer_as("somebody", "controller")


def test_the_agent_of_another_host_may_not_send_what_is_its_own(shared: Fleet) -> None:
    (shared.resource("edge-a") / "live/mine").write_text("x")
    assert shared.sync().results[0].ok
    held = look((shared.resource("edge-b") / "current").resolve())
    target = shared.hosts["edge-b"]
    stranger = AgentClient(target, issue(shared.authority, "edge-c", "agent").credentials, 30)
    offer = sync.OfferRequest(
        fence=agent.Fence(resource="shop", token=9), source="edge-c", root=bytes(32), version=99
    )
    for restarted in (False, True):
        if restarted:
            shared.kill("edge-b")
            shared.start("edge-b")
            shared.wait("edge-b")
        with pytest.raises(AccessError, match="this shadow follows edge-a"):
            stranger.call(stranger.sync.Offer, iter([sync.OfferPart(start=offer)]))  # type: ignore[arg-type]
        assert look((shared.resource("edge-b") / "current").resolve()) == held
    stranger.close()
    (shared.resource("edge-a") / "live/mine").write_text("y")
    assert shared.sync().results[0].ok, "nothing of what it brought was remembered, its token least"
    assert same(shared)


def test_an_unreachable_or_wrong_destination_does_not_hold_up_the_others(shared: Fleet) -> None:
    (shared.resource("edge-a") / "live/f").write_text("x")
    shared.hosts["edge-c"] = Host(name="edge-c", address=shared.hosts["edge-b"].address, port=1)
    results = {r.host: r for r in shared.sync("edge-a", "edge-b", "edge-c").results}
    assert results["edge-b"].ok
    assert results["edge-c"].error_code == "unreachable"
    assert "edge-c" in results["edge-c"].error
    assert same(shared)
    del shared.hosts["edge-c"]


@pytest.mark.parametrize("victim", ["edge-a", "edge-b"])
def test_a_killed_agent_leaves_whole_versions_and_the_schedule_goes_on(
    shared: Fleet, victim: str
) -> None:
    live, shadow = shared.resource("edge-a") / "live", shared.resource("edge-b")
    (live / "small").write_text("small")
    assert shared.sync().results[0].ok
    old = look((shadow / "current").resolve())
    shared.schedule(0.1)
    for delay in (0.0, 0.2):
        # Put there by a rename: what is written in place may be captured half-way.
        (live.parent / "big").write_bytes(os.urandom(20_000_000))
        (live.parent / "big").rename(live / "big")
        new = look(live.resolve())
        time.sleep(0.1 + delay)
        shared.kill(victim)
        assert look((shadow / "current").resolve()) in (old, new)
        shared.start(victim)
        shared.wait(victim)
        wait_for(lambda: same(shared), 90)
        old = new
    # Of one that was killed between its publishing and its tidying, the next round does the rest.
    wait_for(lambda: not (shadow / "incoming").exists())
    wait_for(lambda: len(list((shadow / "versions").iterdir())) == 2)


def test_after_a_switchover_the_way_back_is_small(fleet: Fleet) -> None:
    live_a = fleet.resource("edge-a") / "live"
    (live_a / "big").write_bytes(os.urandom(5_000_000))
    assert fleet.sync().results[0].ok
    # Written on the primary, and taken over by the last round before the switch.
    (live_a / "more").write_bytes(os.urandom(3_000_000))
    assert fleet.sync(token=2).results[0].ok
    a, b = fleet.clients["edge-a"], fleet.clients["edge-b"]
    fence = agent.FenceRequest(fence=agent.Fence(resource="shop", token=2))
    spec = fleet.spec().model_dump_json()
    b.call(b.agent.Activate, agent.ActivateRequest(fence=fence.fence, spec_json=spec))
    b.call(b.agent.Promote, fence)
    a.call(a.agent.Demote, fence)
    (refused,) = fleet.sync("edge-b", "edge-a", token=2).results
    assert "nobody named it the source" in refused.error
    fleet.follow("edge-b", "edge-a", token=2)
    (fleet.resource("edge-b") / "live/after").write_text("written on the new primary")
    (result,) = fleet.sync("edge-b", "edge-a", token=2).results
    assert (result.ok, result.error) == (True, "")
    assert result.bytes_sent < 3000
    assert result.version == 3
    a_now = look((fleet.resource("edge-a") / "live").resolve())
    assert a_now == look((fleet.resource("edge-b") / "live").resolve())
    assert not (fleet.resource("edge-a") / "writable-0").exists()
