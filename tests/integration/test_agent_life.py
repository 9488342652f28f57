"""Agents as processes: killed, restarted and stopped while instances run on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreshadow.domain.errors import UnreachableError
from foreshadow.domain.fleet import Role, RunState
from foreshadow.domain.series import HOST
from foreshadow.domain.spec import Mode
from foreshadow.instances.agent import AgentInstances
from foreshadow.wire.gen import agent_pb2 as pb
from tests.support.agents import Agents, instances, start_agents
from tests.support.services import ask, spec


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Agents]:
    with start_agents(tmp_path, {"edge-a": {"interval": 0.1, "capacity": {"rate": 50}}}) as found:
        yield found


@pytest.fixture
def driver(agents: Agents) -> AgentInstances:
    return AgentInstances(agents.hosts["edge-a"], agents.access)


def address(agents: Agents) -> str:
    return agents.hosts["edge-a"].address


def test_an_instance_does_not_notice_a_restart_of_its_agent(
    agents: Agents, driver: AgentInstances
) -> None:
    driver.adopt(spec("shop", "edge-a"), 1)
    driver.create(spec("other", "edge-b", 8081), Mode.WARM, 1)
    pid = ask(address(agents), "/pid")
    assert agents.stop("edge-a") < 2
    assert ask(address(agents), "/pid") == pid
    with pytest.raises(UnreachableError):
        driver.get("shop")
    agents.start("edge-a")
    agents.wait("edge-a")
    found = driver.get("shop")
    assert found is not None
    assert (found.role, found.state) == (Role.PRIMARY, RunState.RUNNING)
    other = driver.get("other")
    assert other is not None
    assert other.state is RunState.FROZEN
    assert ask(address(agents), "/pid") == pid
    assert len(instances(agents.folder)) == 2


def test_that_somebody_opened_a_leased_file_does_not_end_an_agent(
    agents: Agents, driver: AgentInstances
) -> None:
    agents.signal("edge-a", signal.SIGIO)
    time.sleep(0.2)
    driver.get("shop")


def test_killed_while_it_starts_an_instance_it_makes_no_second(
    agents: Agents, driver: AgentInstances
) -> None:
    wanted = spec("shop", "edge-b")

    def create() -> None:
        with pytest.raises(UnreachableError):
            driver.create(wanted, Mode.WARM, 1)

    creating = threading.Thread(target=create)
    creating.start()
    while not (started := instances(agents.folder)):
        time.sleep(0.001)
    agents.kill("edge-a")
    creating.join()
    agents.start("edge-a")
    agents.wait("edge-a")
    assert driver.create(wanted, Mode.WARM, 1).state is RunState.FROZEN
    assert [process.pid for process in instances(agents.folder)] == [started[0].pid]


def test_a_caller_that_loses_patience_leaves_nothing_half_done(
    agents: Agents, driver: AgentInstances
) -> None:
    client = agents.access.client("edge-a")
    request = pb.CreateRequest(
        fence=pb.Fence(resource="shop", token=1),
        spec_json=spec("shop", "edge-b").model_dump_json(),
        mode="warm",
    )
    with pytest.raises(UnreachableError, match="did not answer within 50ms"):
        client.call(client.agent.Create, request, timeout=0.05)
    deadline = time.monotonic() + 10
    while True:
        found = driver.get("shop")
        if found is not None and found.state is RunState.FROZEN:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_a_primary_does_is_recorded(agents: Agents, driver: AgentInstances) -> None:
    profile = {
        "url": "http://{address}:{port}/profile",
        "query": "requests[].{kind: route, rate: rate, latency: avg, p99: p99}",
    }
    wanted = spec("shop", "edge-a", profile=profile)
    client = agents.access.client("edge-a")

    def read(series: str, resource: str = "shop") -> list[float]:
        request = pb.SamplesRequest(
            resources=[resource, "unknown"], series=series, start=0, end=time.time()
        )
        reply = client.call(client.agent.ReadSamples, request)
        return [value for samples in reply.samples for value in samples.value]

    driver.adopt(wanted, 1)
    deadline = time.monotonic() + 10
    while len(read("p99")) < 3:
        assert time.monotonic() < deadline, agents.log("edge-a")
        time.sleep(0.1)
    assert set(read("rate")) == {40.0}
    assert read("latency")[0] == pytest.approx((30 * 0.01 + 10 * 0.03) / 40)
    assert set(read("p99")) == {0.2}
    assert all(value >= 0 for value in read("cpu"))
    assert all(2**20 < value < 2**30 for value in read("memory"))
    assert all(read(series, HOST) for series in ("cpu", "memory", "load"))
    driver.demote("shop", 2)
    time.sleep(0.3)
    count = len(read("rate"))
    time.sleep(0.3)
    assert len(read("rate")) == count
