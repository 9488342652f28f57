"""The source ``agents``: what the agents recorded about the instances that they carry.

The query is the name of a recorded series: ``rate``, ``latency``, ``p99``, ``cpu`` and ``memory``
of the primary, or what load balancers count: ``haproxy_rate``, ``haproxy_errors``,
``haproxy_sessions`` and ``haproxy_latency`` (:mod:`foreshadow.agent.haproxy_samples` says of what).
What several agents recorded in one cell is one value: rates, errors and sessions are added, for
traffic may be split; of everything else the highest counts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from pydantic import Field

from foreshadow.domain.clock import MetricClock, WallTime
from foreshadow.domain.errors import MetricsError, UnreachableError
from foreshadow.domain.series import Series, Window
from foreshadow.domain.spec import Name
from foreshadow.metrics.grid import resample
from foreshadow.metrics.options import Options, parse
from foreshadow.wire.access import Access
from foreshadow.wire.gen import agent_pb2

_AT_ONCE = 8
_BALANCER_SERIES = "haproxy_"
_ADDED = ("rate", "errors", "sessions")

Backend = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]


class AgentsOptions(Options):
    """Options of the source.

    :ivar hosts: whose agents are asked; by default those of all hosts, of which load balancers
        alone are asked for ``haproxy_…``, and the others for everything else.
    :ivar backends: by resource, the HAProxy backend whose ``haproxy_…`` series are its own; by
        default the one that is named like the resource.
    """

    hosts: tuple[str, ...] = ()
    backends: dict[Name, Backend] = Field(default_factory=dict)


class AgentsSource:
    """Asks the agents, and maps their wall time to metric time."""

    def __init__(self, options: Mapping[str, Any], clock: MetricClock, access: Access) -> None:
        self._options = parse(AgentsOptions, "agents", options)
        self._clock = clock
        self._access = access

    def fetch(self, query: str, resources: Sequence[str], window: Window) -> dict[str, Series]:
        """Return the recorded series of each resource, on the grid.

        An agent that does not answer is left out while another does: what it alone recorded is
        missing then, and a series that ends too early says so itself.

        :raises MetricsError: when no agent answers, or there is none to ask.
        """
        hosts = self._asked(query)
        if not hosts:
            raise MetricsError("there is no agent to ask", where="agents", remedy="register hosts")
        # What was recorded before a replay began has no place in its time.
        start = max(self._clock.wall(window.start), self._clock.started)
        recorded_as = self._recorded_as(query, resources)
        request = agent_pb2.SamplesRequest(
            resources=sorted(set(recorded_as.values())),
            series=query,
            start=start,
            end=self._clock.wall(window.end),
        )
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = list(pool.map(lambda host: self._ask(host, request), hosts))
        silent = [answer for answer in answers if isinstance(answer, UnreachableError)]
        if len(silent) == len(hosts):
            raise MetricsError(f"no agent answers ({silent[0]})", where="agents")
        parts: dict[str, list[Series]] = defaultdict(list)
        for answer in answers:
            if isinstance(answer, agent_pb2.SamplesReply):
                for samples in answer.samples:
                    series = self._on_grid(samples, window)
                    if series is not None:
                        parts[samples.resource].append(series)
        joined = {name: _joined(found, query.endswith(_ADDED)) for name, found in parts.items()}
        return {name: joined[key] for name, key in recorded_as.items() if key in joined}

    def _recorded_as(self, query: str, resources: Sequence[str]) -> dict[str, str]:
        """Return the name under which the agents recorded each resource."""
        backends = self._options.backends if query.startswith(_BALANCER_SERIES) else {}
        return {resource: backends.get(resource, resource) for resource in resources}

    def _asked(self, query: str) -> tuple[str, ...]:
        if self._options.hosts:
            return self._options.hosts
        at_balancers = query.startswith(_BALANCER_SERIES)
        return tuple(h.name for h in self._access.registered() if h.relay == at_balancers)

    def _ask(
        self, host: str, request: agent_pb2.SamplesRequest
    ) -> agent_pb2.SamplesReply | UnreachableError:
        try:
            client = self._access.client(host)
            return client.call(client.agent.ReadSamples, request)
        except UnreachableError as error:
            return error

    def _on_grid(self, samples: agent_pb2.Samples, window: Window) -> Series | None:
        at = (self._clock.metric(WallTime(wall)) for wall in samples.at)
        return resample(zip(at, samples.value, strict=True), window)


def _joined(parts: list[Series], added: bool) -> Series:
    """Return one series of several on the same grid."""
    cells = zip(*(part.values for part in parts), strict=True)
    values = []
    for cell in cells:
        known = [value for value in cell if not math.isnan(value)]
        join = sum if added else max
        values.append(float(join(known)) if known else math.nan)
    return Series(parts[0].start, parts[0].step, tuple(values))
