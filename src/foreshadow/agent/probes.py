"""Asking a service whether it is well, and how many requests it has in flight."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from foreshadow.agent.commands import Result, run
from foreshadow.agent.scope import Scope
from foreshadow.agent.sockets import established
from foreshadow.domain.errors import ServiceError
from foreshadow.domain.units import format_duration

_LARGEST = 64 * 1024


class Probes:
    """Asks services directly, each time over a connection of its own."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def health(self, scope: Scope, pid: int | None) -> Result:
        """Check the health once, as the spec says."""
        health = scope.record.spec.service.health
        if health.command:
            return await run(scope, health.command, health.timeout, pid)
        if health.path is not None:
            return await self._http(scope, "GET", health.path, health.timeout, 400)
        return await _tcp(scope, health.timeout)

    async def ask(self, scope: Scope, method: str, path: str, within: float) -> Result:
        """Make a request to the service; it has worked when the answer is 2xx within seconds."""
        return await self._http(scope, method, path, within, 300)

    async def in_flight(self, scope: Scope) -> int:
        """Return the number of requests in flight, as the spec's ``drain`` counts them.

        :raises ServiceError: when the service does not tell.
        """
        service = scope.record.spec.service
        if service.drain.path is None or service.drain.source == "sockets":
            return await asyncio.to_thread(established, scope.home.address, service.port)
        url = _url(scope, service.drain.path)
        try:
            async with asyncio.timeout(service.health.timeout), self._session.get(url) as reply:
                reply.raise_for_status()
                answer = json.loads(await reply.content.read(_LARGEST))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ServiceError(
                f"does not tell its requests in flight at {url}: {_words(error)}",
                where=scope.where,
                remedy="correct drain.path, or use drain.source: sockets",
            ) from None
        count = answer.get("in_flight") if isinstance(answer, dict) else answer
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ServiceError(
                f"answers at {url} neither a number nor JSON with in_flight",
                where=scope.where,
                remedy="correct drain.path, or use drain.source: sockets",
            )
        return count

    async def _http(self, scope: Scope, method: str, path: str, within: float, bad: int) -> Result:
        """Make a request; an answer with a status from 200 up to ``bad`` is a good one."""
        url = _url(scope, path)
        try:
            async with (
                asyncio.timeout(within),
                self._session.request(method, url, allow_redirects=False) as reply,
            ):
                said = f"{method} {url} answered {reply.status}"
                return Result(200 <= reply.status < bad, said)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = _words(error) or f"no answer within {format_duration(within)}"
            return Result(False, f"{method} {url}: {reason}")


@asynccontextmanager
async def open_probes() -> AsyncIterator[Probes]:
    """Open what probes need, for the running event loop."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Probes(session)


def _url(scope: Scope, path: str) -> str:
    address = f"[{scope.home.address}]" if ":" in scope.home.address else scope.home.address
    return f"http://{address}:{scope.record.spec.service.port}/{scope.fill(path).lstrip('/')}"


async def _tcp(scope: Scope, within: float) -> Result:
    address, port = scope.home.address, scope.record.spec.service.port
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError) as error:
        return Result(False, f"connecting to {address}:{port}: {_words(error) or 'no answer'}")
    writer.close()
    return Result(True, f"{address}:{port} takes connections")


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return (error.os_error.strerror or str(error.os_error)).lower()
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error)
