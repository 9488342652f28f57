"""Proxies on loopback whose connections can all be reset at once, as a broken network would."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

Where = tuple[str, int] | Path
"""An address and a port, or the path of a Unix socket."""

_AT_ONCE = struct.pack("ii", 1, 0)


class Proxy:
    """Hands bytes on between who connects and a target, until it is told to reset.

    :ivar resets: how many connections were reset.
    """

    def __init__(self, target: Where) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self.resets = 0

    async def serve(self, at: Where) -> asyncio.Server:
        """Listen."""
        if isinstance(at, Path):
            return await asyncio.start_unix_server(self._handle, at)
        return await asyncio.start_server(self._handle, at[0], at[1])

    def reset(self) -> None:
        """Reset every connection that is open."""
        for writer in list(self._writers):
            raw = writer.get_extra_info("socket")
            if raw.family != socket.AF_UNIX:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()
            self.resets += 1

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(self._target, Path):
                there = await asyncio.open_unix_connection(self._target)
            else:
                there = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        mine = {writer, there[1]}
        self._writers |= mine
        try:
            await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
        finally:
            self._writers -= mine
            for one in mine:
                one.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()


class Proxies:
    """Several proxies on one event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._proxies: dict[str, Proxy] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def add(self, name: str, at: Where, target: Where) -> None:
        """Listen at one place for a target at another, under a name."""
        proxy = Proxy(target)
        asyncio.run_coroutine_threadsafe(proxy.serve(at), self._loop).result(5)
        self._proxies[name] = proxy

    def reset(self, *names: str) -> None:
        """Reset the connections through the proxies of these names."""

        async def all_of_them() -> None:
            for name in names:
                self._proxies[name].reset()

        asyncio.run_coroutine_threadsafe(all_of_them(), self._loop).result(5)


@contextmanager
def running_proxies() -> Iterator[Proxies]:
    """Give proxies until the end of the block."""
    with Proxies() as proxies:
        yield proxies
