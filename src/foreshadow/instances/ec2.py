"""The instance driver of hosts whose machine is an EC2 instance.

On the machine an agent does what agents do. This driver sees to it that the machine is there and
runs: a cold shadow's is stopped, or hibernated; a warm one's runs idle, its process frozen; a hot
one's runs, and the load balancer has it with weight 0.
"""

from __future__ import annotations

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import ForeshadowError, ServiceError, UnreachableError
from foreshadow.domain.fleet import Host, Instance, Role, RunState, launch_digest
from foreshadow.domain.protocols import Health
from foreshadow.domain.spec import Mode, ResourceSpec
from foreshadow.instances.agent import AgentInstances
from foreshadow.instances.ec2_machine import Machines
from foreshadow.instances.ec2_options import parse_options
from foreshadow.instances.ec2_tags import RESOURCE, REST, Machine, rest
from foreshadow.wire.access import Access
from foreshadow.wire.clock import system_time
from foreshadow.wire.gen import agent_pb2 as pb

_ASK_SECONDS = 2.0


class Ec2Instances:
    """The instance of one host, on its machine.

    :raises SpecError: when the host's labels that begin ``ec2_`` are malformed.
    """

    def __init__(self, host: Host, access: Access) -> None:
        self._host = host
        self._access = access
        self._agent = AgentInstances(host, access)
        self._machines = Machines(host, parse_options(host), self._answers)

    def get(self, resource: str) -> Instance | None:
        """Return the instance of a resource as it is now, or ``None``.

        A machine that was made for the resource and carries nothing yet, or that runs although its
        shadow rests cold, is an instance that failed: so it is owned, and whoever makes or removes
        it goes on from there.
        """
        machine = self._machines.find()
        if machine is None or machine.resource not in ("", resource):
            return None
        if not machine.awake:
            return self._at_rest(machine, resource) if machine.resource else None
        found = self._asked(machine, resource)
        if found is None:
            return (
                machine.instance(resource, self._host, RunState.FAILED)
                if machine.resource
                else None
            )
        left_on = found.role is Role.SHADOW and found.mode is Mode.COLD
        if left_on and found.state is RunState.STOPPED:
            return found.model_copy(update={"state": RunState.FAILED})
        return found

    def create(self, spec: ResourceSpec, mode: Mode, token: int) -> Instance:
        """Make a shadow and bring it to rest in ``mode``: its machine too, when there is none."""
        machine = self._machines.find()
        if machine is not None:
            self._machines.refuse(machine, spec.name, token)
            if not machine.awake and mode is Mode.COLD and self._is_as_asked(machine, spec):
                return self._at_rest(machine, spec.name)
        machine = self._machines.ensure(spec.name, token)
        return self._rested(machine, self._agent.create(spec, mode, token), token)

    def adopt(self, spec: ResourceSpec, token: int) -> Instance:
        """Take the running primary into care without a restart; start it when none runs."""
        self._machines.ensure(spec.name, token)
        return self._agent.adopt(spec, token)

    def activate(self, spec: ResourceSpec, token: int) -> WallTime:
        """Start the machine of a cold shadow; thaw or start the shadow; return when that was."""
        self._required(spec.name, token)
        self._machines.ensure(spec.name, token)
        return self._agent.activate(spec, token)

    def freeze(self, spec: ResourceSpec, mode: Mode, token: int) -> Instance:
        """Bring an activated shadow, or a demoted primary, to rest in ``mode``."""
        machine = self._required(spec.name, token)
        if not machine.awake and mode is Mode.COLD:
            return self._at_rest(machine, spec.name)
        machine = self._machines.ensure(spec.name, token)
        return self._rested(machine, self._agent.freeze(spec, mode, token), token)

    def prepare(self, resource: str, token: int) -> None:
        """Make ready what a promotion needs, while the service still runs elsewhere."""
        self._agent.prepare(resource, token)

    def promote(self, resource: str, token: int, within: float | None = None) -> Instance:
        """Give a shadow its writable state and the role of the primary."""
        try:
            return self._agent.promote(resource, token, within)
        except UnreachableError as error:
            raise self._why(error) from None

    def demote(self, resource: str, token: int) -> Instance:
        """Take the role of the primary away; its state becomes the base of the next version."""
        try:
            return self._agent.demote(resource, token)
        except UnreachableError as error:
            raise self._why(error) from None

    def seal(self, resource: str, token: int, within: float = 0.0) -> None:
        """Let the primary write nothing more, once its requests have ended; its role stays."""
        self._agent.seal(resource, token, within)

    def unseal(self, resource: str, token: int) -> None:
        """Let the primary write again."""
        self._agent.unseal(resource, token)

    def go_away(self, resource: str, token: int) -> None:
        """Let the service say goodbye to what does not end by itself."""
        self._agent.go_away(resource, token)

    def deactivate(self, resource: str, token: int) -> None:
        """Stop the process, gently and then not; the machine runs on."""
        machine = self._machines.find()
        if machine is None or machine.resource not in ("", resource):
            return
        self._machines.refuse(machine, resource, token)
        if machine.awake:
            self._agent.deactivate(resource, token)

    def remove(self, resource: str, token: int) -> None:
        """End a shadow with its machine, if that was made here; a primary is let go with its own.

        :raises FencedError: when the token is late.
        """
        machine = self._machines.find()
        if machine is None or machine.resource not in ("", resource):
            return
        self._machines.refuse(machine, resource, token)
        primary = False
        if machine.awake:
            try:
                found = self._agent.get(resource)
            except UnreachableError as error:
                raise UnreachableError(
                    error.problem,
                    where=error.where,
                    remedy=f"if its machine {machine.id} is broken, and it is no primary, "
                    "terminate that in EC2",
                ) from None
            self._agent.remove(resource, token)
            primary = found is not None and found.role is Role.PRIMARY
        if machine.made and machine.resource and not primary:
            self._machines.terminate(machine)
        elif machine.resource:
            self._machines.tag(machine, {RESOURCE: "", REST: ""})

    def health(self, resource: str, successes: int = 1) -> Health:
        """Probe the instance directly, ``successes`` times in a row."""
        try:
            return self._agent.health(resource, successes)
        except UnreachableError as error:
            why = self._why(error)
            if isinstance(why, ServiceError):
                return Health(False, why.problem, system_time())
            raise why from None

    def in_flight(self, resource: str) -> int:
        """Return the requests in flight, as the spec's ``drain`` counts them."""
        try:
            return self._agent.in_flight(resource)
        except UnreachableError as error:
            why = self._why(error)
            if isinstance(why, ServiceError):
                return 0
            raise why from None

    def _required(self, resource: str, token: int) -> Machine:
        machine = self._machines.find()
        if machine is None or machine.resource not in ("", resource):
            raise ServiceError(
                f"has no machine for {resource}",
                where=f"host {self._host.name}",
                remedy="create it with shadow_instance",
            )
        self._machines.refuse(machine, resource, token)
        return machine

    def _rested(self, machine: Machine, instance: Instance, token: int) -> Instance:
        """Stop the machine of what rests cold."""
        if instance.mode is Mode.COLD and instance.state is RunState.STOPPED:
            self._machines.stop(machine, token, {RESOURCE: instance.resource, REST: rest(instance)})
        return instance

    def _at_rest(self, machine: Machine, resource: str) -> Instance:
        return machine.instance(resource, self._host, RunState.STOPPED)

    def _is_as_asked(self, machine: Machine, spec: ResourceSpec) -> bool:
        known = self._at_rest(machine, spec.name)
        launched = launch_digest(spec.service, self._host.capacity)
        return bool(machine.rest) and known.mode is Mode.COLD and known.launched == launched

    def _asked(self, machine: Machine, resource: str) -> Instance | None:
        """Return what the agent says; while its machine still starts, that it carries nothing."""
        try:
            return self._agent.get(resource)
        except UnreachableError:
            if machine.state == "pending":
                return None
            raise

    def _answers(self) -> bool:
        client = self._access.client(self._host.name)
        try:
            client.call(client.agent.Describe, pb.DescribeRequest(), _ASK_SECONDS)
        except UnreachableError:
            return False
        return True

    def _why(self, error: UnreachableError) -> ForeshadowError:
        """Return why the agent does not answer, when the machine tells it."""
        machine = self._machines.find()
        if machine is not None and machine.awake:
            return error
        state = "there is no machine" if machine is None else f"its machine is {machine.state}"
        return ServiceError(state, where=f"host {self._host.name}", remedy="activate it first")
