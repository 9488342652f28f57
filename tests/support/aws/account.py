"""An AWS account on loopback in which the guide is followed, from nothing to the switchover."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import boto3

from tests.support.aws.boots import Boots
from tests.support.aws.calls import Call
from tests.support.aws.guide import Follower, steps
from tests.support.aws.machines import Machines
from tests.support.aws.numbers import Numbers, key
from tests.support.aws.records import Records
from tests.support.aws.server import Cloud, running_cloud
from tests.support.aws.targets import Targets
from tests.support.modules import COLLECTIONS
from tests.support.peer import peer_programs
from tests.support.terraform import ROOT, find_terraform

GUIDE = ROOT / "docs" / "aws-guide.md"
NAMESPACE = "AWS/ApplicationELB"
QUIET, BUSY = (0.05, 10.0), (0.4, 90.0)
"""Latency in seconds, and requests a second."""
_DAYS = 4
_BUSY_SECONDS = 600
_STEP = 60
# What moto's S3 needs to be told, as any other S3 that is not Amazon's own.
_BACKEND = """
use_path_style              = true
skip_credentials_validation = true
skip_requesting_account_id  = true
skip_metadata_api_check     = true
"""


@dataclass
class Account:
    """The account, its machines, and who follows the guide in it.

    :ivar calls: by the first command of a block, the calls that were made while it ran.
    """

    cloud: Cloud
    machines: Machines
    targets: Targets
    records: Records
    numbers: Numbers
    boots: Boots
    follower: Follower
    network: str
    said: list[str] = field(default_factory=list)
    calls: list[tuple[str, list[Call]]] = field(default_factory=list)

    @property
    def addresses(self) -> dict[str, str]:
        return {"edge-a": f"{self.network}.1.11", "edge-b": f"{self.network}.2.12"}

    def follow(self) -> None:
        """Follow the guide up to its end. Load rises before the last time that it evaluates."""
        blocks = steps(GUIDE)[:-1]
        last = max(i for i, step in enumerate(blocks) if "foreshadow.core.evaluate" in step.text)
        for i, step in enumerate(blocks):
            if "foreshadow.core." in step.text and not step.file:
                self.load(*(BUSY if i == last else QUIET))
            self.do(step.text, partial(self.follower.do, step))
            if step.file.endswith("backend.hcl"):
                path = self.follower.folder / step.file
                path.write_text(path.read_text() + _BACKEND)

    def take_away(self) -> None:
        """Follow the guide's last commands, which take everything away."""
        last = steps(GUIDE)[-1]
        assert " destroy " in last.text
        self.do(last.text, lambda: self.follower.do(last))

    def do(self, name: str, act: Callable[[], str]) -> str:
        """Let something be done, and keep what was said and asked for."""
        before = len(self.cloud.calls)
        try:
            said = act()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.boots.log()}") from None
        self.said.append(said)
        self.calls.append((name, self.cloud.calls[before:]))
        return said

    def run(self, commands: str) -> str:
        """Run commands as the follower would."""
        return self.do(commands, lambda: self.follower.run(commands))

    def load(self, latency: float, rate: float) -> None:
        """Let CloudWatch show a quiet history until now, whose last minutes are like this.

        :param latency: in seconds.
        :param rate: requests a second.
        """
        client = boto3.client("elbv2")
        balancers = client.describe_load_balancers()["LoadBalancers"]
        if not balancers:
            return
        name = balancers[0]["LoadBalancerArn"].partition("loadbalancer/")[2]
        now = int(time.time()) // _STEP * _STEP
        times = range(now - _DAYS * 86400, now, _STEP)
        late = now - _BUSY_SECONDS
        latencies = {float(at): latency if at >= late else QUIET[0] for at in times}
        counts = {float(at): _STEP * (rate if at >= late else QUIET[1]) for at in times}
        self.numbers.data = {
            key(NAMESPACE, "TargetResponseTime", "p99", LoadBalancer=name): latencies,
            key(NAMESPACE, "RequestCount", "Sum", LoadBalancer=name): counts,
        }


@contextmanager
def running_account(folder: Path) -> Iterator[Account]:
    """Give an empty account until the end of the block.

    :raises MissingError: when something is missing on this machine that the guide needs.
    """
    terraform = find_terraform(folder)
    programs = peer_programs()
    network = f"127.{60 + os.getpid() % 150}"
    tools = folder / "bin"
    tools.mkdir()
    (tools / "aws").symlink_to(programs / "aws")
    work = folder / "work"
    work.mkdir()
    (work / "foreshadow").symlink_to(ROOT)
    with ExitStack() as stack:
        cloud = stack.enter_context(running_cloud())
        truths = Machines(), Targets(), Records(pending=0.1), Numbers(counted=True)
        machines, targets, records, numbers = truths
        cloud.truths += truths
        boots = Boots(machines, folder / "machines")
        stack.callback(boots.close)
        environment = {
            **{k: v for k, v in terraform.environment.items() if k.startswith(("TF_", "CHECK"))},
            "PATH": f"{tools}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_HOME": str(folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SHOW_CUSTOM_STATS": "1",
            "TF_CLI_ARGS": "-no-color",
        }
        follower = Follower(work, environment, {"10.20.": f"{network}."})
        yield Account(cloud, machines, targets, records, numbers, boots, follower, network)
