"""The agent around a round: whose offers it takes, what breaks a push off, and the schedule."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from foreshadow.agent import sync_inbox, sync_rounds, sync_service
from foreshadow.agent.home import AgentHome
from foreshadow.agent.records import Record
from foreshadow.agent.sync_inbox import Inboxes
from foreshadow.agent.sync_rounds import Standing
from foreshadow.agent.sync_schedule import Plan, Schedules
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import AccessError, FencedError, RefusedError, SyncError
from foreshadow.domain.fleet import Host, Role
from foreshadow.domain.spec import Mode, parse_resource
from foreshadow.sync.delta import Delta
from foreshadow.sync.encoder import Encoder
from foreshadow.sync.messages import offer_parts, push_chunks
from foreshadow.sync.offers import Answer, Offer
from foreshadow.sync.outbox import Outbox
from foreshadow.sync.receive import Receiver
from foreshadow.sync.snapshot import Snapshot
from foreshadow.sync.versions import Versions
from foreshadow.wire.credentials import Credentials
from foreshadow.wire.gen.agent_pb2 import Fence
from foreshadow.wire.gen.sync_pb2 import OfferPart, OfferReply, PushChunk, SmallDelta
from tests.support.haproxy import wait_until
from tests.unit.sync.trees import Pair

SPEC = {"name": "shop", "primary": "edge-a", "service": {"command": ["/bin/true"], "port": 1}}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[AgentHome]:
    files = Credentials(tmp_path / "ca", tmp_path / "cert", tmp_path / "key")
    home = AgentHome("edge-b", "127.0.0.1", tmp_path / "agent", files)
    place(home, Role.SHADOW)
    home.sources.follow("shop", "edge-a")
    yield home
    home.close()


def place(home: AgentHome, role: Role) -> None:
    layout = home.instances.layout("shop")
    layout.prepare_shadow()
    spec = parse_resource(SPEC)
    home.instances.put(Record(spec=spec, role=role, mode=Mode.COLD, layout=layout))


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    pair = Pair(tmp_path / "pair")
    (pair.state / "f").write_bytes(b"content" * 1000)
    return pair.snapshot()


async def stream(parts: list[OfferPart] | list[PushChunk]) -> AsyncIterator[OfferPart | PushChunk]:
    for part in parts:
        yield part


class Calls:
    """The calls of a source to one agent."""

    def __init__(self, home: AgentHome, snapshot: Snapshot) -> None:
        self.inboxes = Inboxes(home)
        self.snapshot = snapshot
        self.version = 1
        folder = home.instances.layout("shop").folder
        self.encoder = Encoder(Outbox(folder / "none"), Versions(folder))

    def parts(self, token: int, *, dry_run: bool = False) -> list[OfferPart]:
        snapshot = self.snapshot
        delta, at = Delta(snapshot.entries, ()), WallTime(1.0)
        offer = Offer("edge-a", snapshot.root, self.version, "", delta, at, dry_run=dry_run)
        return list(offer_parts(offer, Fence(resource="shop", token=token)))

    async def offer(
        self, token: int = 1, caller: str = "edge-a", *, dry_run: bool = False
    ) -> OfferReply:
        parts = stream(self.parts(token, dry_run=dry_run))
        return await self.inboxes.offer(parts, caller)  # type: ignore[arg-type]

    def chunks(self, reply: OfferReply) -> list[PushChunk]:
        fence = Fence(resource="shop", token=1)
        return list(push_chunks(self.snapshot, reply.wants, fence, self.encoder, 1000))


async def test_a_new_offer_breaks_off_a_push_that_hangs(
    home: AgentHome, snapshot: Snapshot
) -> None:
    calls = Calls(home, snapshot)
    chunks = calls.chunks(await calls.offer())
    taken = asyncio.Event()

    async def hanging() -> AsyncIterator[PushChunk]:
        for chunk in chunks[:3]:
            yield chunk
        taken.set()
        await asyncio.Event().wait()

    hung = asyncio.create_task(calls.inboxes.push(hanging(), "edge-a"))
    await taken.wait()
    again = await calls.offer()
    assert hung.cancelled()
    assert again.wants[0].offset == 2000
    reply = await calls.inboxes.push(stream(calls.chunks(again)), "edge-a")  # type: ignore[arg-type]
    assert reply.root.hex() == snapshot.root
    applied = home.instances.layout("shop").current / "f"
    assert applied.read_bytes() == b"content" * 1000


async def test_only_the_source_itself_may_offer_and_push(
    home: AgentHome, snapshot: Snapshot
) -> None:
    calls = Calls(home, snapshot)
    with pytest.raises(AccessError, match="in the name of 'edge-a'"):
        await calls.offer(caller="edge-c")
    chunks = calls.chunks(await calls.offer())
    with pytest.raises(AccessError, match="this shadow follows edge-a"):
        await calls.inboxes.push(stream(chunks), "edge-c")  # type: ignore[arg-type]
    home.sources.follow("shop", "edge-c")
    with pytest.raises(AccessError, match="pushes what edge-a offered"):
        await calls.inboxes.push(stream(chunks), "edge-c")  # type: ignore[arg-type]
    home.sources.follow("shop", "edge-a")
    with pytest.raises(SyncError, match="out of order"):
        await calls.inboxes.push(stream(chunks[1:]), "edge-a")  # type: ignore[arg-type]


async def test_a_source_that_is_followed_no_longer_cannot_commit(
    home: AgentHome, snapshot: Snapshot
) -> None:
    calls = Calls(home, snapshot)
    chunks = calls.chunks(await calls.offer())

    async def turning() -> AsyncIterator[PushChunk]:
        for chunk in chunks:
            yield chunk
        home.sources.follow("shop", "edge-c")  # under the same token, as a switchover does

    with pytest.raises(AccessError, match="this shadow follows edge-c"):
        await calls.inboxes.push(turning(), "edge-a")
    assert not (home.instances.layout("shop").current / "f").exists()


async def test_who_was_told_no_source_says_what_it_lacks_and_takes_nothing(
    home: AgentHome, snapshot: Snapshot
) -> None:
    calls = Calls(home, snapshot)
    home.sources.forget("shop")
    with pytest.raises(AccessError, match="nobody named it the source"):
        await calls.offer(token=9)
    home.sources.check("shop", "edge-a", only_asks=True)
    home.sources.follow("shop", "edge-a")
    assert (await calls.offer(token=1)).wants, "a token that came with a refusal is not remembered"


async def test_an_offer_that_only_asks_holds_off_nobody(
    home: AgentHome, snapshot: Snapshot
) -> None:
    calls = Calls(home, snapshot)
    home.sources.forget("shop")
    await calls.offer(token=2**40, dry_run=True)
    home.sources.follow("shop", "edge-a")
    assert (await calls.offer(token=2)).wants
    with pytest.raises(FencedError, match="token 1 is older than 2"):
        await calls.offer(token=1, dry_run=True)


async def test_a_small_delta_is_held_to_the_same(home: AgentHome, snapshot: Snapshot) -> None:
    calls = Calls(home, snapshot)
    small = SmallDelta(start=calls.parts(token=1)[0].start)
    with pytest.raises(AccessError, match="in the name of 'edge-a'"):
        await calls.inboxes.offer_small(small, "edge-c")
    assert (await calls.inboxes.offer_small(small, "edge-a")).verdict == OfferReply.WRONG_BASE
    home.fences.check("shop", 2)
    with pytest.raises(FencedError):
        await calls.inboxes.offer_small(small, "edge-a")
    place(home, Role.PRIMARY)
    small.start.fence.token = 2
    with pytest.raises(RefusedError, match="is the primary here"):
        await calls.inboxes.offer_small(small, "edge-a")


async def test_a_newer_token_stops_a_round_before_its_commit(
    home: AgentHome, snapshot: Snapshot
) -> None:
    calls = Calls(home, snapshot)
    chunks = calls.chunks(await calls.offer())

    async def overtaken() -> AsyncIterator[PushChunk]:
        for chunk in chunks:
            yield chunk
        home.fences.check("shop", 2)

    with pytest.raises(FencedError):
        await calls.inboxes.push(overtaken(), "edge-a")
    assert home.instances.layout("shop").version() == 0
    with pytest.raises(FencedError):
        await calls.offer(token=1)


@pytest.mark.parametrize("kind", ["small", "offer", "push"])
async def test_what_waits_for_its_turn_is_held_to_what_is_so_then(
    home: AgentHome, snapshot: Snapshot, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(home, snapshot)
    small = SmallDelta(start=calls.parts(token=1)[0].start)
    chunks = calls.chunks(await calls.offer())
    at_work, go_on = threading.Event(), threading.Event()
    real = Receiver.offer

    def slow(receiver: Receiver, offer: Offer) -> Answer:
        at_work.set()
        go_on.wait(60)
        return real(receiver, offer)

    monkeypatch.setattr(Receiver, "offer", slow)
    asks = calls.parts(token=1)
    asks[0].start.dry_run = True
    asking = asyncio.create_task(calls.inboxes.offer(stream(asks), "edge-a"))  # type: ignore[arg-type]
    await asyncio.to_thread(at_work.wait, 60)
    waiting = asyncio.create_task(
        calls.inboxes.offer_small(small, "edge-a")
        if kind == "small"
        else calls.offer()
        if kind == "offer"
        else calls.inboxes.push(stream(chunks), "edge-a")  # type: ignore[arg-type]
    )
    for _ in range(10):  # turns of the loop: it waits for the lock by then
        await asyncio.sleep(0)
    place(home, Role.PRIMARY)
    go_on.set()
    assert (await asking).verdict == OfferReply.SEND
    with pytest.raises(RefusedError, match="is the primary here"):
        await waiting
    assert home.instances.layout("shop").version() == 0


async def test_a_primary_takes_no_state(home: AgentHome, snapshot: Snapshot) -> None:
    place(home, Role.PRIMARY)
    with pytest.raises(RefusedError, match="is the primary here"):
        await Calls(home, snapshot).offer()


class Rounds:
    """Rounds that take a while, some of which fail."""

    def __init__(self, failing: str = "", trouble: Exception | None = None) -> None:
        self.failing = failing
        self.trouble = trouble
        self.begun: list[str] = []
        self.under_way = 0
        self.most = 0

    async def run(self, resource: str, hosts: list[Host]) -> dict[str, Standing]:
        (host,) = hosts
        self.begun.append(host.name)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.03)
        self.under_way -= 1
        if self.trouble is not None:
            raise self.trouble
        return {host.name: Standing(error="down" if host.name == self.failing else "")}


def plan(*names: str, interval: float = 0.01) -> Plan:
    hosts = tuple(Host(name=name, address="127.0.0.1") for name in names)
    return Plan(interval, 1, hosts)


async def test_one_round_at_a_time_to_each_host_and_failing_ones_are_left_alone(
    home: AgentHome,
) -> None:
    place(home, Role.PRIMARY)
    rounds = Rounds(failing="edge-d")
    schedules = Schedules(home, rounds)  # type: ignore[arg-type]
    await schedules.set("shop", plan("edge-c", "edge-d"))
    await asyncio.sleep(0.6)
    await schedules.stop()
    assert rounds.most <= 2
    assert rounds.begun.count("edge-c") > 5
    assert 1 < rounds.begun.count("edge-d") < rounds.begun.count("edge-c")


async def test_rounds_that_the_agents_own_disk_fails_are_told_and_tried_again(
    home: AgentHome, caplog: pytest.LogCaptureFixture
) -> None:
    place(home, Role.PRIMARY)
    rounds = Rounds(trouble=sqlite3.OperationalError("database or disk is full"))
    caplog.set_level(logging.INFO)
    schedules = Schedules(home, rounds)  # type: ignore[arg-type]
    await schedules.set("shop", plan("edge-c"))
    await asyncio.to_thread(wait_until, lambda: len(rounds.begun) > 1, "a second try", 30)
    rounds.trouble = None
    await asyncio.to_thread(wait_until, lambda: "up to date again" in caplog.text, "its end", 30)
    await schedules.stop()
    assert caplog.text.count("database or disk is full") == 1, "it is said once"


async def test_tidying_goes_on_after_a_failure_and_stopping_does_not_raise_it(
    home: AgentHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def let_go(_: object) -> None:
        nonlocal tries
        tries += 1
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sync_service, "_TIDY_EVERY", 0.01)
    monkeypatch.setattr(sync_rounds.Rounds, "let_go", let_go)
    service = sync_service.SyncService(home, None)  # type: ignore[arg-type]
    await service.start()
    await asyncio.to_thread(wait_until, lambda: tries >= 3, "the third try", 30)
    await service.stop()


async def test_what_rots_unread_is_found_without_a_call_and_sent_by_the_next_round(
    home: AgentHome,
    snapshot: Snapshot,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sync_service, "_TIDY_EVERY", 0.01)
    monkeypatch.setattr(sync_inbox, "_UNREAD", 0.0)
    service = sync_service.SyncService(home, None)  # type: ignore[arg-type]
    calls = Calls(home, snapshot)
    calls.inboxes = service._inboxes
    chunks = calls.chunks(await calls.offer())
    await calls.inboxes.push(stream(chunks), "edge-a")  # type: ignore[arg-type]
    file = home.instances.layout("shop").folder / "current" / "f"
    file.write_bytes(b"rotten!" * 1000)
    os.utime(file, ns=(0, snapshot.entries[0].mtime_ns))
    await service.start()
    await asyncio.to_thread(wait_until, lambda: "is damaged" in caplog.text, "a look at it", 30)
    await service.stop()
    calls.version = 2
    chunks = calls.chunks(await calls.offer())
    await calls.inboxes.push(stream(chunks), "edge-a")  # type: ignore[arg-type]
    assert file.read_bytes() == b"content" * 1000


async def test_a_schedule_survives_a_restart_and_rests_on_a_shadow(home: AgentHome) -> None:
    rounds = Rounds()
    first = Schedules(home, rounds)  # type: ignore[arg-type]
    await first.set("shop", plan("edge-c"))
    await asyncio.sleep(0.05)
    await first.stop()
    assert rounds.begun == [], "the instance here is a shadow"
    place(home, Role.PRIMARY)
    second = Schedules(home, rounds)  # type: ignore[arg-type]
    second.start()
    assert second.plan("shop") == plan("edge-c")
    await asyncio.sleep(0.05)
    await second.remove("shop")
    assert rounds.begun
    third = Schedules(home, rounds)  # type: ignore[arg-type]
    third.start()
    assert third.plan("shop") is None


# --- what is let go ------------------------------------------------------------------------------


def watched(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str
) -> list[weakref.ref[object]]:
    """Return what still tells of each object of a class that a module makes from now on."""
    made: list[weakref.ref[object]] = []
    real = getattr(module, name)

    def make(*args: object) -> object:
        thing = real(*args)
        made.append(weakref.ref(thing))
        return thing

    monkeypatch.setattr(module, name, make)
    return made


async def test_an_inbox_is_let_go_with_its_shadow(
    home: AgentHome, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = watched(monkeypatch, sync_inbox, "Receiver")
    calls = Calls(home, snapshot)
    await calls.offer()
    await calls.inboxes.let_go()
    chunks = calls.chunks(await calls.offer())
    (kept,) = made
    assert kept() is not None, "it is a shadow still"
    home.instances.remove("shop")
    await calls.inboxes.let_go()
    gc.collect()
    assert kept() is None
    place(home, Role.SHADOW)
    with pytest.raises(SyncError, match="offer it again"):
        await calls.inboxes.push(stream(chunks), "edge-a")  # type: ignore[arg-type]


async def test_what_a_promotion_left_to_flush_is_flushed_before_the_inbox_goes(
    home: AgentHome, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(home, snapshot)
    parts = calls.parts(token=1)
    parts[0].start.final = True
    reply = await calls.inboxes.offer(stream(parts), "edge-a")  # type: ignore[arg-type]
    await calls.inboxes.push(stream(calls.chunks(reply)), "edge-a")  # type: ignore[arg-type]
    flushed: list[int] = []
    monkeypatch.setattr(Versions, "flush", lambda _, number, made: flushed.append(number))
    place(home, Role.PRIMARY)
    await calls.inboxes.let_go()
    assert flushed == [1]


async def test_a_source_is_let_go_with_its_primary_and_standings_with_the_resource(
    home: AgentHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = watched(monkeypatch, sync_rounds, "Source")
    place(home, Role.PRIMARY)
    home.instances.layout("shop").prepare_primary()
    rounds = sync_rounds.Rounds(home)
    ends = await rounds.run("shop", [Host(name="edge-c", address="127.0.0.1")])
    assert "cannot be read" in ends["edge-c"].error
    (kept,) = made
    await rounds.let_go()
    assert kept() is not None, "it is the primary still"
    place(home, Role.SHADOW)
    await rounds.let_go()
    gc.collect()
    assert kept() is None
    assert rounds.standings("shop") == ends
    home.instances.remove("shop")
    await rounds.let_go()
    assert rounds.standings("shop") == {}
    assert sync_rounds.Rounds(home).standings("shop") == {}
