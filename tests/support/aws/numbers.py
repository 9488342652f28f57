"""CloudWatch as AWS has it: percentiles, pages, and answers that are not whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.aws.calls import Call
from tests.support.aws.server import Answer, Forward, RefusedCall

Key = tuple[str, str, str, tuple[tuple[str, str], ...]]
_MOST_QUERIES = 500


def key(namespace: str, metric: str, statistic: str, **dimensions: str) -> Key:
    """Return what data is found by."""
    return (namespace, metric, statistic, tuple(sorted(dimensions.items())))


@dataclass
class Numbers:
    """The truth about metrics.

    :ivar data: values by the beginning of their period.
    :ivar counted: data is that of minutes, and longer periods are made of it: a sum is added up, of
        anything else the largest is taken.
    :ivar page: samples in one page.
    :ivar status: by metric, what is told at the end instead of ``Complete``.
    """

    data: dict[Key, dict[float, float]] = field(default_factory=dict)
    counted: bool = False
    page: int = 1000
    status: dict[Key, str] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)

    def answer(self, call: Call, forward: Forward) -> Answer | None:
        """Answer ``GetMetricData``."""
        if call.action != "GetMetricData":
            return None
        request = call.data
        queries = request["MetricDataQueries"]
        if len(queries) > _MOST_QUERIES:
            raise RefusedCall("ValidationError", "at most 500 queries in one request")
        self.asked.append(request)
        found = [sample for query in queries for sample in self._samples(query, request)]
        start = int(request.get("NextToken", "0"))
        shown, rest = found[start : start + self.page], found[start + self.page :]
        results = []
        for query in queries:
            mine = [(at, value) for name, at, value in shown if name == query["Id"]]
            later = any(name == query["Id"] for name, _, _ in rest)
            final = self.status.get(_key(query), "Complete")
            results.append(
                {
                    "Id": query["Id"],
                    "Label": "x",
                    "Timestamps": [at for at, _ in mine],
                    "Values": [value for _, value in mine],
                    "StatusCode": "PartialData" if later else final,
                }
            )
        reply: dict[str, Any] = {"MetricDataResults": results, "Messages": []}
        if rest:
            reply["NextToken"] = str(start + self.page)
        return 200, "application/x-amz-json-1.0", json.dumps(reply).encode()

    def _samples(self, query: Any, request: Any) -> list[tuple[str, float, float]]:
        first, last = float(request["StartTime"]), float(request["EndTime"])
        known = self.data.get(_key(query), {})
        if self.counted:
            stat = query["MetricStat"]
            known = _periods(known, max(60, stat["Period"]), sum if stat["Stat"] == "Sum" else max)
        return [(query["Id"], at, v) for at, v in sorted(known.items()) if first <= at < last]


def _periods(
    known: dict[float, float], seconds: int, joined: Callable[[list[float]], float]
) -> dict[float, float]:
    """Return the values of longer periods, by the beginning of each."""
    found: dict[float, list[float]] = {}
    for at, value in known.items():
        found.setdefault(at // seconds * seconds, []).append(value)
    return {at: joined(values) for at, values in found.items()}


def _key(query: Any) -> Key:
    stat = query["MetricStat"]
    metric = stat["Metric"]
    dimensions = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
    return key(metric["Namespace"], metric["MetricName"], stat["Stat"], **dimensions)
