"""The source ``prometheus``: one range query answers for many resources.

The label ``resource`` of the answer names the resource. A stretch that would exceed the server's
limits of points or samples is asked for page by page.
"""

from __future__ import annotations

import asyncio
import json
import math
import ssl
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import aiohttp
from pydantic import Field

from foreshadow.domain.clock import MetricClock, MetricTime
from foreshadow.domain.errors import MetricsError
from foreshadow.domain.series import Series, Window
from foreshadow.domain.units import Seconds
from foreshadow.metrics.grid import resample
from foreshadow.metrics.options import Options, parse

_MOST_SHOWN = 200


class PrometheusOptions(Options):
    """Options of the source.

    :ivar url: of the server, with its path prefix if it has one.
    :ivar label: names the resource.
    :ivar most_points: of one series in one answer; Prometheus refuses more than 11,000.
    :ivar most_samples: of all series in one answer; the server's ``--query.max-samples`` or less.
    :ivar bearer_token_file: whose content is sent as the token; it is never stored.
    :ivar ca: a file of certificates to trust instead of the system's.
    """

    url: Annotated[str, Field(pattern=r"^https?://")]
    label: str = "resource"
    timeout: Seconds = 30.0
    most_points: Annotated[int, Field(ge=2, le=11000)] = 10000
    most_samples: Annotated[int, Field(ge=1000)] = 5_000_000
    bearer_token_file: str | None = None
    ca: str | None = None


class PrometheusSource:
    """Asks the HTTP API of a Prometheus, or of what speaks it."""

    def __init__(self, options: Mapping[str, Any], clock: MetricClock, access: object) -> None:
        del clock, access  # its samples carry metric time, and it needs no agent
        self._options = parse(PrometheusOptions, "prometheus", options)
        self._where = f"prometheus {self._options.url}"

    def fetch(self, query: str, resources: Sequence[str], window: Window) -> dict[str, Series]:
        """Return the answer to a PromQL query for each resource, on the grid.

        :raises MetricsError: when the server does not answer, refuses the query, or answers
            something else than one series for each resource.
        """
        wanted = set(resources)
        samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for answer in asyncio.run(self._ask(query, len(wanted), window)):
            for name, values in self._series(answer, query).items():
                if name in wanted:
                    samples[name].extend(values)
        found = {name: resample(values, window) for name, values in samples.items()}
        return {name: series for name, series in found.items() if series is not None}

    async def _ask(self, query: str, count: int, window: Window) -> list[Any]:
        limit = aiohttp.ClientTimeout(total=self._options.timeout)
        answers = []
        try:
            tls = aiohttp.TCPConnector(ssl=self._tls())
            headers = self._headers()
            async with aiohttp.ClientSession(
                timeout=limit, connector=tls, headers=headers
            ) as session:
                for first, last in self._pages(count, window):
                    form = {
                        "query": query,
                        "start": repr(float(first)),
                        "end": repr(float(last)),
                        "step": repr(float(window.step)),
                    }
                    url = f"{self._options.url.rstrip('/')}/api/v1/query_range"
                    async with session.post(url, data=form) as response:
                        answers.append(self._result(response.status, await response.read(), query))
        except TimeoutError:
            raise self._error(
                f"it did not answer within {self._options.timeout:g} s",
                "raise timeout, or ask for less history",
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._error(f"it cannot be asked: {error}", "check url and network") from None
        return answers

    def _pages(self, count: int, window: Window) -> Iterator[tuple[MetricTime, MetricTime]]:
        grid = window.grid()
        by_samples = self._options.most_samples // max(1, count)
        size = max(1, min(self._options.most_points, by_samples))
        for first in range(0, len(grid), size):
            page = grid[first : first + size]
            yield page[0], page[-1]

    def _result(self, status: int, body: bytes, query: str) -> Any:
        if status in (401, 403):
            raise self._error(f"it refused us with HTTP {status}", "set bearer_token_file")
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._error(
                f"it answered HTTP {status} and no JSON", "check that url is a Prometheus API"
            )
        if answer.get("status") != "success":
            said = str(answer.get("error", f"HTTP {status}"))[:_MOST_SHOWN]
            raise self._error(f"it refused the query {query!r}: {said}", "correct the query")
        data = answer.get("data", {})
        if data.get("resultType") != "matrix":
            raise self._error(
                f"the query {query!r} gives a {data.get('resultType')} and no series",
                "write one that gives a number over time",
            )
        return data["result"]

    def _series(self, answer: Any, query: str) -> dict[str, list[tuple[float, float]]]:
        label = self._options.label
        found: dict[str, list[tuple[float, float]]] = {}
        for entry in answer:
            name = entry.get("metric", {}).get(label)
            if name is None:
                raise self._error(
                    f"the query {query!r} gives a series without the label {label}",
                    f"write max by ({label}) (…)",
                )
            if name in found:
                raise self._error(
                    f"the query {query!r} gives more than one series for {label} {name}",
                    f"write max by ({label}) (…)",
                )
            found[name] = [(float(at), _number(value)) for at, value in entry.get("values", ())]
        return found

    def _headers(self) -> dict[str, str]:
        if self._options.bearer_token_file is None:
            return {}
        token = Path(self._options.bearer_token_file).expanduser().read_text(encoding="utf-8")
        return {"Authorization": f"Bearer {token.strip()}"}

    def _tls(self) -> ssl.SSLContext | bool:
        return (
            True
            if self._options.ca is None
            else ssl.create_default_context(cafile=self._options.ca)
        )

    def _error(self, problem: str, remedy: str) -> MetricsError:
        return MetricsError(problem, where=self._where, remedy=remedy)


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return math.nan
