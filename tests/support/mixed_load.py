"""A lean open-loop load of mixed requests, from a process of its own, that never retries.

Of each hundred requests 60 read, 15 put, 20 post, 4 are slow and one streams; every second one of a
front end goes over a kept connection. Reads and puts may be asked twice, so none of them may be
lost; posts are counted apart, and which of them were acknowledged is remembered.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection as Pipe
from types import TracebackType
from typing import Self

from tests.support.forks import forking

TIMEOUT = 20.0
KEPT_SECONDS = 3.0
"""No server closes a kept connection so early: none is closed while a request leaves on it."""
MOST_OPEN = 6000
TICK = 0.004


@dataclass(frozen=True)
class Lost:
    """A request that was lost.

    :ivar front: the front end, or the one that was tried last.
    :ivar opened: monotonic seconds, the same clock for every process of the machine.
    """

    kind: str
    front: str
    opened: float
    ended: float
    error: str


@dataclass
class Counts:
    """What the clients saw.

    :ivar answered: by kind (``read``, ``put``, ``slow``, ``stream``, ``post``).
    :ivar lost: reads and puts without a whole answer of 200.
    :ivar acknowledged: numbers of the posts that were answered with 200.
    :ivar refused: posts that were not.
    :ivar late: requests that were not sent because too many were open.
    :ivar trace: of each whole answer its end, its front end, its host and its seconds, where asked.
    """

    answered: Counter[str] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)
    lost: list[Lost] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    refused: int = 0
    late: int = 0
    seconds: float = 0.0
    trace: list[tuple[float, str, str, float]] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return sum(self.answered.values()) + len(self.lost) + self.refused


@dataclass(frozen=True)
class Mix:
    """What is asked for.

    :ivar writer: the service is a single writer: it takes posts to ``/write``, and no puts.
    :ivar first: the number of the first request; posts carry theirs.
    :ivar traced: remember each answer.
    """

    fronts: tuple[str, ...]
    rate: float = 500.0
    slow_seconds: float = 0.4
    writer: bool = False
    first: int = 0
    traced: bool = False

    def request(self, number: int) -> tuple[str, str, str]:
        """Return the kind, the method and the path of a request."""
        turn = number * 37 % 100
        if turn < 60 or (turn < 75 and self.writer):
            return "read", "GET", "/"
        if turn < 75:
            return "put", "PUT", "/upload"
        if turn < 95:
            return "post", "POST", f"/write/{number}" if self.writer else "/upload"
        if turn < 99 or self.writer:
            return "slow", "GET", f"/slow?seconds={self.slow_seconds:g}"
        return "stream", "GET", f"/stream?seconds={self.slow_seconds:g}"


class MixedLoad:
    """Sends requests until the end of the ``with`` block; then ``counts`` tells what came of it."""

    def __init__(self, mix: Mix) -> None:
        self.counts = Counts()
        context = forking()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(mix, theirs), daemon=True)

    @property
    def pid(self) -> int:
        """Return the process that sends."""
        assert self._process.pid is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self._process.start()
        if not self._pipe.poll(30):
            raise RuntimeError("the load does not begin")
        self._pipe.recv()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pipe.send("stop")
        try:
            if not self._pipe.poll(TIMEOUT + 10):
                raise RuntimeError("the load does not end")
            self.counts = self._pipe.recv()
        finally:
            self._process.kill()
            self._process.join()


class Exchange(asyncio.Protocol):
    """One connection, with one request on it at a time."""

    def __init__(self, front: str, opened: float) -> None:
        self.front = front
        self.opened = opened
        self.used = opened
        self.closed = False
        self.transport: asyncio.Transport
        self._answer: asyncio.Future[str] | None = None
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[str]:
        """Send a request; the result is the host that answered."""
        self._answer = asyncio.get_running_loop().create_future()
        self._received.clear()
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._answer is None or self._answer.done():
            return
        try:
            host = parse(self._received)
        except ValueError as error:
            self._answer.set_exception(error)
        else:
            if host is not None:
                self.used = time.monotonic()
                self._answer.set_result(host)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._answer is not None and not self._answer.done():
            told = f"{exc or 'closed'} after {len(self._received)} bytes"
            self._answer.set_exception(ConnectionError(told))

    def may_be_kept(self) -> bool:
        recent = time.monotonic() - self.used < KEPT_SECONDS
        return recent and not self.closed and not self.transport.is_closing()


def parse(received: bytes | bytearray) -> str | None:
    """Return the host behind a whole answer, or ``None`` while something is missing.

    :raises ValueError: when it is no answer of 200, or not one that can be read.
    """
    head, found, body = bytes(received).partition(b"\r\n\r\n")
    if not found:
        return None
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    if headers.get("transfer-encoding") == "chunked":
        whole = _chunks(body)
    else:
        whole = len(body) >= int(headers.get("content-length", "0"))
    if not whole:
        return None
    if status.split(" ", 2)[1] != "200":
        raise ValueError(status)
    return headers.get("x-host", "")


def _chunks(body: bytes) -> bool:
    """Return whether a chunked body is whole."""
    at = 0
    while (end := body.find(b"\r\n", at)) >= 0:
        size = int(body[at:end].split(b";")[0], 16)
        at = end + 2 + size + 2
        if at > len(body):
            return False
        if size == 0:
            return True
    return False


class _Clients:
    def __init__(self, mix: Mix) -> None:
        self._mix = mix
        self._idle: dict[str, list[Exchange]] = {front: [] for front in mix.fronts}
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts = Counts()

    async def run(self, pipe: Pipe) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.add_reader(pipe.fileno(), stop.set)
        began, sent = loop.time(), 0
        while not stop.is_set():
            due = int((loop.time() - began) * self._mix.rate) - sent
            for _ in range(due):
                self._send(self._mix.first + sent)
                sent += 1
            await asyncio.sleep(TICK)
        self.counts.seconds = loop.time() - began
        loop.remove_reader(pipe.fileno())
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _send(self, number: int) -> None:
        if len(self._tasks) >= MOST_OPEN:
            self.counts.late += 1
            return
        task = asyncio.create_task(self._one(number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, number: int) -> None:
        kind, method, path = self._mix.request(number)
        front = self._mix.fronts[number % len(self._mix.fronts)]
        keep = number // len(self._mix.fronts) % 2 == 0
        opened = began = time.monotonic()
        exchange: Exchange | None = None
        try:
            async with asyncio.timeout(TIMEOUT):
                exchange = (self._kept(front) if keep else None) or await self._connect(front)
                host = await exchange.ask(_written(method, path, exchange.front, keep=keep))
        except (OSError, ValueError, TimeoutError) as error:
            if exchange is not None:
                exchange.transport.abort()
            self._failed(kind, exchange, front, opened, f"{method} {path}: {_said(error)}")
            return
        self.counts.answered[kind] += 1
        self.counts.served[host] += 1
        if kind == "post":
            self.counts.acknowledged.append(number)
        if self._mix.traced:
            ended = time.monotonic()
            self.counts.trace.append((ended, exchange.front, host, ended - began))
        if keep:
            self._idle[exchange.front].append(exchange)
        else:
            exchange.transport.close()

    def _failed(
        self, kind: str, exchange: Exchange | None, front: str, opened: float, error: str
    ) -> None:
        if kind == "post":
            self.counts.refused += 1
            return
        if exchange is not None:
            front, opened = exchange.front, exchange.opened
        self.counts.lost.append(Lost(kind, front, opened, time.monotonic(), error))

    async def _connect(self, front: str) -> Exchange:
        """Open a connection; who is refused asks the next one, as behind several addresses."""
        refused: ConnectionRefusedError | None = None
        for one in (front, *(other for other in self._mix.fronts if other != front)):
            address, port = one.rsplit(":", 1)
            try:
                loop = asyncio.get_running_loop()
                # Before the call: the kernel opens it then, however late we hear of that.
                began = time.monotonic()
                made = await loop.create_connection(
                    partial(Exchange, one, began), address, int(port)
                )
            except ConnectionRefusedError as error:
                refused = error
            else:
                return made[1]
        raise refused or AssertionError

    def _kept(self, front: str) -> Exchange | None:
        idle = self._idle[front]
        while idle:
            exchange = idle.pop()
            if exchange.may_be_kept():
                return exchange
            exchange.transport.close()
        return None


def _written(method: str, path: str, front: str, *, keep: bool) -> bytes:
    body = "" if method == "GET" else "some text"
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    how = "keep-alive" if keep else "close"
    head = f"{method} {path} HTTP/1.1\r\nHost: {front}\r\nConnection: {how}\r\n{length}\r\n"
    return f"{head}{body}".encode()


def _said(error: Exception) -> str:
    return f"{time.strftime('%H:%M:%S')} {type(error).__name__} {error}"


def _serve(mix: Mix, pipe: Pipe) -> None:
    clients = _Clients(mix)

    async def run() -> None:
        pipe.send("began")
        await clients.run(pipe)

    asyncio.run(run())
    pipe.send(clients.counts)
