"""A promotion beside a round whose version is being applied: the new primary keeps its state."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from foreshadow.agent import prepared
from foreshadow.agent.sync_inbox import Inboxes
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import RefusedError
from foreshadow.domain.fleet import Capacity, Role
from foreshadow.domain.manifest import Entry
from foreshadow.domain.spec import Mode
from foreshadow.sync.delta import Delta
from foreshadow.sync.encoder import Encoder
from foreshadow.sync.messages import offer_parts, push_chunks, start_message
from foreshadow.sync.offers import Offer
from foreshadow.sync.outbox import Outbox
from foreshadow.sync.small import small_delta
from foreshadow.sync.versions import Versions
from foreshadow.wire.gen.agent_pb2 import Fence
from foreshadow.wire.gen.sync_pb2 import OfferPart, OfferReply, PushChunk, SmallDelta
from tests.support.services import spec
from tests.unit.sync.trees import Pair

from .conftest import Bench

FENCE = Fence(resource="shop", token=3)


async def stream(parts: list[OfferPart] | list[PushChunk]) -> AsyncIterator[OfferPart | PushChunk]:
    for part in parts:
        yield part


async def follow(bench: Bench) -> None:
    """Make a shadow that is active, and takes its state from ``edge-b``."""
    shop = spec("shop", "edge-b")
    await bench.supervisor.create(shop, Capacity(), Mode.HOT, 3)
    await bench.supervisor.activate(shop, 3)
    bench.home.sources.follow("shop", "edge-b")


async def test_what_clears_away_behind_a_version_leaves_a_new_primary_its_state(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await follow(bench)
    pair = Pair(tmp_path / "pair")
    (pair.state / "f").write_bytes(b"content")
    snapshot = pair.snapshot()
    inboxes, outbox = Inboxes(bench.home), Outbox(tmp_path / "none")
    looked, go = threading.Event(), threading.Event()

    def written_to(versions: Versions) -> tuple[Path, ...]:
        live = (versions.folder / "live").resolve()
        looked.set()
        go.wait(30)  # as long as a promotion may take, were it not held off
        return tuple(path for path in versions.folder.glob("writable-*") if path.resolve() != live)

    offer = Offer("edge-b", snapshot.root, 1, "", Delta(snapshot.entries, ()), WallTime(1.0))
    parts = stream(list(offer_parts(offer, FENCE)))
    reply = await inboxes.offer(parts, "edge-b")  # type: ignore[arg-type]
    encoder = Encoder(outbox, Versions(tmp_path / "versions"))
    chunks = stream(list(push_chunks(snapshot, reply.wants, FENCE, encoder, 1000)))
    monkeypatch.setattr(Versions, "written_to", written_to)
    pushing = asyncio.create_task(inboxes.push(chunks, "edge-b"))  # type: ignore[arg-type]
    assert await asyncio.to_thread(looked.wait, 30)
    promoting = asyncio.create_task(bench.supervisor.promote("shop", 3))
    await asyncio.wait([promoting], timeout=1.0)
    go.set()
    assert (await pushing).root.hex() == snapshot.root
    record = await promoting
    assert record.role is Role.PRIMARY
    assert (record.layout.live / "f").read_bytes() == b"content", "and it has the newest version"
    with pytest.raises(RefusedError, match="is the primary here"):
        await inboxes.offer(stream(list(offer_parts(offer, FENCE))), "edge-b")  # type: ignore[arg-type]


async def test_a_final_delta_is_in_the_prepared_copy_before_the_promotion_comes(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await follow(bench)
    pair = Pair(tmp_path / "pair")
    inboxes, encoder = Inboxes(bench.home), Encoder(Outbox(tmp_path / "none"), Versions(tmp_path))
    root = ""
    entries: tuple[Entry, ...] = ()
    for number, content in enumerate((b"content", b"the last of it"), 1):
        (pair.state / "f").write_bytes(content)
        after = pair.snapshot()
        offer = Offer("edge-b", after.root, number, root, Delta((), ()), WallTime(1.0),
                      final=number == 2)  # fmt: skip
        small = SmallDelta(start=start_message(offer, FENCE))
        delta = small_delta(entries, after, encoder)
        assert delta is not None
        small.MergeFrom(delta)
        assert (await inboxes.offer_small(small, "edge-b")).verdict == OfferReply.APPLIED
        if number == 1:
            await bench.supervisor.prepare("shop", 3)
        root, entries = after.root, after.entries
    await asyncio.sleep(0)
    async with bench.home.state_lock("shop"):  # by then it has been brought up
        monkeypatch.setattr(prepared, "take", lambda _: pytest.fail("it is done once more"))
    record = await bench.supervisor.promote("shop", 3)
    assert (record.layout.live / "f").read_bytes() == b"the last of it"
