"""The destination side on an agent: one inbox for each resource, one round at a time in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from foreshadow.agent.home import AgentHome
from foreshadow.agent.records import Record
from foreshadow.agent.scope import Scope
from foreshadow.agent.threads import in_thread
from foreshadow.domain.errors import AccessError, RefusedError, SyncError
from foreshadow.domain.fleet import Role
from foreshadow.sync.assemble import Owner
from foreshadow.sync.intake import OfferIntake, PushIntake, offer_reply, take_small
from foreshadow.sync.receive import Receiver
from foreshadow.sync.sound import verify
from foreshadow.wire.gen.agent_pb2 import Fence
from foreshadow.wire.gen.sync_pb2 import (
    OfferPart,
    OfferReply,
    OfferRequest,
    PushChunk,
    PushReply,
    SmallDelta,
)

_UNREAD = 3600.0
"""Seconds after which a large file of a version is read as a whole again."""

_PATIENCE = 60.0
"""Seconds without a message after which a source is taken for gone."""

_log = logging.getLogger(__name__)


class Inbox:
    """Where one resource's state arrives.

    :param working: held while the receiver is at work, and never while a message is waited for.
    """

    def __init__(self, record: Record, owner: Owner | None, working: asyncio.Lock) -> None:
        self.owner = owner
        self.receiver = Receiver(record.layout.folder, owner)
        self.working = working
        self.committing = False
        self.push: asyncio.Task[Any] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no call is at work in it."""
        return self.push is None and not self.working.locked()

    async def abandon(self) -> None:
        """Break off a push that is under way: its source has begun anew, or there is a new one."""
        push, self.push = self.push, None
        if push is not None:
            push.cancel()
            await asyncio.wait([push])


