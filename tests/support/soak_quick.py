"""Quick requests as fast as they are answered: the bulk of a soak, so each costs very little.

The next request leaves in the same call that takes the end of the answer before it.
"""

from __future__ import annotations

import asyncio
import random
import time

from tests.support.payloads import body
from tests.support.soak_tally import Tally

TIMEOUT = 20.0
SIZES = (0, 130, 900, 4000, 18000)


class Quick(asyncio.Protocol):
    """One client that asks for bodies that it knows, one after the other, until it is stopped.

    :param keep: on one connection, for as long as the server keeps it; else each on a new one.
    :param rest: seconds between two requests.
    """

    def __init__(
        self, front: str, tally: Tally, seed: int, *, keep: bool, rest: float = 0.0
    ) -> None:
        self._front = front
        self._tally = tally
        self._draw = random.Random(seed)
        self._keep = keep
        self._rest = rest
        self._kind = "rested" if rest else "kept" if keep else "closed"
        self._stopped = False
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._buffer = b""
        self._place = 0
        self._size = 0
        self._asked_at = 0.0
        """When the request left that is not answered yet; 0 when there is none."""

    def start(self) -> None:
        """Connect, and ask on."""
        self._connecting = asyncio.create_task(self._connect())

    def stop(self) -> None:
        """Ask no more; an answer that is under way is still taken."""
        self._stopped = True
        if not self._asked_at and self._transport is not None:
            self._transport.abort()

    def settled(self) -> bool:
        """Return whether nothing is under way; what takes too long is given up."""
        if self._asked_at and time.perf_counter() - self._asked_at > TIMEOUT:
            self._lose("no answer")
            if self._transport is not None:
                self._transport.abort()
        return not self._asked_at and (self._connecting is None or self._connecting.done())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        if not self._asked_at:
            self._tally.wrong[self._kind] += 1
            self._tally.note(f"{self._kind}: bytes that nobody asked for: {data[:40]!r}")
            return
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        size = 0 if at < 0 else int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) >= end + 4 + size:
            self._judge(head, self._buffer[end + 4 :])

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._asked_at:
            self._lose(f"the connection ended: {exc or 'closed'}")
        elif not self._stopped:
            self.start()

    def _judge(self, head: bytes, content: bytes) -> None:
        """Count the answer, and go on."""
        tally, took = self._tally, time.perf_counter() - self._asked_at
        self._asked_at, self._buffer = 0.0, b""
        if not head.startswith(b"http/1.1 200"):
            tally.failed[self._kind] += 1
            tally.note(f"{_now()} {self._kind} at {self._front}: {head[:60]!r}")
        elif content != body(self._place, self._size):
            tally.wrong[self._kind] += 1
            tally.note(f"{_now()} {self._kind} at {self._front}: {len(content)} wrong bytes")
        else:
            tally.ok[self._kind] += 1
            tally.latencies[int(took * 10_000)] += 1
        assert self._transport is not None
        if self._stopped or not self._keep or b"connection: close" in head:
            self._transport.abort()
        elif self._rest:
            asyncio.get_running_loop().call_later(self._rest, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        if self._transport is None or self._stopped or self._transport.is_closing():
            return
        self._place, self._size = self._draw.randrange(100_000), self._draw.choice(SIZES)
        how = "keep-alive" if self._keep else "close"
        self._asked_at = time.perf_counter()
        self._transport.write(
            f"GET /body?place={self._place}&size={self._size} HTTP/1.1\r\n"
            f"Host: soak\r\nConnection: {how}\r\n\r\n".encode()
        )

    def _lose(self, why: str) -> None:
        partly = bool(self._buffer)
        self._asked_at, self._buffer = 0.0, b""
        (self._tally.truncated if partly else self._tally.failed)[self._kind] += 1
        self._tally.note(f"{_now()} {self._kind} at {self._front}: {why}")
        if not self._stopped and self._transport is None:
            self.start()

    async def _connect(self) -> None:
        address, port = self._front.rsplit(":", 1)
        loop = asyncio.get_running_loop()
        while not self._stopped:
            try:
                await loop.create_connection(lambda: self, address, int(port))
            except OSError as error:
                self._tally.failed[self._kind] += 1
                self._tally.note(f"{_now()} {self._kind} at {self._front}: {error}")
                await asyncio.sleep(0.1)
            else:
                return


def _now() -> str:
    return time.strftime("%H:%M:%S")
