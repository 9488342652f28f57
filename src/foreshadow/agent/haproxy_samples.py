"""What HAProxy counts, as series of its backends.

For each backend of each HAProxy beside the agent, under the name of the backend:

``haproxy_rate``
    requests in a second; sessions, where the backend is in TCP mode.
``haproxy_errors``
    answers with a status of 500 or more in a second, those that HAProxy gave itself included; in
    TCP mode, sessions that reached no server.
``haproxy_sessions``
    sessions that are open now.
``haproxy_latency``
    seconds from a whole request to the first byte of its answer: the means of ``qtime``, ``ctime``
    and ``rtime`` together. HAProxy keeps them in whole milliseconds, over its last 1024 requests:
    at 300 requests in a second it follows within seconds, at one in a minute within hours. Its
    ``ttime`` will not do: it also counts how long a client thinks between two requests. Left out
    when no request came since the last sample, and in TCP mode.

Rates come from counters. After a reload the new process counts from zero, and so does one whose
counters were cleared: what it has counted is new. What an old process still serves after a reload
is in nobody's statistics. After a gap, a rate is the mean over the gap.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from foreshadow.agent.remarks import Remarks
from foreshadow.agent.runtime_api import COUNTING, RuntimeSocket, parse_counts
from foreshadow.agent.samples import Key
from foreshadow.domain.errors import DirectorError, ForeshadowError

RATE = "haproxy_rate"
ERRORS = "haproxy_errors"
SESSIONS = "haproxy_sessions"
LATENCY = "haproxy_latency"


@dataclass(frozen=True, slots=True)
class Count:
    """A backend, as one process has counted since it began.

    :ivar latency: seconds; ``None`` in TCP mode.
    """

    requests: int
    errors: int
    sessions: int
    latency: float | None


@dataclass(frozen=True, slots=True)
class Counts:
    """All backends of one HAProxy.

    :ivar at: seconds of a clock that only goes forward.
    :ivar pid: of the process that counted.
    """

    at: float
    pid: int
    backends: Mapping[str, Count]


class HaproxySamples:
    """Reads the statistics of HAProxy processes without ever being in the way of a command.

    A HAProxy that is busy with a command, or that has left one unanswered, is not asked.
    """

    def __init__(
        self, runtimes: Sequence[RuntimeSocket], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._runtimes = runtimes
        self._clock = clock
        self._before: dict[RuntimeSocket, Counts] = {}
        self._remarks = Remarks()

    async def sample(self) -> Mapping[Key, float]:
        """Return values by backend and series; those of several processes are joined."""
        values: dict[Key, float] = {}
        for part in await asyncio.gather(*(self._ask(runtime) for runtime in self._runtimes)):
            for key, value in part.items():
                join = max if key[1] == LATENCY else float.__add__
                values[key] = join(values[key], value) if key in values else value
        return values

    async def _ask(self, runtime: RuntimeSocket) -> Mapping[Key, float]:
        if runtime.busy:
            return {}
        try:
            async with runtime.lock:
                lines = await runtime.exchange(COUNTING)
            pid, backends = parse_counts(lines, runtime.where)
            now = Counts(
                self._clock(), pid, {n: _count(b, runtime.where) for n, b in backends.items()}
            )
        except ForeshadowError as error:
            self._remarks.say(runtime.where, str(error))
            return {}
        self._remarks.say(runtime.where, "")
        before, self._before[runtime] = self._before.get(runtime), now
        return {} if before is None else between(before, now)


def between(before: Counts, now: Counts) -> dict[Key, float]:
    """Return the values of every backend for the time between two readings."""
    known = before.backends if before.pid == now.pid else {}
    elapsed = now.at - before.at
    values: dict[Key, float] = {}
    for name, count in now.backends.items():
        last = known.get(name, Count(0, 0, 0, None))
        requests = _increase(last.requests, count.requests)
        values[name, RATE] = requests / elapsed
        values[name, ERRORS] = _increase(last.errors, count.errors) / elapsed
        values[name, SESSIONS] = float(count.sessions)
        if requests and count.latency is not None:
            values[name, LATENCY] = count.latency
    return values


def _increase(before: int, now: int) -> int:
    """Return how much a counter has grown; one that is lower than before began anew."""
    return now - before if now >= before else now


def _count(fields: Mapping[str, str], where: str) -> Count:
    try:
        http = fields["mode"] == "http"
        waits = sum(int(fields[name]) for name in ("qtime", "ctime", "rtime"))
        return Count(
            requests=int(fields["req_tot" if http else "stot"]),
            errors=int(fields["hrsp_5xx" if http else "econ"]),
            sessions=int(fields["scur"]),
            latency=waits / 1000 if http else None,
        )
    except (KeyError, ValueError):
        raise DirectorError("broke its answer off", where=where, remedy="try again") from None
