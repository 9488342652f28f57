# ruff: noqa: N802 - the methods have the names of the .proto file
"""The sync calls of an agent: receiving state from others, and sending its own when asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc.aio

from foreshadow.agent.home import AgentHome
from foreshadow.agent.remarks import Remarks
from foreshadow.agent.supervisor import Supervisor
from foreshadow.agent.sync_inbox import Inboxes
from foreshadow.agent.sync_rounds import Rounds
from foreshadow.agent.sync_schedule import Plan, Schedules
from foreshadow.domain.errors import AccessError
from foreshadow.domain.fleet import Host, parse_host
from foreshadow.wire.gen import sync_pb2 as pb
from foreshadow.wire.gen.agent_pb2 import InstanceQuery, Peer
from foreshadow.wire.gen.sync_pb2_grpc import SyncServicer
from foreshadow.wire.identity import Kind, peer

Context = grpc.aio.ServicerContext[Any, Any]

_TIDY_EVERY = 60.0
"""Seconds between two looks at what gone resources left, and at what was not read for long."""


class SyncService(SyncServicer):
    """Serves the sync calls of one agent, and runs its schedules between start and stop."""

    def __init__(self, home: AgentHome, supervisor: Supervisor) -> None:
        self._home = home
        self._supervisor = supervisor
        self._inboxes = Inboxes(home)
        self._rounds = Rounds(home)
        self._schedules = Schedules(home, self._rounds)
        self._remarks = Remarks()
        self._tidying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on with the schedules that were there before a restart."""
        self._schedules.start()
        self._tidying = asyncio.create_task(self._tidy())

    async def stop(self) -> None:
        """End what is under way; schedules go on at the next start."""
        if self._tidying is not None:
            self._tidying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tidying
        await self._schedules.stop()
        await self._rounds.close()

    async def Offer(
        self, request_iterator: AsyncIterator[pb.OfferPart], context: Context
    ) -> pb.OfferReply:
        """Say what is missing of a version that another agent offers."""
        return await self._inboxes.offer(request_iterator, _agent(context))

    async def OfferSmall(self, request: pb.SmallDelta, context: Context) -> pb.OfferReply:
        """Take a delta that came as one message."""
        return await self._inboxes.offer_small(request, _agent(context))

    async def Push(
        self, request_iterator: AsyncIterator[pb.PushChunk], context: Context
    ) -> pb.PushReply:
        """Take what was missing, and make the version the current one."""
        return await self._inboxes.push(request_iterator, _agent(context))

    async def SyncNow(self, request: pb.SyncRequest, context: Context) -> pb.SyncReply:
        """Run one round to each target, and tell how it ended."""
        resource = request.fence.resource
        self._rounds.need_primary(resource)
        self._home.fences.check(resource, request.fence.token)
        if request.seal_within:
            fence = request.fence
            await self._supervisor.seal(fence.resource, fence.token, request.seal_within)
        hosts = _hosts(request.targets)
        ends = await self._rounds.run(resource, hosts, dry_run=request.dry_run, final=request.final)
        results = [end.message(host) for host, end in ends.items()]
        return pb.SyncReply(results=results, notes=self._rounds.notes(resource))

    async def Schedule(self, request: pb.ScheduleRequest, context: Context) -> pb.SyncStatusReply:
        """Run rounds on an interval from now on, or no longer."""
        resource = request.fence.resource
        if request.interval > 0:
            self._rounds.need_primary(resource)
        self._home.fences.check(resource, request.fence.token)
        if request.interval > 0:
            plan = Plan(request.interval, request.fence.token, _hosts(request.targets))
            await self._schedules.set(resource, plan)
        else:
            await self._schedules.remove(resource)
        return self._status(resource)

    async def SyncStatus(self, request: InstanceQuery, context: Context) -> pb.SyncStatusReply:
        """Tell the schedule of a resource, and how the last round to each target ended."""
        return self._status(request.resource)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_EVERY)
            with self._remarks.tried("letting go of what gone resources left in sync"):
                await self._rounds.let_go()
                await self._inboxes.let_go()
            with self._remarks.tried("reading again what was not read for long"):
                await self._inboxes.look_again()

    def _status(self, resource: str) -> pb.SyncStatusReply:
        standings = self._rounds.standings(resource)
        results = [standing.message(host) for host, standing in standings.items()]
        notes = self._rounds.notes(resource)
        plan = self._schedules.plan(resource)
        if plan is None:
            return pb.SyncStatusReply(scheduled=False, results=results, notes=notes)
        return pb.SyncStatusReply(
            scheduled=True,
            interval=plan.interval,
            token=plan.token,
            results=results,
            targets=[pb.SyncTarget(peer=_peer(host)) for host in plan.hosts],
            notes=notes,
        )


def _agent(context: Context) -> str:
    """Return the host of the agent that calls.

    :raises AccessError: when somebody else calls.
    """
    caller = peer(context)
    if caller.kind is not Kind.AGENT:
        raise AccessError(
            f"{caller} may not send state: only the agent of a primary does",
            remedy="ask that agent with the module state_sync",
        )
    return caller.name


def _hosts(targets: Iterable[pb.SyncTarget]) -> tuple[Host, ...]:
    peers = (target.peer for target in targets)
    return tuple(parse_host({"name": p.host, "address": p.address, "port": p.port}) for p in peers)


def _peer(host: Host) -> Peer:
    return Peer(host=host.name, address=host.address, port=host.port)
