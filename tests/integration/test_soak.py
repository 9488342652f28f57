"""A slice of the soak, and what its clients make of a server that does not keep its word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.support.frames import TEXT, FrameReader, accept_key, closing, frame
from tests.support.soak import soak
from tests.support.soak_long import Lasting
from tests.support.soak_quick import Quick
from tests.support.soak_tally import Tally

Answer = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def test_nothing_is_lost_over_switchovers_and_reloads() -> None:
    soaked = soak(requests=4000, switchovers=2, reloads=2, seconds=40, steps=(100,))
    tally = soaked.tally
    assert (soaked.problems, tally.errors, tally.lost) == ([], [], 0)
    assert (soaked.moved, soaked.reloads) == (2, 2)
    assert tally.requests >= 4000
    assert set(tally.ok) >= {"kept", "closed", "slow", "stream", "upload"}
    assert tally.away > 0, "no websocket was open while its host was left"
    assert tally.frames > 50


async def served(answer: Answer, kind: str, until: Callable[[Tally], object]) -> Tally:
    """Return what one client tells of a server that answers so."""

    async def client_connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await answer(head, reader, writer)
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(client_connected, "127.0.0.1", 0)
    front = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    tally = Tally()
    quick = Quick(front, tally, 1, keep=True)
    lasting = Lasting(front, tally, 1, seconds=0.01)
    task = None if kind == "quick" else asyncio.create_task(getattr(lasting, kind)())
    if task is None:
        quick.start()
    for _ in range(1000):
        await asyncio.sleep(0.005)
        if until(tally):
            break
    quick.stop()
    if task is not None:
        task.cancel()
    server.close()
    return tally


def answering(text: str) -> Answer:
    async def answer(
        _head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(text.encode())
        await writer.drain()

    return answer


@pytest.mark.parametrize(
    ("kind", "text", "where"),
    [
        ("quick", "", "failed"),
        ("quick", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "failed"),
        ("quick", "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\nhalf", "truncated"),
        ("quick", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlies", "wrong"),
        ("slow", "HTTP/1.1 200 OK\r\nX-Host: a\r\nContent-Length: 9\r\n\r\na", "truncated"),
        ("slow", "HTTP/1.1 200 OK\r\nX-Host: a\r\nContent-Length: 1\r\n\r\nb", "wrong"),
        ("slow", "HTTP/1.1 502 Bad Gateway\r\n\r\n", "failed"),
        ("upload", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n1 2", "wrong"),
        ("stream", "HTTP/1.1 200 OK\r\nX-Host: a\r\n\r\n4\r\n0 a\n\r\n", "truncated"),
        ("stream", "HTTP/1.1 200 OK\r\nX-Host: a\r\n\r\n4\r\n0 a\n\r\n0\r\n\r\n", "wrong"),
    ],
)
async def test_a_client_tells_what_is_lost(kind: str, text: str, where: str) -> None:
    tally = await served(answering(text), kind, lambda tally: tally.lost)
    assert getattr(tally, where).total() >= 1, tally
    assert tally.ok.total() == 0
    assert tally.errors


async def _upgrade(asked: bytes, writer: asyncio.StreamWriter) -> None:
    key = asked.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0].decode()
    head = f"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
    writer.write(head.encode())


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, skip: int) -> None:
    """Send back three frames, all but one of them."""
    frames, seen = FrameReader(), 0
    while seen < 3:
        for _, payload in frames.feed(await reader.read(4096)):
            if seen != skip:
                writer.write(frame(TEXT, payload))
            seen += 1


@pytest.mark.parametrize(
    ("skip", "end", "away", "broken"),
    [
        (9, closing(1001), True, False),
        (9, closing(1011), False, True),
        (9, b"", False, True),
        (1, b"", False, True),
    ],
)
async def test_a_websocket_may_end_only_by_a_go_away(
    skip: int, end: bytes, away: bool, broken: bool
) -> None:
    async def answer(
        head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await _upgrade(head, writer)
        await _echo(reader, writer, skip=skip)
        writer.write(end)

    tally = await served(answer, "websocket", lambda tally: tally.away or tally.broken)
    assert (tally.away > 0, tally.broken > 0) == (away, broken), tally
    if away:
        assert tally.frames >= 3
