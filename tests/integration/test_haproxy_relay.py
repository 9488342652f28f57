"""The agent's relay, against a real HAProxy."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreshadow.agent.relay import STATE_VARIABLE, Relay
from foreshadow.agent.runtime_api import RuntimeSocket
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import (
    AccessError,
    DirectorError,
    FencedError,
    ForeshadowError,
    SpecError,
    UnknownNameError,
    UnreachableError,
)
from foreshadow.wire.gen import agent_pb2 as pb
from tests.support.agents import loopback
from tests.support.haproxy import Haproxy, free_port, running_haproxy, service
from tests.support.relays import MemoryFences

DEAD = f"{loopback()}:9"
"""Where nobody listens: the relay needs no service behind the server lines."""


@pytest.fixture(scope="module")
def haproxy() -> Iterator[Haproxy]:
    address = loopback()
    bind = f"{address}:{free_port(address)}"
    with running_haproxy([service("app", bind, "a", {"a": DEAD, "b": DEAD})]) as running:
        yield running


@pytest.fixture
async def relay(haproxy: Haproxy) -> Relay:
    return Relay([haproxy.socket], MemoryFences(), timeout=0.3, now=lambda: WallTime(1000.0))


def change(server: str, admin_state: str = "", weight: int = -1) -> pb.HaproxyChange:
    return pb.HaproxyChange(server=server, admin_state=admin_state, weight=weight)


def request(
    haproxy: Haproxy, *changes: pb.HaproxyChange, token: int = 1, backend: str = "app"
) -> pb.HaproxyApplyRequest:
    fence = pb.Fence(resource="checkout", token=token)
    return pb.HaproxyApplyRequest(
        fence=fence, socket=str(haproxy.socket), backend=backend, changes=changes
    )


def query(haproxy: Haproxy, backend: str = "app") -> pb.HaproxyQuery:
    return pb.HaproxyQuery(socket=str(haproxy.socket), backend=backend)


def told(haproxy: Haproxy) -> list[list[str]]:
    """Return what each line was told: admin state and weight, whatever its checks say."""
    states = haproxy.ask("show servers state app").splitlines()
    return [state.split()[3:4] + state.split()[6:8] for state in states if " app " in state]


def line(reply: pb.HaproxyReply, name: str) -> pb.HaproxyServer:
    return next(server for server in reply.servers if server.name == name)


async def test_reads_every_server_line(relay: Relay, haproxy: Haproxy) -> None:
    reply = await relay.read(query(haproxy))
    assert [server.name for server in reply.servers] == ["a", "b", "a-net", "b-net"]
    assert [server.backup for server in reply.servers] == [False, False, True, True]
    assert line(reply, "b").admin_state == "maint"
    assert line(reply, "a").address == DEAD
    assert reply.pid == haproxy.pid()


async def test_changes_in_order_and_reads_back(relay: Relay, haproxy: Haproxy) -> None:
    asked = request(haproxy, change("b", "maint"), change("b", "drain", 7), change("a", weight=256))
    reply = await relay.apply(asked)
    assert (line(reply, "b").admin_state, line(reply, "b").weight) == ("drain", 7)
    assert line(reply, "a").weight == 256
    assert line(await relay.read(query(haproxy)), "b").admin_state == "drain"


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"server": "b; set server app/a state maint"}, SpecError),
        ({"server": "b\nset server app/a state maint"}, SpecError),
        ({"server": "b", "admin_state": "maint; shutdown frontend app"}, SpecError),
        ({"server": "b", "admin_state": "ready\n"}, SpecError),
        ({"server": "b", "weight": 257}, SpecError),
        ({"server": ""}, SpecError),
        ({"server": "z"}, UnknownNameError),
        ({"server": "b", "backend": "app;help"}, SpecError),
        ({"server": "b", "backend": "nope"}, UnknownNameError),
    ],
)
async def test_refuses_what_is_not_a_known_line_and_state(
    relay: Relay, haproxy: Haproxy, asked: dict[str, Any], error: type[ForeshadowError]
) -> None:
    before = told(haproxy)
    backend = asked.pop("backend", "app")
    one = pb.HaproxyChange(**{"weight": -1, **asked})
    with pytest.raises(error) as caught:
        await relay.apply(request(haproxy, change("a", "maint"), one, backend=backend))
    assert "\n" not in str(caught.value)
    assert "HAProxy at" in str(caught.value)
    assert told(haproxy) == before


async def test_opens_no_socket_that_it_was_not_given(relay: Relay) -> None:
    with pytest.raises(AccessError, match="does not relay"):
        await relay.read(pb.HaproxyQuery(socket="/run/other.sock", backend="app"))


async def test_an_older_token_changes_nothing(relay: Relay, haproxy: Haproxy) -> None:
    await relay.apply(request(haproxy, change("b", "drain"), token=5))
    with pytest.raises(FencedError):
        await relay.apply(request(haproxy, change("b", "maint"), token=4))
    assert line(await relay.read(query(haproxy)), "b").admin_state == "drain"


async def test_a_frozen_haproxy_is_unreachable_and_gets_no_command(
    relay: Relay, haproxy: Haproxy
) -> None:
    await relay.apply(request(haproxy, change("b", "drain")))
    with haproxy.freeze(), pytest.raises(UnreachableError, match="does not answer"):
        await relay.apply(request(haproxy, change("b", "maint")))
    assert line(await relay.read(query(haproxy)), "b").admin_state == "drain"


async def test_a_command_that_comes_late_is_over_before_the_next_answer(haproxy: Haproxy) -> None:
    """Frozen just before it would act, HAProxy acts when it thaws: no later read may miss that."""
    for state in ("drain", "maint") * 4:
        runtime = RuntimeSocket(haproxy.socket, timeout=0.05)
        with haproxy.freeze():
            with pytest.raises(UnreachableError):
                await runtime.exchange([f"set server app/b state {state}"])
            with pytest.raises(UnreachableError):  # still frozen: the first one is not forgotten
                await runtime.exchange(["show servers state app"])
        shown = await runtime.exchange(["show servers state app"])
        admin = next(x.split()[6] for x in shown if " b " in x)
        assert bool(int(admin) & 8) == (state == "drain")


async def test_a_change_that_is_not_answered_leaves_the_state_unknown(
    relay: Relay, haproxy: Haproxy
) -> None:
    pid = haproxy.pid()

    class FreezingFences(MemoryFences):
        """Freezes HAProxy between the look before the change and the change."""

        def check(self, resource: str, token: int) -> None:
            os.kill(pid, signal.SIGSTOP)

    frozen = Relay([haproxy.socket], FreezingFences(), timeout=0.2)
    await relay.apply(request(haproxy, change("b", "maint")))
    try:
        with pytest.raises(DirectorError, match="state is unknown"):
            await frozen.apply(request(haproxy, change("b", "drain")))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert line(await frozen.read(query(haproxy)), "b").admin_state == "drain"


async def test_a_call_that_was_cancelled_is_waited_for(haproxy: Haproxy) -> None:
    runtime = RuntimeSocket(haproxy.socket, timeout=5)
    haproxy.ask("set server app/b state maint")
    with haproxy.freeze():
        late = asyncio.create_task(runtime.exchange(["set server app/b state drain"]))
        await asyncio.sleep(0.05)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
    shown = await runtime.exchange(["show servers state app"])
    assert next(int(x.split()[6]) for x in shown if " b " in x) & 8


async def test_nobody_at_the_socket(tmp_path: Path) -> None:
    relay = Relay([tmp_path / "none.sock"], MemoryFences())
    with pytest.raises(UnreachableError, match=r"none\.sock: cannot be reached"):
        await relay.read(pb.HaproxyQuery(socket=str(tmp_path / "none.sock"), backend="app"))


async def test_persists_where_haproxy_itself_says(relay: Relay, haproxy: Haproxy) -> None:
    await relay.apply(request(haproxy, change("b", "drain", 33)))
    await relay.persist(pb.HaproxyPersistRequest(socket=str(haproxy.socket)))
    written = haproxy.state_file.read_text().splitlines()
    assert written[0] == "1"
    assert next(x.split()[6:8] for x in written if " b " in x) == ["12", "33"]
    assert [path.name for path in haproxy.folder.glob("*servers.state*")] == ["servers.state"]


async def test_persisting_is_refused_where_no_file_is_named() -> None:
    address = loopback()
    bind = f"{address}:{free_port(address)}"
    entry = service("app", bind, "a", {"a": DEAD})
    unset = [f"unsetenv {STATE_VARIABLE}"]
    with running_haproxy([entry], haproxy_global_lines=unset) as other:
        asked = pb.HaproxyPersistRequest(socket=str(other.socket))
        with pytest.raises(DirectorError, match="names no file"):
            await Relay([other.socket], MemoryFences()).persist(asked)
