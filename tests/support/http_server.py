"""A lean HTTP/1.1 server: what a service of the tests costs is not what is measured.

Requests on one connection are answered one after the other. A handler returns its answer at once,
or a coroutine that takes its time; with one that streams, the coroutine writes itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from tests.support.frames import CLOSE, TEXT, FrameReader, accept_key, closing, frame

LARGEST_HEAD = 16 * 1024


@dataclass
class Request:
    """One request, with its whole body.

    :ivar size: of its body, in bytes.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    size: int = 0
    body: bytes = b""

    def asked(self, name: str, default: str = "") -> str:
        """Return a parameter of the query."""
        return parse_qs(self.query).get(name, [default])[0]


Answer = bytes | Coroutine[None, None, None] | None
Handler = Callable[["Connection", Request], Answer]


def answer(body: bytes, host: str, status: str = "200 OK") -> bytes:
    """Return a whole answer."""
    return (
        f"HTTP/1.1 {status}\r\nX-Host: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def chunk(content: bytes) -> bytes:
    """Return one chunk of a body in chunks; an empty one is its end."""
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


@dataclass
class Site:
    """What a server serves.

    :ivar route: gives the handler of a path, or ``None``.
    :ivar began: called with a path when the head of a request is there; what it returns is called
        at the request's end, however it ends. A websocket ends with its connection.
    :ivar websockets: the open ones.
    """

    route: Callable[[str], Handler | None]
    began: Callable[[str], Callable[[], None]]
    websockets: set[Connection] = field(default_factory=set)

    def go_away(self) -> None:
        """Close every websocket with 1001: whoever is there shall come back elsewhere."""
        for connection in tuple(self.websockets):
            connection.leave()

    async def serve(self, address: str, port: int, backlog: int = 1024) -> asyncio.Server:
        """Listen, and return the server."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Connection(self), address, port, backlog=backlog)


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._request: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended: Callable[[], None] | None = None
        self._frames: FrameReader | None = None
        self._leaving = False
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._writable.set()
        self._site.websockets.discard(self)
        if self._task is not None:
            self._task.cancel()
        self._end()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if self._frames is not None:
            self._echo(data)
            return
        self._buffer += data
        self._advance()

    async def write(self, data: bytes) -> None:
        """Write a part of an answer, no faster than the client takes it."""
        await self._writable.wait()
        if self._transport is None:
            raise ConnectionResetError("the client has gone")
        self._transport.write(data)

    def upgrade(self, request: Request) -> None:
        """Make a websocket of the connection: what comes in goes out again."""
        assert self._transport is not None
        key = accept_key(request.headers.get("sec-websocket-key", ""))
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self._transport.write(f"{head}Sec-WebSocket-Accept: {key}\r\n\r\n".encode())
        self._frames = FrameReader()
        self._site.websockets.add(self)

    def leave(self) -> None:
        """Say 1001. Frames that were already answered stay so; later ones are no longer heard."""
        if self._transport is not None and not self._leaving:
            self._leaving = True
            self._transport.write(closing(1001))

    def _echo(self, data: bytes) -> None:
        assert self._frames is not None
        assert self._transport is not None
        for kind, payload in self._frames.feed(data):
            if kind == CLOSE:
                if not self._leaving:
                    self._transport.write(frame(CLOSE, payload))
                self._transport.close()
                return
            if kind == TEXT and not self._leaving:
                self._transport.write(frame(TEXT, payload))

    def _advance(self) -> None:
        """Answer what is whole, unless the request before is still being answered."""
        while self._transport is not None and self._task is None and self._frames is None:
            request = self._request or self._head()
            if request is None:
                return
            self._request = request
            if len(self._buffer) < request.size:
                return
            request.body = bytes(self._buffer[: request.size])
            del self._buffer[: request.size]
            self._request = None
            self._answer(request)

    def _head(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > LARGEST_HEAD and self._transport is not None:
                self._transport.close()
            return None
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        method, target, _ = lines[0].split(" ", 2)
        path, _, query = target.partition("?")
        fields = (line.partition(":") for line in lines[1:])
        headers = {name.lower(): value.strip() for name, _, value in fields}
        self._ended = self._site.began(path)
        return Request(method, path, query, headers, int(headers.get("content-length", "0")))

    def _answer(self, request: Request) -> None:
        assert self._transport is not None
        handler = self._site.route(request.path)
        said = answer(b"", "", "404 Not Found") if handler is None else handler(self, request)
        close = request.headers.get("connection", "").lower() == "close"
        if said is None:
            return  # a websocket: its end is the connection's
        if isinstance(said, bytes):
            self._transport.write(said)
            self._finish(close=close)
            return
        self._task = asyncio.create_task(said)
        self._task.add_done_callback(lambda done: self._finished(done, close=close))

    def _finished(self, task: asyncio.Task[None], *, close: bool) -> None:
        self._task = None
        broken = task.cancelled() or task.exception() is not None
        self._finish(close=close or broken)
        self._advance()

    def _finish(self, *, close: bool) -> None:
        self._end()
        if close and self._transport is not None:
            self._transport.close()

    def _end(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()
