"""A host's machine on moto with an agent in memory: for what would take real ones too long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import FencedError, ForeshadowError, UnreachableError
from foreshadow.domain.fleet import RESTING, Host, Instance, Role, RunState, launch_digest
from foreshadow.domain.protocols import Health
from foreshadow.domain.spec import Mode, ResourceSpec
from foreshadow.instances.ec2 import Ec2Instances
from tests.support.aws.balancer import access
from tests.support.aws.faults import Fault
from tests.support.aws.machines import Machines
from tests.support.aws.server import Cloud
from tests.support.services import spec

HOST = "edge-a"
LABELS = {
    "ec2_launch_template": "fleet", "ec2_poll": "5ms", "ec2_boot_timeout": "2s",
    "ec2_stop_timeout": "2s", "ec2_timeout": "1s", "ec2_attempts": "2",
}  # fmt: skip


@dataclass
class MemoryAgent:
    """The agent on the machine: it answers while the machine runs, and its disk outlives a stop."""

    machines: Machines
    host: Host
    disk: dict[str, Instance] = field(default_factory=dict)
    token: int = 0
    deaf: bool = False

    def answers(self) -> bool:
        running = [one for one in self.machines.alive() if self.machines.state(one) == "running"]
        return bool(running) and not self.deaf

    def get(self, resource: str) -> Instance | None:
        self._heard(0)
        return self.disk.get(resource)

    def create(self, spec: ResourceSpec, mode: Mode, token: int) -> Instance:
        self._heard(token)
        self.disk[spec.name] = Instance(
            resource=spec.name, host=self.host.name, role=Role.SHADOW, mode=mode,
            state=RESTING[mode], address=self.host.address, port=spec.service.port,
            launched=launch_digest(spec.service, self.host.capacity),
        )  # fmt: skip
        return self.disk[spec.name]

    def activate(self, spec: ResourceSpec, token: int) -> WallTime:
        self._heard(token)
        self._set(spec.name, state=RunState.RUNNING)
        return WallTime(1.0)

    def freeze(self, spec: ResourceSpec, mode: Mode, token: int) -> Instance:
        self._heard(token)
        return self._set(spec.name, mode=mode, state=RESTING[mode])

    def promote(self, resource: str, token: int, within: float | None = None) -> Instance:
        self._heard(token)
        return self._set(resource, role=Role.PRIMARY)

    def health(self, resource: str, successes: int) -> Health:
        self._heard(0)
        return Health(True, "200", WallTime(1.0))

    def in_flight(self, resource: str) -> int:
        self._heard(0)
        return 3

    def remove(self, resource: str, token: int) -> None:
        self._heard(token)
        self.disk.pop(resource, None)

    def _set(self, resource: str, **changes: Any) -> Instance:
        self.disk[resource] = self.disk[resource].model_copy(update=changes)
        return self.disk[resource]

    def _heard(self, token: int) -> None:
        if not self.answers():
            raise UnreachableError("its agent does not answer", where=f"host {self.host.name}")
        if token and token < self.token:
            raise FencedError("a newer token was seen", where=f"host {self.host.name}")
        self.token = max(self.token, token)


@dataclass
class Fleet:
    """One host, and the cloud that its machine comes from."""

    cloud: Cloud
    machines: Machines
    agent: MemoryAgent
    client: Any

    def driver(self, **labels: str) -> Ec2Instances:
        """Return a driver, as another run of the controller would have it."""
        host = self.agent.host.model_copy(update={"labels": {**LABELS, **labels}})
        driver = Ec2Instances(host, access({HOST: host.address}))
        driver._agent = self.agent  # type: ignore[assignment]
        driver._machines._answers = self.agent.answers
        return driver

    def rest(self) -> None:
        """Leave no machine, and nobody to be found by a tag."""
        self.machines.forget()
        self.machines.full, self.machines.hidden = False, 0.0
        self.agent.disk.clear()
        self.agent.token, self.agent.deaf = 0, False
        self.cloud.forget()


@contextmanager
def running_fleet(cloud: Cloud) -> Iterator[Fleet]:
    """Give a host without a machine, and a launch template to make one of."""
    client = boto3.client("ec2")
    image = client.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    client.create_launch_template(
        LaunchTemplateName="fleet",
        LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"},
    )
    machines = Machines(boot=0.01, halt=0.01)
    host = Host(name=HOST, address="10.0.0.1", driver="ec2", labels=LABELS)
    fleet = Fleet(cloud, machines, MemoryAgent(machines, host), client)

    def end(_: str, for_good: bool) -> None:
        if for_good:
            fleet.agent.disk.clear()

    machines.ends = end
    cloud.truths.append(machines)
    yield fleet


def life(fleet: Fleet) -> list[Callable[[], object]]:
    """Return the steps of a shadow's life, each as another process would take it."""
    shop = spec("shop", HOST)
    return [
        lambda: fleet.driver().create(shop, Mode.COLD, 1),
        lambda: fleet.driver().activate(shop, 2),
        lambda: fleet.driver().freeze(shop, Mode.COLD, 2),
        lambda: fleet.driver().create(shop, Mode.WARM, 3),
        lambda: fleet.driver().remove("shop", 3),
    ]


def enumerate_requests(fleet: Fleet, fault: Fault, stride: int = 1) -> int:
    """Live a shadow's life with a fault at each request in turn; return how many were hit.

    A step that fails is taken once more, as the next run does. There is never more than one
    machine, and none at the end.
    """
    for hit, point in enumerate(range(0, 500, stride)):
        fleet.rest()
        trap = fleet.cloud.trap(fault, skip=point)
        for step in life(fleet):
            try:
                step()
            except ForeshadowError:
                step()
            assert len(fleet.machines.alive()) <= 1, f"{fault} at request {point}"
        assert fleet.machines.alive() == [], f"{fault} at request {point}"
        if trap.sprung == 0:
            return hit
    raise AssertionError("it never came to its end")