class Inboxes:
    """The inboxes of the resources that have a shadow on this host."""

    def __init__(self, home: AgentHome) -> None:
        self._home = home
        self._inboxes: dict[str, Inbox] = {}
        self._ahead: set[asyncio.Task[None]] = set()

    async def offer(self, parts: AsyncIterator[OfferPart], caller: str) -> OfferReply:
        """Answer an offer.

        :param caller: the host that the peer's certificate names.
        :raises AccessError: when the caller offers in the name of another host, or is not the one
            that the shadow follows.
        :raises FencedError: when its token is older than one that was seen.
        :raises RefusedError: when the instance here is the primary.
        :raises SyncError: when the offer is refused.
        """
        intake = OfferIntake()
        async for part in _patient(parts):
            intake.feed(part)
        offer = intake.finish()
        assert intake.start is not None  # noqa: S101 - finish() saw to it

        def answered(receiver: Receiver) -> OfferReply:
            return offer_reply(receiver.offer(offer), self._home.now())

        return await self._answer(intake.start, caller, answered)

    async def offer_small(self, small: SmallDelta, caller: str) -> OfferReply:
        """Answer a delta that came as one message, and commit it if it fits; see :meth:`offer`."""
        if not small.HasField("start"):
            raise SyncError("it is empty", where="small delta")
        small.start.source = small.start.source or caller

        def answered(receiver: Receiver) -> OfferReply:
            return take_small(receiver, small, self._home.now)

        reply = await self._answer(small.start, caller, answered)
        if small.start.final and reply.verdict == OfferReply.APPLIED:
            task = asyncio.create_task(self._bring_up(small.start.fence.resource))
            self._ahead.add(task)
            task.add_done_callback(self._ahead.discard)
        return reply

    async def _bring_up(self, resource: str) -> None:
        """Begin what a promotion would do first, while the acknowledgement is on its way."""
        async with self._home.state_lock(resource):
            record = self._home.instances.get(resource)
            if record is not None and record.role is Role.SHADOW:
                await in_thread(self._home.copies.bring_up, record.layout)

    async def _answer(
        self, start: OfferRequest, caller: str, answered: Callable[[Receiver], OfferReply]
    ) -> OfferReply:
        if start.source != caller:
            raise AccessError(
                f"agent {caller} offers state in the name of {start.source[:80]!r}",
                remedy="give each agent the certificate of its own host",
            )
        inbox = self._inbox(start.fence, caller, only_asks=start.dry_run)
        if inbox.committing:
            return OfferReply(verdict=OfferReply.BUSY)
        if not start.dry_run:
            await inbox.abandon()
        async with inbox.working:
            # By the time its turn came, the shadow may follow another host or be the primary.
            if self._inbox(start.fence, caller, only_asks=start.dry_run) is not inbox:
                return OfferReply(verdict=OfferReply.BUSY)
            return await in_thread(answered, inbox.receiver)

    async def push(self, chunks: AsyncIterator[PushChunk], caller: str) -> PushReply:
        """Take the contents of the version that the caller offered, and commit it.

        :param caller: the host that the peer's certificate names.
        :raises AccessError: when somebody else offered it, or is followed by now.
        :raises FencedError: when a newer token was seen meanwhile.
        :raises SyncError: when it is refused; the version before stays.
        """
        messages = _patient(chunks)
        first = await anext(messages, None)
        if first is None or first.WhichOneof("part") != "start":
            raise SyncError("its parts are out of order", where="push")
        start = first.start
        inbox = self._inbox(start.fence, caller)
        source = inbox.receiver.source_of(start.root.hex())
        if source != caller:
            raise AccessError(f"agent {caller} pushes what {source} offered")
        await inbox.abandon()
        inbox.push = asyncio.current_task()
        intake = PushIntake(inbox.receiver, start)
        try:
            async for chunk in messages:
                async with inbox.working:
                    await in_thread(intake.feed, chunk)
            inbox.committing = True
            async with inbox.working:
                self._inbox(start.fence, caller)
                return await in_thread(intake.finish, self._home.now())
        finally:
            inbox.committing = False
            if inbox.push is asyncio.current_task():
                inbox.push = None

    async def let_go(self) -> None:
        """Let go of the inboxes of resources that have no shadow here any more.

        :raises SyncError: when the disk does not take what is left to flush.
        """
        for resource, inbox in list(self._inboxes.items()):
            record = self._home.instances.get(resource)
            gone = record is None or record.role is not Role.SHADOW
            if gone and inbox.is_idle:
                del self._inboxes[resource]
                await in_thread(inbox.receiver.close)

    async def look_again(self) -> None:
        """Read a file of each shadow as a whole, if a part of it was not read for long.

        Without the lock, which a promotion may wait for: nobody writes to a file that is open here.
        """
        for resource, inbox in list(self._inboxes.items()):
            unread = await in_thread(inbox.receiver.unread, _UNREAD)
            if unread is None:
                continue
            path, entry = unread
            if await in_thread(verify, path, entry):
                async with inbox.working:
                    inbox.receiver.was_read(entry)
            else:
                _log.warning("%s of %s is damaged: the next round sends it", path, resource)

    def _inbox(self, fence: Fence, caller: str, *, only_asks: bool = False) -> Inbox:
        """Return the inbox of a shadow that follows the caller, when the token is not too old."""
        self._home.sources.check(fence.resource, caller, only_asks=only_asks)
        record = self._home.instances.need(fence.resource)
        self._home.fences.check_peer(fence.resource, fence.token, only_asks=only_asks)
        scope = Scope(record, self._home)
        if record.role is not Role.SHADOW:
            raise RefusedError(
                "is the primary here, and takes no state from elsewhere",
                where=scope.where,
                remedy="stop the schedule at the former primary",
            )
        account = scope.account()
        owner = None if account is None else Owner(account.user, account.group)
        inbox = self._inboxes.get(fence.resource)
        if inbox is None or inbox.owner != owner:
            working = self._home.state_lock(fence.resource)
            inbox = self._inboxes[fence.resource] = Inbox(record, owner, working)
        return inbox


async def _patient(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Give messages for as long as they keep coming.

    :raises SyncError: when none came for a while: the source's machine may be gone.
    """
    while True:
        try:
            message = await asyncio.wait_for(anext(messages), _PATIENCE)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise SyncError(
                f"nothing came for {_PATIENCE:g} seconds", where="source of the state"
            ) from None
        yield message
