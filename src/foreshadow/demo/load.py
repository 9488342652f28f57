"""The demo's clients: an open loop that replays the trace, through both load balancers.

Requests leave when the trace says so, whether or not earlier ones have been answered, as the
world's clients do. None is ever repeated: a request that fails is a request that failed.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from foreshadow.domain.clock import MetricClock, MetricTime, WallTime

PATIENCE_SECONDS = 5.0
_ITEMS = 200


@dataclass
class Interval:
    """What clients saw in one interval of metric time.

    :ivar latencies: seconds, of the requests that were answered.
    """

    latencies: list[float] = field(default_factory=list)
    failed: int = 0


@dataclass
class Seen:
    """What clients saw in a run.

    :ivar intervals: by the start of the interval, in metric time.
    :ivar hosts: answered requests by the host that served them.
    :ivar errors: failures by what went wrong.
    """

    step: float
    intervals: dict[float, Interval] = field(default_factory=lambda: defaultdict(Interval))
    hosts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    errors: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def requests(self) -> int:
        """Return how many requests were sent."""
        return sum(len(i.latencies) + i.failed for i in self.intervals.values())

    @property
    def failed(self) -> int:
        """Return how many of them failed."""
        return sum(i.failed for i in self.intervals.values())

    def percentile(self, share: float) -> float:
        """Return a percentile of the latency over the whole run, in seconds."""
        return percentile([v for i in self.intervals.values() for v in i.latencies], share)

    def _interval(self, at: float) -> Interval:
        return self.intervals[math.floor(at / self.step) * self.step]

    def answered(self, at: float, latency: float, host: str) -> None:
        """Note an answer to a request that was sent at a metric time."""
        self._interval(at).latencies.append(latency)
        self.hosts[host] += 1

    def lost(self, at: float, error: str) -> None:
        """Note a failure."""
        self._interval(at).failed += 1
        self.errors[error] += 1


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of the values lies; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


async def replay(
    fronts: Sequence[str],
    rate: Callable[[MetricTime], float],
    clock: MetricClock,
    until: MetricTime,
    seen: Seen,
) -> None:
    """Send requests at the replayed rate until a metric time, and wait for the last answers.

    :param fronts: base URLs of the load balancers, used in turn.
    :param rate: requests per wall second at a metric time.
    """
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        # aiohttp repeats a GET whose kept-alive connection was closed; here that would hide a loss.
        session._retry_connection = False  # noqa: SLF001 (there is no public switch)
        turn = itertools.cycle(fronts)
        items = itertools.cycle(range(_ITEMS))
        due = time.time()
        async with asyncio.TaskGroup() as sent:
            while (at := clock.metric(WallTime(due))) < until:
                await asyncio.sleep(max(0.0, due - time.time()))
                url = f"{next(turn)}/items/{next(items)}"
                sent.create_task(_request(session, url, at, seen))
                due += 1.0 / max(rate(at), 0.1)


async def _request(session: aiohttp.ClientSession, url: str, at: float, seen: Seen) -> None:
    began = time.monotonic()
    try:
        async with session.get(url) as answer:
            body = await answer.json()
            if answer.status != 200:
                seen.lost(at, f"status {answer.status}")
                return
    except TimeoutError:
        seen.lost(at, f"no answer within {PATIENCE_SECONDS:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        seen.lost(at, type(error).__name__)
    else:
        seen.answered(at, time.monotonic() - began, str(body["host"]))
