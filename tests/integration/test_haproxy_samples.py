"""What a real HAProxy counts, sampled beside it and read through its agent."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from foreshadow.agent.haproxy_samples import ERRORS, LATENCY, RATE, SESSIONS, HaproxySamples
from foreshadow.agent.relay import Relay
from foreshadow.domain.clock import MetricClock, MetricTime
from foreshadow.domain.errors import UnreachableError
from foreshadow.domain.series import Window
from foreshadow.metrics.agents import AgentsSource
from foreshadow.wire.access import Access
from foreshadow.wire.gen import agent_pb2 as pb
from tests.support.agents import loopback, start_agents
from tests.support.haproxy import Haproxy, free_port, running_haproxy, service, wait_until
from tests.support.relays import MemoryFences


class Slow(BaseHTTPRequestHandler):
    """A service that takes 30 ms."""

    def do_GET(self) -> None:
        time.sleep(0.03)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer((loopback(), 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{server.server_name}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Front:
    """A HAProxy, and where clients reach it."""

    def __init__(self, haproxy: Haproxy, url: str) -> None:
        self.haproxy = haproxy
        self.url = url

    def get(self, times: int = 1) -> None:
        for _ in range(times):
            try:
                urllib.request.urlopen(self.url, timeout=5).close()
            except urllib.error.HTTPError as error:
                error.close()


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    address = loopback()
    bind = f"{address}:{free_port(address)}"
    with serving() as server, running_haproxy([service("app", bind, "a", {"a": server})]) as run:
        wait_until(lambda: "L7OK" in run.ask("show stat -1 4 -1"), "the service to be up")
        yield Front(run, f"http://{bind}/")


async def test_counts_what_clients_see_and_survives_reloads_and_resets(front: Front) -> None:
    ticks = iter(range(100))
    relay = Relay([front.haproxy.socket], MemoryFences(), timeout=2.0)
    samples = HaproxySamples(relay.runtimes, lambda: float(next(ticks)))
    await samples.sample()
    await asyncio.to_thread(front.get, 10)
    values = await samples.sample()
    assert (values["app", RATE], values["app", ERRORS], values["app", SESSIONS]) == (10, 0, 0)
    assert 0.03 <= values["app", LATENCY] < 0.3

    front.haproxy.ask("clear counters all")
    await asyncio.to_thread(front.get, 3)
    assert (await samples.sample())["app", RATE] == 3

    await asyncio.to_thread(front.haproxy.reload)
    await asyncio.to_thread(front.get, 5)
    assert (await samples.sample())["app", RATE] == 5

    front.haproxy.ask("set server app/a state maint")
    await asyncio.to_thread(front.get, 2)
    assert (await samples.sample())["app", ERRORS] == 2
    front.haproxy.ask("set server app/a state ready")
    assert (await samples.sample()).keys() == {("app", s) for s in (RATE, ERRORS, SESSIONS)}


async def test_a_frozen_haproxy_is_left_to_the_commands(front: Front) -> None:
    relay = Relay([front.haproxy.socket], MemoryFences(), timeout=0.2)
    samples = HaproxySamples(relay.runtimes)
    await samples.sample()
    asked = pb.HaproxyQuery(socket=str(front.haproxy.socket), backend="app")
    began = time.monotonic()
    with front.haproxy.freeze():
        for _ in range(50):
            assert await samples.sample() == {}
        with pytest.raises(UnreachableError):
            await relay.read(asked)
    assert time.monotonic() - began < 1.0
    assert [server.name for server in (await relay.read(asked)).servers] == ["a", "a-net"]
    assert ("app", RATE) in await samples.sample()


def test_an_agent_records_them_and_the_source_finds_the_backend(
    front: Front, tmp_path: Path
) -> None:
    wanted = {"lb-1": {"relay_sockets": [front.haproxy.socket], "interval": 0.1}}
    with start_agents(tmp_path, wanted) as agents, closing(
        Access(agents.hosts.__getitem__, agents.credentials, 5.0, lambda: [*agents.hosts.values()])
    ) as access:  # fmt: skip
        source = AgentsSource({"backends": {"checkout": "app"}}, MetricClock(), access)

        def newest(query: str) -> float:
            end = MetricTime(time.time())
            series = source.fetch(query, ["checkout", "cart"], Window(MetricTime(end - 30), end, 1))
            assert "cart" not in series
            return max((v for v in series["checkout"].values if v == v), default=0.0)

        def told() -> bool:
            front.get()
            try:
                return newest("haproxy_rate") > 0 and newest("haproxy_latency") > 0
            except KeyError:  # nothing has been recorded yet
                return False

        wait_until(told, "the agent to record HAProxy")
        assert 0.02 < newest("haproxy_latency") < 0.5
