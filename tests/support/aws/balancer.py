"""An application load balancer with a target group for each host, as Terraform would make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import boto3

from foreshadow.directors.elbv2 import Elbv2Director
from foreshadow.domain.fleet import Host, parse_host
from foreshadow.domain.spec import DirectorSpec
from foreshadow.wire.access import Access
from tests.support.aws.server import Cloud
from tests.support.aws.targets import Targets

HOSTS: Mapping[str, str] = {"edge-a": "10.0.0.1", "edge-b": "10.0.0.2"}
FAST = {"timeout": "1s", "poll": "20ms", "settle": "0s", "admit_timeout": "5s"}


def access(addresses: Mapping[str, str] = HOSTS) -> Access:
    """Return the way to hosts that have no agents."""
    hosts = {name: parse_host({"name": name, "address": at}) for name, at in addresses.items()}

    def named(name: str) -> Host:
        return hosts[name]

    return Access(named, None, registered=lambda: tuple(hosts.values()))


@dataclass
class Balancer:
    """The load balancer.

    :ivar groups: by host, its target group.
    """

    cloud: Cloud
    targets: Targets
    listener: str
    groups: dict[str, str]
    client: Any

    def director(
        self, clocks: Mapping[str, Any] = MappingProxyType({}), **options: Any
    ) -> Elbv2Director:
        """Return a director of it, as another run of a controller would have it.

        :param clocks: what it has for the clocks of the machine.
        """
        made = DirectorSpec.model_validate(
            {"kind": "elbv2", "listener": self.listener, **FAST, **options}
        )
        return Elbv2Director(made, "checkout", access(), **clocks)

    def rest(self, weights: Mapping[str, int] | None = None) -> None:
        """Give ``edge-a`` all traffic, forget claims and all other targets."""
        self.targets.forget()
        self.cloud.forget()
        self.client.remove_tags(ResourceArns=[self.listener], TagKeys=["foreshadow:checkout"])
        self.register("edge-a")
        self.targets._targets[self.groups["edge-a"], HOSTS["edge-a"]].registered_at = 0.0
        self.point(weights or {"edge-a": 100})
        self.cloud.forget()

    def register(self, host: str) -> None:
        """Register a host's target."""
        self.client.register_targets(
            TargetGroupArn=self.groups[host], Targets=[{"Id": HOSTS[host]}]
        )

    def point(self, weights: Mapping[str, int]) -> None:
        """Set weights as a person would; a host that is not named gets none."""
        self.client.modify_listener(
            ListenerArn=self.listener, DefaultActions=[_forward(self.groups, weights)]
        )

    def weights(self) -> dict[str, int]:
        """Return the weights above 0, as an independent reader sees them."""
        (listener,) = self.client.describe_listeners(ListenerArns=[self.listener])["Listeners"]
        shown = listener["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
        by_arn = {entry["TargetGroupArn"]: entry["Weight"] for entry in shown}
        return {host: by_arn[arn] for host, arn in self.groups.items() if by_arn[arn]}

    def state(self, host: str) -> str:
        """Return what AWS shows of a host's target."""
        return self.targets.state(self.groups[host], HOSTS[host])

    def served_by(self) -> set[str]:
        """Return the hosts that requests reach; one without a healthy target fails them."""
        carried = self.weights()
        failing = {host for host in carried if self.state(host) != "healthy"}
        assert not failing, f"requests to {failing} fail"
        return set(carried)


def make_balancer(cloud: Cloud, targets: Targets) -> Balancer:
    """Make a load balancer with a target group for each host, and all traffic on ``edge-a``."""
    ec2, client = boto3.client("ec2"), boto3.client("elbv2")
    subnets = ec2.describe_subnets()["Subnets"][:2]
    balancer = client.create_load_balancer(
        Name="web", Subnets=[subnet["SubnetId"] for subnet in subnets]
    )["LoadBalancers"][0]
    groups = {
        host: client.create_target_group(
            Name=host, Protocol="HTTP", Port=8080, VpcId=subnets[0]["VpcId"], TargetType="ip",
            HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, UnhealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        for host in HOSTS
    }  # fmt: skip
    listener = client.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80,
        DefaultActions=[_forward(groups, {"edge-a": 100})],
    )["Listeners"][0]["ListenerArn"]  # fmt: skip
    return Balancer(cloud, targets, listener, groups, client)


def _forward(groups: Mapping[str, str], weights: Mapping[str, int]) -> dict[str, Any]:
    shares = [
        {"TargetGroupArn": arn, "Weight": weights.get(host, 0)} for host, arn in groups.items()
    ]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": shares}}
