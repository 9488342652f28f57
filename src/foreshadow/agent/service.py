# ruff: noqa: N802 - the methods have the names of the .proto file
"""The agent's calls: messages in, domain values through, messages out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc.aio
from pydantic import ValidationError

from foreshadow.agent.home import AgentHome
from foreshadow.agent.processes import boot_id
from foreshadow.agent.records import Record
from foreshadow.agent.relay import Relay
from foreshadow.agent.round_trips import measure
from foreshadow.agent.samples import Samples
from foreshadow.agent.supervisor import Supervisor
from foreshadow.domain.errors import SpecError
from foreshadow.domain.fleet import Capacity, parse_host
from foreshadow.domain.problems import first_problem
from foreshadow.domain.spec import Mode, ResourceSpec, parse_resource
from foreshadow.wire.gen import agent_pb2 as pb
from foreshadow.wire.gen.agent_pb2_grpc import AgentServicer

Context = grpc.aio.ServicerContext[Any, Any]


class AgentService(AgentServicer):
    """Serves the calls of one agent."""

    def __init__(
        self,
        home: AgentHome,
        supervisor: Supervisor,
        samples: Samples,
        relay: Relay,
        relay_sockets: Sequence[Path],
    ) -> None:
        self._home = home
        self._supervisor = supervisor
        self._samples = samples
        self._relay = relay
        self._relay_sockets = [str(path) for path in relay_sockets]

    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.DescribeReply:
        """Tell who this agent is."""
        return pb.DescribeReply(
            host=self._home.host,
            version=version("ansible-foreshadow"),
            boot_id=boot_id(),
            wall_time=self._home.now(),
            relay_sockets=self._relay_sockets,
            state_dir=str(self._home.state_dir),
            shared_machine=self._home.shared_machine,
        )

    async def GetInstance(self, request: pb.InstanceQuery, context: Context) -> pb.InstanceReply:
        """Tell how an instance is now."""
        record = self._home.instances.get(request.resource)
        if record is None:
            token = self._home.fences.newest(request.resource)
            return pb.InstanceReply(exists=False, resource=request.resource, token=token)
        return self._reply(record)

    async def Create(self, request: pb.CreateRequest, context: Context) -> pb.InstanceReply:
        """Make a shadow."""
        spec, capacity = _spec(request.spec_json, request.fence), _capacity(request.capacity_json)
        mode = _mode(request.mode)
        return self._reply(await self._supervisor.create(spec, capacity, mode, request.fence.token))

    async def Adopt(self, request: pb.AdoptRequest, context: Context) -> pb.InstanceReply:
        """Take the primary into care."""
        spec, capacity = _spec(request.spec_json, request.fence), _capacity(request.capacity_json)
        return self._reply(await self._supervisor.adopt(spec, capacity, request.fence.token))

    async def Activate(self, request: pb.ActivateRequest, context: Context) -> pb.InstanceReply:
        """Wake a shadow."""
        spec = _spec(request.spec_json, request.fence)
        return self._reply(await self._supervisor.activate(spec, request.fence.token))

    async def Freeze(self, request: pb.FreezeRequest, context: Context) -> pb.InstanceReply:
        """Bring a shadow to rest."""
        fence, mode = request.fence, _mode(request.mode)
        return self._reply(await self._supervisor.freeze(fence.resource, mode, fence.token))

    async def Prepare(self, request: pb.FenceRequest, context: Context) -> pb.InstanceReply:
        """Make ready what a promotion needs."""
        fence = request.fence
        return self._reply(await self._supervisor.prepare(fence.resource, fence.token))

    async def Promote(self, request: pb.FenceRequest, context: Context) -> pb.InstanceReply:
        """Make a shadow the primary."""
        fence = request.fence
        return self._reply(await self._supervisor.promote(fence.resource, fence.token))

    async def Demote(self, request: pb.FenceRequest, context: Context) -> pb.InstanceReply:
        """Make the primary a shadow."""
        fence = request.fence
        return self._reply(await self._supervisor.demote(fence.resource, fence.token))

    async def Seal(self, request: pb.SealRequest, context: Context) -> pb.InstanceReply:
        """Let a primary write nothing more, once its requests have ended."""
        fence, within = request.fence, request.within
        return self._reply(await self._supervisor.seal(fence.resource, fence.token, within))

    async def Unseal(self, request: pb.FenceRequest, context: Context) -> pb.InstanceReply:
        """Let a primary write again."""
        fence = request.fence
        return self._reply(await self._supervisor.unseal(fence.resource, fence.token))

    async def GoAway(self, request: pb.FenceRequest, context: Context) -> pb.InstanceReply:
        """Let go of connections that would not end by themselves."""
        fence = request.fence
        return self._reply(await self._supervisor.go_away(fence.resource, fence.token))

    async def Deactivate(self, request: pb.FenceRequest, context: Context) -> pb.InstanceReply:
        """Stop an instance."""
        fence = request.fence
        return self._reply(await self._supervisor.deactivate(fence.resource, fence.token))

    async def Remove(self, request: pb.FenceRequest, context: Context) -> pb.InstanceReply:
        """Stop and forget a shadow, or let a primary go."""
        fence = request.fence
        await self._supervisor.remove(fence.resource, fence.token)
        return pb.InstanceReply(exists=False, resource=fence.resource, token=fence.token)

    async def RaiseFence(self, request: pb.FenceRequest, context: Context) -> pb.Empty:
        """Refuse older tokens from now on."""
        await self._supervisor.raise_fence(request.fence.resource, request.fence.token)
        return pb.Empty()

    async def Follow(self, request: pb.FollowRequest, context: Context) -> pb.Empty:
        """Take state from this host, and no other, from now on."""
        fence = request.fence
        await self._supervisor.follow(fence.resource, request.source, fence.token)
        return pb.Empty()

    async def Health(self, request: pb.HealthRequest, context: Context) -> pb.HealthReply:
        """Probe an instance."""
        health = await self._supervisor.health(request.resource, request.successes)
        return pb.HealthReply(
            healthy=health.healthy, detail=health.detail, checked_at=health.checked_at
        )

    async def InFlight(self, request: pb.InstanceQuery, context: Context) -> pb.InFlightReply:
        """Count the requests in flight."""
        source = self._home.instances.need(request.resource).spec.service.drain.source
        count = await self._supervisor.in_flight(request.resource)
        return pb.InFlightReply(in_flight=count, source=source)

    async def ReadSamples(self, request: pb.SamplesRequest, context: Context) -> pb.SamplesReply:
        """Give what was recorded; a resource without a sample is left out."""
        reply = pb.SamplesReply()
        for resource in request.resources:
            found = self._samples.read(resource, request.series, request.start, request.end)
            if found:
                at, value = zip(*found, strict=True)
                reply.samples.append(pb.Samples(resource=resource, at=at, value=value))
        return reply

    async def MeasureRoundTrips(
        self, request: pb.RoundTripsRequest, context: Context
    ) -> pb.RoundTripsReply:
        """Measure the way to other agents."""
        peers = [
            parse_host({"name": peer.host, "address": peer.address, "port": peer.port})
            for peer in request.peers
        ]
        seconds = await measure(peers, self._home.credentials, request.count)
        return pb.RoundTripsReply(
            round_trips=[
                pb.RoundTrip(host=peer.name, seconds=took)
                for peer, took in zip(peers, seconds, strict=True)
            ]
        )

    async def ReadHaproxy(self, request: pb.HaproxyQuery, context: Context) -> pb.HaproxyReply:
        """Read the servers of a backend."""
        return await self._relay.read(request)

    async def ApplyHaproxy(
        self, request: pb.HaproxyApplyRequest, context: Context
    ) -> pb.HaproxyReply:
        """Change the servers of a backend."""
        return await self._relay.apply(request)

    async def PersistHaproxy(self, request: pb.HaproxyPersistRequest, context: Context) -> pb.Empty:
        """Make the servers' states survive a reload."""
        return await self._relay.persist(request)

    async def HoldHaproxy(
        self, request: pb.HaproxyHoldRequest, context: Context
    ) -> pb.HaproxyHoldReply:
        """Hold new requests of a backend, or let them go on."""
        return await self._relay.hold(request)

    async def ReadHaproxyHold(
        self, request: pb.HaproxyQuery, context: Context
    ) -> pb.HaproxyHoldReply:
        """Tell whether new requests of a backend are held."""
        return await self._relay.read_hold(request)

    def _reply(self, record: Record) -> pb.InstanceReply:
        return pb.InstanceReply(
            exists=True,
            resource=record.resource,
            role=record.role.value,
            mode=record.mode.value,
            state=self._supervisor.state(record).value,
            address=self._home.address,
            port=record.spec.service.port,
            version=record.layout.version(),
            release=record.spec.shadows.release or "",
            token=self._home.fences.newest(record.resource),
            thawed_at=record.thawed_at,
            launched=record.launched,
            follows=self._home.sources.of(record.resource),
        )


def _spec(text: str, fence: pb.Fence) -> ResourceSpec:
    """Return the spec in a request, validated as if a person had written it just now."""
    try:
        raw = json.loads(text)
    except ValueError:
        raise SpecError("the request's spec is not JSON", where=fence.resource) from None
    spec = parse_resource(raw)
    if spec.name != fence.resource:
        raise SpecError(
            f"the request is about {fence.resource[:80]!r}, and its spec about {spec.name}",
            where="request",
            remedy="send the spec of the resource that is acted on",
        )
    return spec


def _capacity(text: str) -> Capacity:
    try:
        return Capacity.model_validate_json(text or "{}")
    except ValidationError as error:
        raise first_problem(error, "capacity", Capacity) from None


def _mode(text: str) -> Mode:
    if text not in list(Mode):
        raise SpecError(
            f"{text[:80]!r} is not a shadow mode", where="request", remedy="use cold, warm or hot"
        )
    return Mode(text)
