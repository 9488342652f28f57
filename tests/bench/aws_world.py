"""A small fleet on AWS for measuring: two hosts behind a load balancer, a third that EC2 makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from foreshadow.domain.spec import merged
from tests.support.agents import Agents, end_instances, start_agents
from tests.support.aws.balancer import HOSTS, Balancer, make_balancer
from tests.support.aws.machines import Machines
from tests.support.aws.records import Records
from tests.support.aws.server import Cloud, running_cloud
from tests.support.aws.targets import Targets
from tests.support.modules import Modules
from tests.support.services import ask, spec

MACHINE = "edge-c"
SHOP = "shop"
RECORD = "www.shop.example"
_LABELS = {"ec2_launch_template": "foreshadow-edge", "ec2_poll": "50ms"}
SURE = {
    "policy": {"steps": [100], "soak": "0s", "cooldown": 0},
    # The tiny service says that it has requests open, always; the peer counts connections too.
    "service": {"drain": {"source": "sockets"}},
    # The peer does not thaw what ours would have frozen.
    "shadows": {"mode": "hot"},
    # Rounds of others lie between two of ours.
    "sync": {"interval": "1s", "max_staleness": "1h"},
}
_FAST = {"settle": "0s", "poll": "200ms"}


@dataclass
class AwsWorld:
    """The world: ``shop`` behind the load balancer, ``page`` by records, ``cart`` on the machine.

    :ivar connection: the options that all modules take.
    """

    cloud: Cloud
    agents: Agents
    balancer: Balancer
    zone: str
    connection: Mapping[str, str]
    here: str = "edge-a"

    @property
    def there(self) -> str:
        """Return the host without traffic."""
        return "edge-b" if self.here == "edge-a" else "edge-a"

    def variables(self) -> dict[str, Any]:
        """Return what both playbooks need to know."""
        client = boto3.client("ec2")
        subnets = client.describe_subnets()["Subnets"][:2]
        groups = client.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
        return {
            "machine": MACHINE,
            "source": self.here,
            "destination": self.there,
            "addresses": {name: host.address for name, host in self.agents.hosts.items()},
            "states": {name: str(self._live(name)) for name in HOSTS},
            "copies": {name: str(self._copy(name)) for name in HOSTS},
            "pids": {name: self._pid(name) for name in HOSTS},
            "groups_of": self.balancer.groups,
            "subnets": [subnet["SubnetId"] for subnet in subnets],
            "security_groups": [groups[0]["GroupId"]],
            "zone": self.zone,
            "record": RECORD,
        }

    def _live(self, name: str) -> Path:
        """Return where a host's instance of ``shop`` has its state."""
        return self.agents.resource(name, SHOP) / "live"

    def _copy(self, name: str) -> Path:
        """Return the folder on a host that the peer sends its state into."""
        made = self.agents.folder / name / "peer"
        made.mkdir(exist_ok=True)
        return made

    def _pid(self, name: str) -> int:
        """Return the process of a host's instance of ``shop``."""
        return int(ask(self.agents.hosts[name].address, "/pid"))


@contextmanager
def running_world(folder: Path) -> Iterator[AwsWorld]:
    """Run it until the end of the block; ``edge-a`` has all traffic."""
    with ExitStack() as stack:
        cloud = stack.enter_context(running_cloud())
        machines, targets, records = Machines(boot=0.05), Targets(), Records()
        cloud.truths += [machines, targets, records]
        balancer = make_balancer(cloud, targets)
        hosts = {"edge-a": {}, "edge-b": {}, MACHINE: {"driver": "ec2", "labels": _LABELS}}
        agents = stack.enter_context(start_agents(folder, hosts))
        agents.kill(MACHINE)
        end_instances(agents.folder / MACHINE)
        machines.boots = lambda _: agents.start(MACHINE)
        stack.callback(lambda: setattr(machines, "boots", lambda _: None))
        _make_template()
        zone = _make_zone(agents)
        balancer.client.register_targets(
            TargetGroupArn=balancer.groups["edge-a"],
            Targets=[{"Id": agents.hosts["edge-a"].address}],
        )
        files = agents.credentials
        connection = {
            "ledger": f"sqlite:///{folder / 'ledger.db'}",
            "ca": str(files.ca), "cert": str(files.cert), "key": str(files.key),
        }  # fmt: skip
        _register(Modules(**connection), agents, balancer, zone)
        yield AwsWorld(cloud, agents, balancer, zone, connection)


def _register(modules: Modules, agents: Agents, balancer: Balancer, zone: str) -> None:
    elbv2 = {"kind": "elbv2", "listener": balancer.listener, **_FAST}
    route53 = {"kind": "route53", "zone": zone, "record": RECORD,
               "check": {"port": 8081, "path": "/healthz"}}  # fmt: skip
    modules.ok("host", hosts=[host.plain() for host in agents.hosts.values()])
    wanted = {
        SHOP: (8080, [elbv2], ["edge-b"]),
        "page": (8081, [route53], ["edge-b"]),
        "cart": (8082, [], [MACHINE]),
    }
    specs = [
        merged(spec(name, "edge-a", port).plain(), {"directors": directors, **SURE})
        for name, (port, directors, _) in wanted.items()
    ]
    modules.ok("resource", resources=specs)
    instances = [
        {"resource": name, "host": host, "mode": "hot"}
        for name, (_, _, hosts) in wanted.items()
        for host in hosts
    ]
    modules.ok("shadow_instance", instances=instances)
    for name in (SHOP, "page", "cart"):
        modules.ok("state_sync", resource=name)


def _make_template() -> None:
    client = boto3.client("ec2")
    image = client.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    client.create_launch_template(
        LaunchTemplateName="foreshadow-edge",
        LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"},
    )


def _make_zone(agents: Agents) -> str:
    client = boto3.client("route53")
    made = client.create_hosted_zone(Name="shop.example", CallerReference="bench")
    zone = str(made["HostedZone"]["Id"]).rpartition("/")[2]
    records = [
        {"Name": RECORD, "Type": "A", "SetIdentifier": name, "Weight": 100 * (name == "edge-a"),
         "TTL": 60, "ResourceRecords": [{"Value": agents.hosts[name].address}]}
        for name in ("edge-a", "edge-b")
    ]  # fmt: skip
    client.change_resource_record_sets(
        HostedZoneId=zone,
        ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": r} for r in records]},
    )
    return zone
