"""Databases between real agents: each version is whole, and lacks nothing of what was told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreshadow.wire.gen import agent_pb2 as agent
from foreshadow.wire.gen import sync_pb2 as sync
from tests.integration.sync_fleet import Fleet, running, wait_for
from tests.unit.sync.databases import Writer, proven, writing

STATE = [
    {"kind": "files", "path": "{state}"},
    {"kind": "sqlite", "path": "{state}/app.db"},
    {"kind": "profile"},
]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with running(tmp_path) as fleet:
        yield fleet


def place(fleet: Fleet, **service: Any) -> Path:
    """Place the resource; return the folder of the primary's state."""
    spec = fleet.spec()
    changed = spec.plain()["service"] | service
    fleet.place(fleet.spec(service=changed, state=STATE))
    return (fleet.resource("edge-a") / "live").resolve()


def begun(writer: Writer) -> bool:
    return writer.acknowledged > 0


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_each_version_holds_a_prefix_of_what_was_acknowledged(fleet: Fleet, mode: str) -> None:
    live = place(fleet)
    shadow = fleet.resource("edge-b")
    held = []
    with writing(live / "app.db", mode) as writer:
        wait_for(lambda: begun(writer), 60)
        for _ in range(10):
            before = writer.acknowledged
            (result,) = fleet.sync().results
            assert (result.ok, result.error) == (True, "")
            version = (shadow / "current").resolve()
            assert [path.name for path in version.iterdir()] == ["app.db"]
            held.append(proven(version / "app.db"))
            assert before <= held[-1] <= writer.acknowledged + 1
    assert held == sorted(held)
    assert held[-1] > held[0]


def test_what_was_acknowledged_before_the_last_round_is_on_the_new_primary(
    fleet: Fleet, tmp_path: Path
) -> None:
    """The fence kills the writer: its last transactions lie in the log, and nobody cleans up."""
    pid = tmp_path / "pid"
    once = f"test ! -e {pid} || kill -9 $(cat {pid}) && rm -f {pid}"
    fence = ["/bin/sh", "-c", once]
    live = place(fleet, hooks={"fence": fence})
    with writing(live / "app.db") as writer:
        pid.write_text(str(writer.process.pid))
        wait_for(lambda: begun(writer), 60)
        assert fleet.sync().results[0].ok
        more = writer.acknowledged + 50
        wait_for(lambda: writer.acknowledged >= more, 60)
        a, b = fleet.clients["edge-a"], fleet.clients["edge-b"]
        token = agent.Fence(resource="shop", token=2)
        request = sync.SyncRequest(
            fence=token, targets=fleet.targets(), final=True, seal_within=5.0
        )
        (result,) = a.call(a.sync.SyncNow, request, timeout=60).results
        assert (result.ok, result.error) == (True, "")
        acknowledged = writer.acknowledged
    assert (live / "app.db-wal").stat().st_size > 0
    spec = fleet.spec(state=STATE).model_dump_json()
    b.call(b.agent.Activate, agent.ActivateRequest(fence=token, spec_json=spec))
    b.call(b.agent.Promote, agent.FenceRequest(fence=token))
    there = (fleet.resource("edge-b") / "live").resolve()
    assert proven(there / "app.db") in (acknowledged, acknowledged + 1)

    # It goes on there, and the way back is as safe.
    a.call(a.agent.Demote, agent.FenceRequest(fence=token))
    fleet.follow("edge-b", "edge-a", token=2)
    with writing(there / "app.db") as writer:
        wait_for(lambda: writer.acknowledged >= acknowledged + 20, 60)
        before = writer.acknowledged
        (result,) = fleet.sync("edge-b", "edge-a", token=2).results
        assert (result.ok, result.error) == (True, "")
        back = (fleet.resource("edge-a") / "live").resolve()
        assert proven(back / "app.db") >= before
        assert [path.name for path in back.iterdir()] == ["app.db"]
