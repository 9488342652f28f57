"""One round from the source to one destination."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import grpc

from foreshadow.domain.errors import SyncError
from foreshadow.sync.delta import Delta, difference
from foreshadow.sync.encoder import Encoder
from foreshadow.sync.history import History
from foreshadow.sync.messages import BATCH, TOLD, offer_parts, push_chunks, start_message
from foreshadow.sync.offers import Offer
from foreshadow.sync.pace import Pace
from foreshadow.sync.small import small_delta
from foreshadow.sync.snapshot import Snapshot
from foreshadow.wire.gen.agent_pb2 import Fence
from foreshadow.wire.gen.sync_pb2 import Contents, OfferReply, PushChunk, PushReply, SmallDelta

if TYPE_CHECKING:  # it is only in the type stubs
    from foreshadow.wire.gen.sync_pb2_grpc import SyncAsyncStub

_OFFERS = 4
_SLOWEST = 64 * 1024
"""Bytes per second at which a message is still waited for."""
_SIGN = 10.0
"""Seconds of reading or encoding after which the destination is told that more is to come."""


@dataclass(slots=True)
class Sent:
    """What a round did.

    :ivar bytes_sent: of all messages, offers included.
    :ivar changed: whether the destination's version became, or in a dry run would become, another.
    :ivar root: of the version that the destination has now.
    :ivar acknowledged_at: the destination's wall time of that.
    """

    bytes_sent: int = 0
    files_changed: int = 0
    profile_changed: bool = False
    changed: bool = False
    offered_version: int = 0
    version: int = 0
    root: str = ""
    acknowledged_at: float = 0.0


@dataclass(slots=True)
class Destination:
    """The way to one destination, and what is known about it.

    :ivar timeout: seconds that it may take to answer an offer, to take the next message of a push,
        or to commit.
    :ivar root: of the version that it has; ``None`` when that is not known.
    :ivar profile_json: the workload profile that it has; ``None`` when that is not known.
    """

    stub: SyncAsyncStub
    host: str
    timeout: float = 30.0
    root: str | None = None
    profile_json: str | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends snapshots under one fencing token.

    :ivar source: the name of this host.
    """

    source: str
    fence: Fence
    history: History
    pace: Pace
    encoder: Encoder

    async def send(
        self,
        snapshot: Snapshot,
        destination: Destination,
        *,
        dry_run: bool = False,
        final: bool = False,
    ) -> Sent:
        """Bring a destination to a snapshot and return what it took.

        :param final: a promotion follows at once: what is small goes with the offer.

        :raises SyncError: when the destination refuses it, or is busy with another round.
        :raises grpc.RpcError: what the call itself failed with.
        """
        sent = Sent()
        offer, reply = await self._agree(snapshot, destination, sent, dry_run=dry_run, final=final)
        sent.changed = reply.verdict in (OfferReply.SEND, OfferReply.APPLIED)
        sent.offered_version = offer.version
        sent.profile_changed = reply.profile_changed
        sent.files_changed = reply.files_changed
        if reply.verdict in (OfferReply.UNCHANGED, OfferReply.APPLIED):
            right = reply.root == bytes.fromhex(offer.root)[:TOLD]
            sent.version, sent.root = reply.version, offer.root if right else ""
            sent.acknowledged_at = reply.acknowledged_at
        elif dry_run:
            sent.version, sent.root = reply.version, reply.root.hex()
            sent.acknowledged_at = reply.acknowledged_at
        else:
            size = self.pace.batch(BATCH)
            chunks = push_chunks(snapshot, reply.wants, self.fence, self.encoder, size)
            pushed = await self._push(chunks, destination, sent)
            sent.files_changed = pushed.files_changed
            sent.version, sent.root = pushed.version, pushed.root.hex()
            sent.acknowledged_at = pushed.acknowledged_at
        if sent.root != offer.root and not dry_run:
            raise SyncError(
                "it acknowledges another version than the one that was offered",
                where=f"host {destination.host}",
                remedy="the next round offers it anew",
            )
        destination.root = sent.root
        if not dry_run:
            destination.profile_json = offer.profile_json or destination.profile_json
            self.history.acknowledge(destination.host, sent.root)
        return sent

    async def _push(
        self, chunks: Iterator[PushChunk], destination: Destination, sent: Sent
    ) -> PushReply:
        """Push the contents, as long as the destination keeps taking them.

        :raises SyncError: when a content can no longer be read, or the destination stopped.
        """
        broken: list[SyncError] = []
        try:
            async with asyncio.timeout(destination.timeout) as patience:
                messages = self._paced(chunks, sent, patience, destination.timeout, broken)
                return await destination.stub.Push(messages)
        except TimeoutError:
            raise SyncError(
                f"it took nothing for {destination.timeout:g} seconds",
                where=f"host {destination.host}",
                remedy="the next round goes on from there",
            ) from None
        except (asyncio.CancelledError, grpc.RpcError):
            # A call whose messages fail is cancelled, whatever they failed with.
            if broken:
                raise broken[0] from None
            raise

    async def _paced(
        self,
        chunks: Iterator[PushChunk],
        sent: Sent,
        patience: asyncio.Timeout,
        seconds: float,
        broken: list[SyncError],
    ) -> AsyncIterator[PushChunk]:
        """Give messages at the pace; only what the destination takes to accept one is its time."""
        loop = asyncio.get_running_loop()
        patience.reschedule(None)
        try:
            async for chunk in _read(chunks):
                size = chunk.ByteSize()
                await self.pace.take(size)
                sent.bytes_sent += size
                patience.reschedule(loop.time() + seconds)
                yield chunk
                patience.reschedule(None)
        except SyncError as error:
            broken.append(error)
            raise
        patience.reschedule(loop.time() + seconds)

    async def _agree(
        self,
        snapshot: Snapshot,
        destination: Destination,
        sent: Sent,
        *,
        dry_run: bool,
        final: bool,
    ) -> tuple[Offer, OfferReply]:
        """Offer the snapshot on the best base that both sides know, down to the full manifest.

        What is small goes at once; should it not fit, it is offered on the same base.
        """
        base = destination.root if destination.root is not None else self.history.newest.root
        above = 0
        small = not dry_run  # which sends no contents
        for _ in range(_OFFERS + 1):
            offer = self._offer(snapshot, destination, base, above, dry_run=dry_run, final=final)
            delta = await self._small(offer, snapshot) if small else None
            small = delta is not None
            if delta is not None:
                sent.bytes_sent += delta.ByteSize()
                await self.pace.take(delta.ByteSize())
                seconds = destination.timeout + delta.ByteSize() / _SLOWEST
                reply = await destination.stub.OfferSmall(delta, timeout=seconds)
            else:
                entries = self.history.entries(offer.base_root) or ()
                offer = replace(offer, delta=difference(entries, snapshot.entries))
                parts = list(offer_parts(offer, self.fence))
                sent.bytes_sent += sum(part.ByteSize() for part in parts)
                reply = await destination.stub.Offer(iter(parts), timeout=destination.timeout)
            if reply.verdict == OfferReply.BUSY:
                raise SyncError(
                    "it is receiving another round of this resource",
                    where=f"host {destination.host}",
                    remedy="the next round tries again",
                )
            if reply.verdict != OfferReply.WRONG_BASE:
                return offer, reply
            # Another base, or its number is higher than ours; the last resort is the full manifest.
            other = reply.root.hex()
            base = other if small or other != base else ""
            destination.profile_json = None
            small = False
            above = max(above, reply.version)
        raise SyncError("it accepts no offer", where=f"host {destination.host}")

    async def _small(self, offer: Offer, snapshot: Snapshot) -> SmallDelta | None:
        """Return the offer with all contents as one message, if that is small.

        :raises SyncError: when a file changed since it was captured.
        """
        # Without a version that both know, a small state goes as a whole.
        entries = self.history.entries(offer.base_root) if offer.base_root else ()
        if entries is None:
            return None
        if offer.root == offer.base_root:
            delta: SmallDelta | None = SmallDelta()
        else:
            key = ("small", offer.base_root, offer.root, offer.final)
            work = partial(
                self.encoder.once,
                key,
                partial(small_delta, entries, snapshot, self.encoder, fast=offer.final),
                lambda made: 0 if made is None else made.ByteSize(),
            )
            delta = await asyncio.to_thread(work)
        if delta is None:
            return None
        message = SmallDelta(start=start_message(offer, self.fence))
        message.start.ClearField("source")  # the certificate says it
        message.start.base_root = message.start.base_root[:TOLD]  # the new root proves it
        if offer.root == offer.base_root:  # it only has to be known again
            message.start.root = message.start.root[:TOLD]
            for field in ("base_root", "captured_at"):
                message.start.ClearField(field)
        message.MergeFrom(delta)
        return message

    def _offer(
        self,
        snapshot: Snapshot,
        destination: Destination,
        base: str,
        above: int,
        *,
        dry_run: bool,
        final: bool,
    ) -> Offer:
        """Return the beginning of an offer: what is in its delta is another matter."""
        known = self.history.entries(base) is not None
        version = self.history.add(snapshot, above, keep=not final)
        profile = "" if snapshot.profile is None else json.dumps(snapshot.profile)
        return Offer(
            source=self.source,
            root=snapshot.root,
            version=version.number,
            base_root=base if known else "",
            delta=Delta((), ()),
            captured_at=snapshot.captured_at,
            profile_json="" if profile == destination.profile_json else profile,
            dry_run=dry_run,
            final=final,
        )


async def _read(chunks: Iterator[PushChunk]) -> AsyncIterator[PushChunk]:
    """Give messages as they are read, off the event loop.

    While one takes long, as when a patch is made, empty ones in between tell the destination that
    the source is at work.
    """
    while True:
        reading = asyncio.ensure_future(asyncio.to_thread(next, chunks, None))
        try:
            while not (await asyncio.wait([reading], timeout=_SIGN))[0]:
                yield PushChunk(contents=Contents())
            chunk = await reading
        finally:
            reading.cancel()
        if chunk is None:
            return
        yield chunk
