"""Measuring how long it takes from this host to others and back."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

import grpc
import grpc.aio

from foreshadow.domain.fleet import Host
from foreshadow.wire.channel import open_aio_channel
from foreshadow.wire.credentials import Credentials
from foreshadow.wire.gen.agent_pb2 import DescribeRequest
from foreshadow.wire.gen.agent_pb2_grpc import AgentStub

NO_ANSWER = -1.0
_MOST_CALLS = 50
_AT_ONCE = 8
_CALL_SECONDS = 2.0


async def measure(peers: Sequence[Host], credentials: Credentials, count: int) -> tuple[float, ...]:
    """Return the median round trip to each peer's agent in seconds; negative without an answer.

    :param count: calls to each; one more goes before them, and makes the connection.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(peer: Host) -> float:
        async with gate:
            return await _median(peer, credentials, min(max(count, 1), _MOST_CALLS))

    return tuple(await asyncio.gather(*(one(peer) for peer in peers)))


async def _median(peer: Host, credentials: Credentials, count: int) -> float:
    async with open_aio_channel(peer, credentials) as channel:
        stub = AgentStub(channel)
        times: list[float] = []
        try:
            for _ in range(count + 1):
                began = time.perf_counter()
                await stub.Describe(DescribeRequest(), timeout=_CALL_SECONDS)
                times.append(time.perf_counter() - began)
        except grpc.RpcError:
            return NO_ANSWER
        return statistics.median(times[1:])
