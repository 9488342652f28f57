"""What a health check makes of an answer, and of none."""

from __future__ import annotations

import asyncio

import pytest

from foreshadow.agent.commands import Result
from foreshadow.agent.scope import Scope
from foreshadow.domain.fleet import Capacity, Role
from foreshadow.domain.spec import Mode
from tests.support.haproxy import free_port
from tests.support.services import spec
from tests.unit.agent.conftest import Bench


async def probed(bench: Bench, answer: bytes | None, path: str = "/healthz") -> tuple[Result, str]:
    """Return what a probe makes of an answer, and the first line that it sent."""
    asked: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode().rstrip())
        if answer is None:
            await asyncio.sleep(2)
        writer.write(answer or b"")
        writer.close()

    port = free_port(bench.address)
    server = await asyncio.start_server(handle, bench.address, port)
    health = {"path": path, "timeout": "200ms"}
    wanted = spec("shop", "edge-a", port, health=health)
    record = bench.supervisor._new(wanted, Capacity(), Role.SHADOW, Mode.HOT)
    scope: Scope = bench.runner.scope(record)
    result = await bench.care._probes.health(scope, None)
    server.close()
    return result, asked[0]


@pytest.mark.parametrize(
    ("answer", "ok", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True, "answered 200"),
        (b"HTTP/1.0 302 Found\r\n\r\n", True, "answered 302"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False, "answered 503"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False, "Expected HTTP/"),
        (b"", False, "Server disconnected"),
        (None, False, "no answer within 200ms"),
    ],
)
async def test_an_answer(bench: Bench, answer: bytes | None, ok: bool, said: str) -> None:
    result, _ = await probed(bench, answer)
    assert result.ok is ok
    assert said in result.said


async def test_a_path_cannot_smuggle_a_second_request(bench: Bench) -> None:
    path = "/up?deep=1&name=a b\r\nX-Evil: 1"
    _, asked = await probed(bench, b"HTTP/1.1 200 OK\r\n\r\n", path)
    assert asked == "GET /up?deep=1&name=a+bX-Evil:+1 HTTP/1.1"
