"""Hosts whose machines are EC2 instances: each boots a real agent on a loopback address."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from foreshadow.domain.fleet import Host
from foreshadow.instances.ec2 import Ec2Instances
from tests.support.agents import Agents, end_instances, start_agents
from tests.support.aws.machines import Machines
from tests.support.aws.server import Cloud

HOST = "edge-a"
LABELS = {
    "ec2_launch_template": "foreshadow-edge",
    "ec2_poll": "50ms",
    "ec2_boot_timeout": "30s",
    "ec2_timeout": "2s",
    "ec2_attempts": "3",
}


@dataclass
class Pool:
    """One host, and the cloud that its machine comes from."""

    cloud: Cloud
    machines: Machines
    agents: Agents

    @property
    def host(self) -> Host:
        return self.agents.hosts[HOST]

    def driver(self, **labels: str) -> Ec2Instances:
        """Return a driver, as another run of the controller would have it."""
        host = self.host.model_copy(
            update={"driver": "ec2", "labels": {**self.host.labels, **labels}}
        )
        return Ec2Instances(host, self.agents.access)

    def boot(self, _: str) -> None:
        self.agents.start(HOST)

    def end(self, _: str, for_good: bool) -> None:
        """End the machine: its processes, and its disk when it is for good."""
        if HOST in self.agents._processes:
            self.agents.kill(HOST)
            end_instances(self.agents.folder / HOST)
        if for_good:
            shutil.rmtree(self.agents.folder / HOST / "state", ignore_errors=True)

    def rest(self) -> None:
        """Leave no machine."""
        self.end("", True)
        self.machines.forget()
        self.cloud.forget()


@contextmanager
def ec2_pool(cloud: Cloud, folder: Path, **labels: Any) -> Iterator[Pool]:
    """Give a host without a machine, and a launch template to make one of."""
    machines = Machines()
    client = boto3.client("ec2")
    image = client.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    client.create_launch_template(
        LaunchTemplateName="foreshadow-edge",
        LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"},
    )
    with start_agents(folder, {HOST: {"labels": {**LABELS, **labels}}}) as agents:
        pool = Pool(cloud, machines, agents)
        pool.end("", True)
        machines.boots, machines.ends = pool.boot, pool.end
        cloud.truths.append(machines)
        yield pool
        pool.rest()
