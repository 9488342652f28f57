"""The driver ``ec2`` on moto, whose instances boot a real agent."""

from __future__ import annotations

import itertools
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from foreshadow.domain.spec import ResourceSpec
from foreshadow.instances.ec2 import Ec2Instances
from foreshadow.testing.instances import InstanceConformance
from tests.support.aws.pool import HOST, Pool, ec2_pool
from tests.support.aws.server import running_cloud
from tests.support.services import ask, spec

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with (
        running_cloud() as cloud,
        ec2_pool(cloud, tmp_path_factory.mktemp("agents")) as made,
    ):
        yield made


@dataclass
class World:
    """A host without a machine, and a resource that it has never seen."""

    pool: Pool
    name: str

    def driver(self) -> Ec2Instances:
        return self.pool.driver()

    def spec(self) -> ResourceSpec:
        return spec(self.name, HOST)

    def answers(self) -> str:
        try:
            return ask(self.pool.host.address, "/pid")
        except urllib.error.URLError as error:
            raise OSError(str(error.reason)) from None


class TestEc2Instances(InstanceConformance):
    @pytest.fixture
    def world(self, pool: Pool) -> Iterator[World]:
        pool.rest()
        yield World(pool, f"shop-{next(_NUMBERS)}")
        pool.rest()
