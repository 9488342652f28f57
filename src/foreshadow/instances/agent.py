"""The instance driver of hosts with an agent: each call is one call to it."""

from __future__ import annotations

import json

from foreshadow.domain.clock import WallTime
from foreshadow.domain.fleet import Host, Instance, Role, RunState
from foreshadow.domain.protocols import Health
from foreshadow.domain.spec import Mode, ResourceSpec
from foreshadow.wire.access import Access
from foreshadow.wire.gen import agent_pb2 as pb

_HOOKS_SECONDS = 65.0
"""What two hooks may take, and a little more."""
_STOP_SECONDS = 600.0
"""For calls that stop a service without knowing its spec: the agent knows its ``stop_timeout``."""


class AgentInstances:
    """The instances of one host, through its agent."""

    def __init__(self, host: Host, access: Access) -> None:
        self._host = host
        self._access = access

    def get(self, resource: str) -> Instance | None:
        """Return the instance of a resource as it is now, or ``None``."""
        client = self._access.client(self._host.name)
        reply = client.call(client.agent.GetInstance, pb.InstanceQuery(resource=resource))
        return self._instance(reply) if reply.exists else None

    def create(self, spec: ResourceSpec, mode: Mode, token: int) -> Instance:
        """Make a shadow and bring it to rest in ``mode``: started and checked unless cold."""
        client = self._access.client(self._host.name)
        request = pb.CreateRequest(
            fence=pb.Fence(resource=spec.name, token=token),
            spec_json=_json(spec),
            mode=mode.value,
            capacity_json=self._host.capacity.model_dump_json(),
        )
        return self._instance(client.call(client.agent.Create, request, _start_seconds(spec)))

    def adopt(self, spec: ResourceSpec, token: int) -> Instance:
        """Take the running primary into care without a restart; start it when none runs."""
        client = self._access.client(self._host.name)
        request = pb.AdoptRequest(
            fence=pb.Fence(resource=spec.name, token=token),
            spec_json=_json(spec),
            capacity_json=self._host.capacity.model_dump_json(),
        )
        return self._instance(client.call(client.agent.Adopt, request, _start_seconds(spec)))

    def activate(self, spec: ResourceSpec, token: int) -> WallTime:
        """Thaw or start a shadow, reload its state, probe it; return when it was thawed."""
        client = self._access.client(self._host.name)
        request = pb.ActivateRequest(
            fence=pb.Fence(resource=spec.name, token=token), spec_json=_json(spec)
        )
        reply = client.call(client.agent.Activate, request, _start_seconds(spec))
        return WallTime(reply.thawed_at)

    def freeze(self, spec: ResourceSpec, mode: Mode, token: int) -> Instance:
        """Bring an activated shadow, or a demoted primary, to rest in ``mode``."""
        client = self._access.client(self._host.name)
        request = pb.FreezeRequest(fence=pb.Fence(resource=spec.name, token=token), mode=mode.value)
        return self._instance(client.call(client.agent.Freeze, request, _start_seconds(spec)))

    def prepare(self, resource: str, token: int) -> None:
        """Make ready what a promotion needs, while the service still runs elsewhere."""
        client = self._access.client(self._host.name)
        client.call(client.agent.Prepare, _fenced(resource, token), _STOP_SECONDS)

    def promote(self, resource: str, token: int, within: float | None = None) -> Instance:
        """Give a shadow its writable state and the role of the primary."""
        client = self._access.client(self._host.name)
        # A copy of the state is part of it, where the file system cannot share blocks.
        seconds = _STOP_SECONDS if within is None else within
        reply = client.call(client.agent.Promote, _fenced(resource, token), seconds)
        return self._instance(reply)

    def demote(self, resource: str, token: int) -> Instance:
        """Take the role of the primary away; its state becomes the base of the next version."""
        client = self._access.client(self._host.name)
        request = _fenced(resource, token)
        return self._instance(client.call(client.agent.Demote, request, _HOOKS_SECONDS))

    def seal(self, resource: str, token: int, within: float = 0.0) -> None:
        """Let the primary write nothing more, once its requests have ended; its role stays."""
        client = self._access.client(self._host.name)
        request = pb.SealRequest(fence=pb.Fence(resource=resource, token=token), within=within)
        client.call(client.agent.Seal, request, _HOOKS_SECONDS + within)

    def unseal(self, resource: str, token: int) -> None:
        """Let the primary write again."""
        client = self._access.client(self._host.name)
        client.call(client.agent.Unseal, _fenced(resource, token), _HOOKS_SECONDS)

    def go_away(self, resource: str, token: int) -> None:
        """Let go of connections that would not end by themselves."""
        client = self._access.client(self._host.name)
        client.call(client.agent.GoAway, _fenced(resource, token), _HOOKS_SECONDS)

    def deactivate(self, resource: str, token: int) -> None:
        """Stop the process, gently and then not."""
        client = self._access.client(self._host.name)
        client.call(client.agent.Deactivate, _fenced(resource, token), _STOP_SECONDS)

    def remove(self, resource: str, token: int) -> None:
        """Stop a shadow and forget it and its state; a primary is let go, and runs on."""
        client = self._access.client(self._host.name)
        client.call(client.agent.Remove, _fenced(resource, token), _STOP_SECONDS)

    def health(self, resource: str, successes: int = 1) -> Health:
        """Probe the instance directly, ``successes`` times in a row."""
        client = self._access.client(self._host.name)
        request = pb.HealthRequest(resource=resource, successes=successes)
        reply = client.call(client.agent.Health, request)
        return Health(reply.healthy, reply.detail, WallTime(reply.checked_at))

    def in_flight(self, resource: str) -> int:
        """Return the requests in flight, as the spec's ``drain`` counts them."""
        client = self._access.client(self._host.name)
        return client.call(client.agent.InFlight, pb.InstanceQuery(resource=resource)).in_flight

    def _instance(self, reply: pb.InstanceReply) -> Instance:
        return Instance(
            resource=reply.resource,
            host=self._host.name,
            role=Role(reply.role),
            mode=Mode(reply.mode),
            state=RunState(reply.state),
            address=reply.address,
            port=reply.port,
            version=reply.version,
            release=reply.release or None,
            launched=reply.launched,
        )


def _json(spec: ResourceSpec) -> str:
    return json.dumps(spec.plain())


def _fenced(resource: str, token: int) -> pb.FenceRequest:
    return pb.FenceRequest(fence=pb.Fence(resource=resource, token=token))


def _start_seconds(spec: ResourceSpec) -> float:
    """Return how long it may take until a service was stopped, started and found well."""
    service = spec.service
    probes = service.health.timeout * (service.health.successes + 1)
    return service.health.start_timeout + service.stop_timeout + probes + _HOOKS_SECONDS
