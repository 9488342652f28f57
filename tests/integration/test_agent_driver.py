"""The driver ``agent`` passes the conformance suite of instance drivers."""

from __future__ import annotations

import itertools
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from foreshadow.domain.spec import ResourceSpec
from foreshadow.instances.agent import AgentInstances
from foreshadow.testing.instances import InstanceConformance
from tests.support.agents import Agents, end_instances, start_agents
from tests.support.services import ask, spec

_NUMBERS = itertools.count(1)


@dataclass
class World:
    """One agent, and a resource that it has never seen."""

    agents: Agents
    name: str

    def driver(self) -> AgentInstances:
        return AgentInstances(self.agents.hosts["edge-a"], self.agents.access)

    def spec(self) -> ResourceSpec:
        return spec(self.name, "edge-a")

    def answers(self) -> str:
        try:
            return ask(self.agents.hosts["edge-a"].address, "/pid")
        except urllib.error.URLError as error:
            raise OSError(str(error.reason)) from None


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    with start_agents(tmp_path_factory.mktemp("agents"), {"edge-a": {}}) as found:
        yield found


class TestAgentInstances(InstanceConformance):
    @pytest.fixture
    def world(self, agents: Agents) -> Iterator[World]:
        yield World(agents, f"shop-{next(_NUMBERS)}")
        end_instances(agents.folder)
