"""Requests that last: two seconds of silence, streams, uploads, and websockets."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from tests.support.frames import (
    CLOSE,
    GOING_AWAY,
    TEXT,
    FrameReader,
    accept_key,
    close_code,
    closing,
    frame,
)
from tests.support.payloads import body, receipt
from tests.support.soak_tally import Tally

TIMEOUT = 20.0
WINDOW = 3
"""Frames that may be on their way at once."""
BETWEEN_FRAMES = 0.05
STREAM_LINES = 20

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class WrongError(Exception):
    """The answer is whole, and not what it has to be."""


class TruncatedError(Exception):
    """The answer began, and ended early."""


class Lasting:
    """A client that makes one kind of request again and again until it is stopped."""

    def __init__(self, front: str, tally: Tally, seed: int, seconds: float = 2.0) -> None:
        self._address, _, self._port = front.rpartition(":")
        self._front = front
        self._tally = tally
        self._draw = random.Random(seed)
        self._seconds = seconds
        self.stopped = asyncio.Event()

    async def slow(self) -> None:
        """Ask what takes its time."""
        await self._again("slow", self._slow)

    async def stream(self) -> None:
        """Read streams to their last line."""
        await self._again("stream", self._stream)

    async def upload(self) -> None:
        """Send bodies, and compare the receipt."""
        await self._again("upload", self._upload, rest=0.1)

    async def _again(
        self, kind: str, one: Callable[[], Awaitable[None]], rest: float = 0.0
    ) -> None:
        while not self.stopped.is_set():
            try:
                async with asyncio.timeout(TIMEOUT):
                    await one()
            except TruncatedError as error:
                self._tally.truncated[kind] += 1
                self._note(kind, error)
            except WrongError as error:
                self._tally.wrong[kind] += 1
                self._note(kind, error)
            except (OSError, EOFError, ValueError, TimeoutError) as error:
                self._tally.failed[kind] += 1
                self._note(kind, error)
                await asyncio.sleep(0.1)
            else:
                self._tally.ok[kind] += 1
            if rest:
                await asyncio.sleep(rest)

    def _note(self, kind: str, error: Exception) -> None:
        at = time.strftime("%H:%M:%S")
        self._tally.note(f"{at} {kind} at {self._front}: {type(error).__name__} {error}")

    async def _slow(self) -> None:
        async with self._asking(f"GET /slow?seconds={self._seconds:g}") as (head, reader):
            content = await _exactly(reader, head)
            if content.decode() != head["x-host"]:
                raise WrongError(content[:40])

    async def _stream(self) -> None:
        async with self._asking(f"GET /stream?seconds={self._seconds:g}") as (head, reader):
            lines = (await _chunks(reader)).decode().splitlines()
            wanted = [f"{number} {head['x-host']}" for number in range(STREAM_LINES)]
            if lines != [*wanted, "end"]:
                raise WrongError(f"{len(lines)} lines, the last one {lines[-1:]}")

    async def _upload(self) -> None:
        content = body(self._draw.randrange(100_000), self._draw.randrange(1, 150_000))
        method = self._draw.choice(("PUT", "POST"))
        async with self._asking(f"{method} /upload", content) as (head, reader):
            said = (await _exactly(reader, head)).decode()
            if said != receipt(content):
                raise WrongError(f"{said}, not {receipt(content)}")

    @asynccontextmanager
    async def _asking(
        self, what: str, content: bytes = b""
    ) -> AsyncIterator[tuple[dict[str, str], asyncio.StreamReader]]:
        reader, writer = await asyncio.open_connection(self._address, int(self._port))
        try:
            writer.write(
                f"{what} HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n"
                f"Content-Length: {len(content)}\r\n\r\n".encode()
            )
            writer.write(content)
            await writer.drain()
            yield await _head(reader, "200"), reader
        finally:
            writer.close()

    async def websocket(self) -> None:
        """Send numbered frames for ever, over as many connections as it takes.

        A frame that came back is done; one that a close overtook is sent again on the next
        connection. Only a close with 1001 is a reason for one.
        """
        next_back = 0
        while not self.stopped.is_set():
            try:
                reader, writer = await self._open_websocket()
            except (OSError, EOFError, ValueError, TimeoutError) as error:
                self._tally.broken += 1
                self._note("websocket", error)
                await asyncio.sleep(0.1)
                continue
            try:
                next_back = await self._converse(reader, writer, next_back)
            except (OSError, EOFError, WrongError, TimeoutError) as error:
                self._tally.broken += 1
                self._note("websocket", error)
            finally:
                writer.close()

    async def _open_websocket(self) -> Streams:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(self._address, int(self._port))
            key = base64.b64encode(os.urandom(16)).decode()
            writer.write(
                f"GET /ws HTTP/1.1\r\nHost: soak\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            head = await _head(reader, "101")
            if head.get("sec-websocket-accept") != accept_key(key):
                raise ValueError("the key was not accepted")
            return reader, writer

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: int
    ) -> int:
        """Send and take back until the server goes away, or all is over.

        :param back: the number of the next frame that has to come back.
        :returns: the same for the next connection.
        """
        clock = asyncio.get_running_loop().time
        frames, sent, due = FrameReader(), back, clock()
        while True:
            stopping = self.stopped.is_set()
            open_ = not stopping and sent - back < WINDOW
            if open_ and clock() >= due:
                writer.write(frame(TEXT, str(sent).encode(), masked=True))
                sent, due = sent + 1, clock() + BETWEEN_FRAMES
            if stopping and sent == back:
                writer.write(closing(1000, masked=True))
                return back
            data = await _within(reader, None if open_ else TIMEOUT, due - clock())
            if data == b"":
                raise EOFError("ended without a close")
            for kind, payload in frames.feed(data or b""):
                if kind == CLOSE:
                    if close_code(payload) != GOING_AWAY:
                        raise WrongError(f"closed with {close_code(payload)}")
                    writer.write(closing(GOING_AWAY, masked=True))
                    self._tally.away += 1
                    self._tally.again += sent - back
                    return back
                if payload != str(back).encode():
                    raise WrongError(f"{payload[:20]!r} came back, not {back}")
                back += 1
                self._tally.frames += 1


async def _within(reader: asyncio.StreamReader, limit: float | None, pause: float) -> bytes | None:
    """Return what comes in.

    :param limit: seconds after which it is an error that nothing does; without one, ``None`` is
        returned after the pause.
    """
    if limit is not None:
        async with asyncio.timeout(limit):
            return await reader.read(65536)
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0.001, pause)):
            return await reader.read(65536)
    return None


async def _head(reader: asyncio.StreamReader, status: str) -> dict[str, str]:
    """Return the fields of an answer's head.

    :raises ValueError: when its status is another one.
    """
    text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = text.rstrip().split("\r\n")
    if first.split(" ", 2)[1] != status:
        raise ValueError(first)
    fields = (line.partition(":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in fields}


async def _exactly(reader: asyncio.StreamReader, head: dict[str, str]) -> bytes:
    try:
        return await reader.readexactly(int(head["content-length"]))
    except (EOFError, ConnectionError) as error:
        raise TruncatedError(str(error)) from error


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    content = b""
    try:
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            content += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    except (EOFError, ConnectionError) as error:
        raise TruncatedError(f"after {len(content)} bytes: {error}") from error
    return content
