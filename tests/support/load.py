"""A bounded open-loop load of HTTP requests: a client that never retries, and counts everything.

Requests leave at a fixed rate whatever happens to the ones before, half of them on kept
connections. One in every few takes seconds or streams. An answer counts when its body is whole;
one that ends early is ``truncated``, anything else that is not a 200 is ``failed``.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

TIMEOUT = 20.0
KEPT_SECONDS = 5.0
"""A kept connection is not used again after this long: no server closes one so early, so that none
is closed at the very moment at which a request leaves on it."""
MOST_OPEN = 400
"""How many requests may be open at once; beyond it the rate is not kept, and that is told."""


@dataclass(frozen=True)
class Lost:
    """A request that was lost: at which front end, and when its connection was opened."""

    front: str
    opened: float


@dataclass
class Tally:
    """What the clients saw.

    :ivar served: answers by the host that gave them.
    :ivar latencies: seconds of each quick request.
    :ivar errors: the first failures, in words.
    :ivar late: requests that had to wait for another one to end.
    :ivar lost: each failed or truncated request.
    """

    ok: int = 0
    failed: int = 0
    truncated: int = 0
    late: int = 0
    served: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return self.ok + self.failed + self.truncated

    def percentile(self, share: float) -> float:
        """Return the latency in seconds that this share of the quick requests stayed below."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class TruncatedError(Exception):
    """The answer ended before its body did."""


@dataclass(frozen=True)
class Connection:
    """A connection, and when it was last used (monotonic seconds)."""

    front: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    opened: float
    used: float = 0.0

    def may_be_kept(self) -> bool:
        broken = self.reader.at_eof() or self.reader.exception() is not None
        return not broken and time.monotonic() - self.used < KEPT_SECONDS


class LostError(Exception):
    """A request was lost on a connection."""

    def __init__(self, connection: Connection, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__} {cause}")
        self.lost = Lost(connection.front, connection.opened)
        self.truncated = isinstance(cause, TruncatedError)


class Load:
    """Sends requests from a thread of its own until the end of the ``with`` block.

    :param fronts: ``address:port`` of each load balancer; they take turns.
    :param rate: requests per second.
    :param slow_every: one in so many takes ``seconds``; 0 for none.
    :param stream_every: one in so many streams for ``seconds``; 0 for none.
    :param try_next: a client whose front end refuses the connection asks the next one, as those
        behind several addresses do.
    """

    def __init__(
        self,
        fronts: Sequence[str],
        rate: float,
        slow_every: int = 60,
        stream_every: int = 90,
        seconds: float = 2.0,
        *,
        try_next: bool = False,
    ) -> None:
        self.tally = Tally()
        self._fronts = list(fronts)
        self._rate = rate
        self._slow_every = slow_every
        self._stream_every = stream_every
        self._seconds = seconds
        self._try_next = try_next
        self._stop = threading.Event()
        self._idle: dict[str, list[Connection]] = {front: [] for front in fronts}
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        tasks: set[asyncio.Task[None]] = set()
        while not self._stop.is_set():
            if len(tasks) >= MOST_OPEN:
                self.tally.late += 1
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self._one(number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
            await asyncio.sleep(max(0.0, began + number / self._rate - loop.time()))
        if tasks:
            await asyncio.wait(tasks)
        for connections in self._idle.values():
            for connection in connections:
                connection.writer.close()

    async def _one(self, number: int) -> None:
        front = self._fronts[number % len(self._fronts)]
        keep = number // len(self._fronts) % 2 == 0
        path = self._path(number)
        tally = self.tally
        try:
            host, seconds = await asyncio.wait_for(self._ask(front, path, keep), TIMEOUT)
        except LostError as error:
            tally.truncated += error.truncated
            tally.failed += not error.truncated
            tally.lost.append(error.lost)
            self._note(path, error)
        except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
            tally.failed += 1
            tally.lost.append(Lost(front, time.monotonic()))
            self._note(path, error)
        else:
            tally.ok += 1
            tally.served[host] += 1
            if path == "/":
                tally.latencies.append(seconds)

    def _path(self, number: int) -> str:
        if self._slow_every and number % self._slow_every == 7:
            return f"/slow?seconds={self._seconds:g}"
        if self._stream_every and number % self._stream_every == 11:
            return f"/stream?seconds={self._seconds:g}"
        return "/"

    def _note(self, path: str, error: Exception) -> None:
        if len(self.tally.errors) < 20:
            at = time.strftime("%H:%M:%S")
            self.tally.errors.append(f"{at} {path}: {type(error).__name__} {error}")

    async def _ask(self, front: str, path: str, keep: bool) -> tuple[str, float]:
        began = time.monotonic()
        connection = (self._kept(front) if keep else None) or await self._connect(front)
        try:
            host = await self._ask_on(connection, path, keep)
        except (OSError, ValueError, asyncio.IncompleteReadError, TruncatedError) as error:
            raise LostError(connection, error) from error
        except asyncio.CancelledError as error:
            raise LostError(connection, TimeoutError("no answer")) from error
        return host, time.monotonic() - began

    async def _ask_on(self, connection: Connection, path: str, keep: bool) -> str:
        front, reader, writer = connection.front, connection.reader, connection.writer
        kept = False
        try:
            how = "keep-alive" if keep else "close"
            request = f"GET {path} HTTP/1.1\r\nHost: {front}\r\nConnection: {how}\r\n\r\n"
            writer.write(request.encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, _, fields = head.partition("\r\n")
            headers = dict(_field(line) for line in fields.splitlines() if line)
            try:
                await _read_body(reader, headers)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise TruncatedError(str(error)) from error
            if status.split(" ", 2)[1] != "200":
                raise ValueError(status)
            kept = keep and headers.get("connection", "").lower() != "close"
        finally:
            if kept:
                self._idle[front].append(replace(connection, used=time.monotonic()))
            else:
                writer.close()
        return headers.get("x-host", "")

    async def _connect(self, front: str) -> Connection:
        others = [one for one in self._fronts if one != front] if self._try_next else []
        for one in (front, *others):
            address, port = one.rsplit(":", 1)
            try:
                opened = time.monotonic()
                return Connection(one, *await asyncio.open_connection(address, int(port)), opened)
            except ConnectionRefusedError:
                if one == (front, *others)[-1]:
                    raise
        raise AssertionError

    def _kept(self, front: str) -> Connection | None:
        """Return a kept connection that is good still, and close those that are not."""
        idle = self._idle[front]
        while idle:
            connection = idle.pop()
            if connection.may_be_kept():
                return connection
            connection.writer.close()
        return None


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> None:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        await reader.readexactly(int(headers.get("content-length", "0")))
        return
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        await reader.readexactly(size + 2)
    await reader.readexactly(2)
