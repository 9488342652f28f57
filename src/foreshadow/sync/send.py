"""One round from the source to one destination."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from foreshadow.domain.errors import SyncError
from foreshadow.sync.delta import difference
from foreshadow.sync.history import History
from foreshadow.sync.messages import BATCH, contents_part, offer_parts, push_chunks
from foreshadow.sync.pace import Pace
from foreshadow.sync.receive import Offer
from foreshadow.sync.snapshot import Snapshot
from foreshadow.wire.gen.agent_pb2 import Fence
from foreshadow.wire.gen.sync_pb2 import OfferReply, PushChunk, PushReply, WholeOffer

if TYPE_CHECKING:  # it is only in the type stubs
    from foreshadow.wire.gen.sync_pb2_grpc import SyncAsyncStub

_OFFERS = 4
_FEW = 3
"""Parts of an offer that go in one message: its start, and what is new and gone."""


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
    """

    stub: SyncAsyncStub
    host: str
    timeout: float = 30.0
    root: str | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends snapshots under one fencing token.

    :ivar source: the name of this host.
    """

    source: str
    fence: Fence
    history: History
    pace: Pace

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
        if reply.verdict in (OfferReply.UNCHANGED, OfferReply.APPLIED) or dry_run:
            sent.version, sent.root = reply.version, reply.root
            sent.acknowledged_at = reply.acknowledged_at
        else:
            wants = {want.digest.hex(): want.offset for want in reply.wants}
            chunks = push_chunks(snapshot, wants, self.fence, offer.root, self.pace.batch(BATCH))
            pushed = await self._push(chunks, destination, sent)
            sent.files_changed = pushed.files_changed
            sent.version, sent.root = pushed.version, pushed.root
            sent.acknowledged_at = pushed.acknowledged_at
        destination.root = sent.root
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
        """Give messages as they are read, off the event loop, at the pace."""
        loop = asyncio.get_running_loop()
        try:
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                size = chunk.ByteSize()
                await self.pace.take(size)
                patience.reschedule(loop.time() + seconds)
                sent.bytes_sent += size
                yield chunk
        except SyncError as error:
            broken.append(error)
            raise

    async def _agree(
        self,
        snapshot: Snapshot,
        destination: Destination,
        sent: Sent,
        *,
        dry_run: bool,
        final: bool,
    ) -> tuple[Offer, OfferReply]:
        """Offer the snapshot on the best base that both sides know, down to the full manifest."""
        base = destination.root if destination.root is not None else self.history.newest.root
        above = 0
        for _ in range(_OFFERS):
            offer = self._offer(snapshot, base, above, dry_run=dry_run, final=final)
            parts = list(offer_parts(offer, self.fence))
            whole = final and bool(offer.base_root) and len(parts) <= _FEW
            if whole:
                # So little that was written just now that reading it here costs less than a thread.
                along = contents_part(snapshot, offer.delta, self.history.entries(base) or ())
                parts += [] if along is None else [along]
            sent.bytes_sent += sum(part.ByteSize() for part in parts)
            if whole:
                message = WholeOffer(parts=parts)
                reply = await destination.stub.OfferWhole(message, timeout=destination.timeout)
            else:
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
            base = reply.root if reply.root != base else ""
            above = max(above, reply.version)
        raise SyncError("it accepts no offer", where=f"host {destination.host}")

    def _offer(
        self, snapshot: Snapshot, base: str, above: int, *, dry_run: bool, final: bool
    ) -> Offer:
        entries = self.history.entries(base)
        version = self.history.add(snapshot, above, keep=not final)
        profile = "" if snapshot.profile is None else json.dumps(snapshot.profile)
        return Offer(
            source=self.source,
            root=snapshot.root,
            version=version.number,
            base_root=base if entries is not None else "",
            delta=difference(entries or (), snapshot.entries),
            captured_at=snapshot.captured_at,
            profile_json=profile,
            dry_run=dry_run,
            final=final,
        )
