"""Who may call an agent, and what is said to whoever may not or cannot."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from foreshadow.cli import main
from foreshadow.domain.errors import (
    AccessError,
    FencedError,
    ForeshadowError,
    SpecError,
    UnreachableError,
)
from foreshadow.domain.fleet import Host
from foreshadow.domain.spec import Mode
from foreshadow.instances.agent import AgentInstances
from foreshadow.wire import pki
from foreshadow.wire.access import Access
from foreshadow.wire.client import AgentClient
from foreshadow.wire.credentials import Credentials
from foreshadow.wire.gen import agent_pb2 as pb
from foreshadow.wire.gen import sync_pb2
from foreshadow.wire.gen.agent_pb2_grpc import AgentStub
from tests.support.agents import Agents, loopback, start_agents
from tests.support.services import spec


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    with start_agents(tmp_path_factory.mktemp("agents"), {"edge-a": {}, "edge-b": {}}) as found:
        yield found


def describe(host: Host, credentials: Credentials, timeout: float = 5.0) -> pb.DescribeReply:
    client = AgentClient(host, credentials, timeout)
    try:
        return client.call(client.agent.Describe, pb.DescribeRequest())
    finally:
        client.close()


def test_a_controller_is_let_in(agents: Agents) -> None:
    reply = describe(agents.hosts["edge-a"], agents.credentials)
    assert (reply.host, reply.shared_machine) == ("edge-a", True)
    assert abs(reply.wall_time - time.time()) < 5


def test_nobody_is_let_in_without_a_certificate(agents: Agents) -> None:
    host = agents.hosts["edge-a"]
    ca = agents.credentials.ca.read_bytes()
    options = [("grpc.ssl_target_name_override", "edge-a")]
    for channel in (
        grpc.insecure_channel(f"{host.address}:{host.port}"),
        grpc.secure_channel(
            f"{host.address}:{host.port}", grpc.ssl_channel_credentials(ca), options
        ),
    ):
        with channel, pytest.raises(grpc.RpcError):
            AgentStub(channel).Describe(pb.DescribeRequest(), timeout=2)


def test_a_certificate_of_another_authority_is_told(agents: Agents, tmp_path: Path) -> None:
    pki.init_authority(tmp_path)
    theirs = pki.issue(tmp_path, "ops", "controller").credentials
    with pytest.raises(AccessError, match="does not prove to be the agent of edge-a"):
        describe(agents.hosts["edge-a"], theirs)


def test_a_client_that_trusts_the_agent_but_is_not_trusted_is_told(
    agents: Agents, tmp_path: Path
) -> None:
    """Our side takes both authorities for good, the agent only its own."""
    pki.init_authority(tmp_path)
    theirs = pki.issue(tmp_path, "ops", "controller").credentials
    both = tmp_path / "both.pem"
    both.write_bytes(theirs.ca.read_bytes() + agents.credentials.ca.read_bytes())
    with pytest.raises(AccessError) as caught:
        describe(agents.hosts["edge-a"], Credentials(both, theirs.cert, theirs.key))
    assert "refuses our certificate" in str(caught.value)
    assert "use a certificate from the authority that the agent trusts" in str(caught.value)


def test_an_agent_at_the_wrong_address_is_told(agents: Agents) -> None:
    astray = agents.hosts["edge-b"].model_copy(update={"name": "edge-a"})
    with pytest.raises(AccessError) as caught:
        describe(astray, agents.credentials)
    assert "host edge-a: what answers at" in str(caught.value)
    assert "issue it a certificate for edge-a" in str(caught.value)


def test_a_host_without_an_agent_is_told(agents: Agents) -> None:
    address = loopback()
    host = Host(name="edge-x", address=address, port=7443)
    with pytest.raises(UnreachableError) as caught:
        describe(host, agents.credentials)
    assert str(caught.value) == (
        f"host edge-x: no agent answers at {address}:7443; "
        "start it with the foreshadow.core.agent role or check the address"
    )


def test_something_else_on_the_port_is_told(agents: Agents) -> None:
    address = loopback()
    with socket.create_server((address, 7443)):
        with pytest.raises(UnreachableError) as caught:
            describe(Host(name="edge-x", address=address), agents.credentials, 0.5)
        assert f"its agent at {address}:7443 did not answer within 500ms" in str(caught.value)


def test_an_agent_may_only_ask_who_is_there_and_send_state(agents: Agents) -> None:
    host, own = agents.hosts["edge-b"], agents.credentials_of("edge-a")
    assert describe(host, own).host == "edge-b"
    client = AgentClient(host, own)
    fence = pb.Fence(resource="shop", token=1)
    refused: list[tuple[Any, Message]] = [
        (client.agent.GetInstance, pb.InstanceQuery(resource="shop")),
        (client.agent.GoAway, pb.FenceRequest(fence=fence)),
        (client.agent.Remove, pb.FenceRequest(fence=fence)),
        (client.agent.RaiseFence, pb.FenceRequest(fence=fence)),
        (client.agent.Follow, pb.FollowRequest(fence=fence, source="edge-a")),
        (client.agent.ReadSamples, pb.SamplesRequest(resources=["shop"])),
        (client.agent.ApplyHaproxy, pb.HaproxyApplyRequest(fence=fence)),
        (client.sync.SyncNow, sync_pb2.SyncRequest(fence=fence)),
        (client.sync.Schedule, sync_pb2.ScheduleRequest(fence=fence)),
    ]
    for method, request in refused:
        with pytest.raises(AccessError, match="agent edge-a may not call"):
            client.call(method, request)
    client.close()


def test_every_other_call_is_for_controllers(agents: Agents) -> None:
    """Also one that is added later: what agents may call is a list, and all else is refused."""
    host, own = agents.hosts["edge-b"], agents.credentials_of("edge-a")
    options = [("grpc.ssl_target_name_override", "edge-b")]
    refused = set()
    services = (
        pb.DESCRIPTOR.services_by_name["Agent"],
        sync_pb2.DESCRIPTOR.services_by_name["Sync"],
    )
    with grpc.secure_channel(f"{host.address}:{host.port}", own.channel(), options) as channel:
        for service in services:
            for method in service.methods:
                call: Any = channel.stream_unary(f"/{service.full_name}/{method.name}")
                try:
                    call(iter([b""]), timeout=5)
                except grpc.RpcError as error:
                    if error.code() is grpc.StatusCode.PERMISSION_DENIED:
                        refused.add(method.name)
    every = {method.name for service in services for method in service.methods}
    assert every - refused == {"Describe", "Offer", "OfferSmall", "Push"}


def test_a_controller_may_neither_send_state_nor_pass_for_an_agent(agents: Agents) -> None:
    client = agents.access.client("edge-a")
    with pytest.raises(grpc.RpcError) as caught:
        client.sync.Offer(iter([sync_pb2.OfferPart()]), timeout=5)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED

    theirs = pki.issue(agents.folder / "pki", "edge-x", "controller").credentials
    server = grpc.server(ThreadPoolExecutor(1))
    address = loopback()
    server.add_secure_port(f"{address}:7443", theirs.server())
    server.start()
    with pytest.raises(AccessError, match="does not prove to be the agent of edge-x"):
        describe(Host(name="edge-x", address=address), agents.credentials)
    server.stop(0)


def test_errors_of_the_agent_arrive_as_they_were_raised(agents: Agents) -> None:
    client = agents.access.client("edge-a")
    fence = pb.FenceRequest(fence=pb.Fence(resource="other", token=9))
    client.call(client.agent.RaiseFence, fence)
    driver = AgentInstances(agents.hosts["edge-a"], agents.access)
    with pytest.raises(FencedError) as caught:
        driver.create(spec("other", "edge-b"), Mode.WARM, 8)
    assert caught.value.where == "resource other on host edge-a"
    with pytest.raises(SpecError, match=r"is not a name of a resource; use letters"):
        driver.get("../../etc")
    assert driver.get("unknown") is None


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (pb.CreateRequest(spec_json="{", mode="warm"), "spec is not JSON"),
        (pb.CreateRequest(spec_json="[]", mode="warm"), "must be a mapping"),
        (pb.CreateRequest(spec_json='{"name": "../x"}', mode="warm"), "resource"),
        (
            pb.CreateRequest(
                fence=pb.Fence(resource="a", token=1),
                spec_json=spec("b", "edge-a").model_dump_json(),
                mode="warm",
            ),
            "is about 'a', and its spec about b",
        ),
        (
            pb.CreateRequest(
                fence=pb.Fence(resource="b", token=1),
                spec_json=spec("b", "edge-a").model_dump_json(),
                mode="lukewarm",
            ),
            "'lukewarm' is not a shadow mode",
        ),
        (
            pb.CreateRequest(
                fence=pb.Fence(resource="b", token=1),
                spec_json=spec("b", "edge-a").model_dump_json(),
                mode="warm",
                capacity_json='{"cpu": -1}',
            ),
            "capacity",
        ),
    ],
)
def test_hostile_requests_are_refused_in_words(
    agents: Agents, request_: pb.CreateRequest, problem: str
) -> None:
    client = agents.access.client("edge-a")
    with pytest.raises(SpecError, match=problem):
        client.call(client.agent.Create, request_)


def test_something_that_does_not_speak_tls_is_told(agents: Agents) -> None:
    address = loopback()
    with socket.create_server((address, 7443)) as server:

        def answer() -> None:
            while True:
                try:
                    accepted, _ = server.accept()
                except OSError:
                    return
                accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                accepted.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(AccessError, match="does not speak TLS as an agent does"):
            describe(Host(name="edge-x", address=address), agents.credentials, 2)
        server.shutdown(socket.SHUT_RDWR)


def test_a_message_that_is_too_large_is_refused(agents: Agents) -> None:
    client = agents.access.client("edge-a")
    big = pb.CreateRequest(spec_json="x" * (33 * 2**20))
    with pytest.raises(ForeshadowError, match=r"its agent failed: resource_exhausted"):
        client.call(client.agent.Create, big)


def test_without_credentials_the_way_out_is_told(agents: Agents) -> None:
    access = Access(lambda name: agents.hosts[name], None)
    with pytest.raises(AccessError, match="set ca, cert and key, or FORESHADOW_CA"):
        access.client("edge-a")


def test_round_trips_are_measured(agents: Agents) -> None:
    client = agents.access.client("edge-a")
    peers = [
        pb.Peer(host=h.name, address=h.address, port=h.port)
        for h in (*agents.hosts.values(), Host(name="edge-x", address=loopback()))
    ]
    reply = client.call(client.agent.MeasureRoundTrips, pb.RoundTripsRequest(peers=peers, count=5))
    found = {trip.host: trip.seconds for trip in reply.round_trips}
    assert 0 < found["edge-a"] < 1
    assert 0 < found["edge-b"] < 1
    assert found["edge-x"] < 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("--state-dir", "{folder}/edge-a/state"), "another agent is using it; stop that agent"),
        (("--state-dir", "/proc/nowhere"), "cannot be used"),
        (("--host", "edge-z"), "is the certificate of agent edge-a, not of agent edge-z"),
        (("--key", "{folder}/pki/ca.key"), "does not belong to the key"),
        (("--listen", "{listen}"), "cannot listen at"),
        (("--listen", "0.0.0.0:7443"), "stands for every address"),
        (("--listen", "edge-a"), "is not an address with a port; write it as 192.0.2.11:7443"),
    ],
)
def test_an_agent_that_cannot_start_says_why_in_one_line(
    agents: Agents,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: tuple[str, str],
    problem: str,
) -> None:
    files, host = agents.credentials_of("edge-a"), agents.hosts["edge-a"]
    listen = f"{host.address}:{host.port}"
    arguments = {
        "--host": "edge-a",
        "--listen": "127.0.0.1:0",
        "--state-dir": str(tmp_path / "new"),
        "--ca": str(files.ca),
        "--cert": str(files.cert),
        "--key": str(files.key),
        change[0]: change[1].format(folder=agents.folder, listen=listen),
    }
    assert main(["agent", *(part for pair in arguments.items() for part in pair)]) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if "foreshadow: " in line]
    assert problem in line
