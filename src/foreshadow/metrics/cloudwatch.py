"""The source ``cloudwatch``: one statistic of a metric for each resource, hundreds in one request.

A query is ``Namespace Metric Statistic Dimension=value …``, in which ``{resource}`` stands for the
resource and ``{…}`` for what the option ``values`` has for it:

    AWS/ApplicationELB TargetResponseTime p99 LoadBalancer={balancer}
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from foreshadow.cloud.aws import Aws
from foreshadow.cloud.options import AwsOptions
from foreshadow.domain.clock import MetricClock, WallClock
from foreshadow.domain.errors import ForeshadowError, MetricsError
from foreshadow.domain.series import Series, Window
from foreshadow.metrics.grid import resample
from foreshadow.metrics.options import Options, parse
from foreshadow.wire.clock import system_time

_MOST_QUERIES = 500
"""In one request: AWS takes no more."""
_MINUTE = 60
_BELOW_A_MINUTE = (30, 20, 10, 5, 1)
_A_SECOND = "/s"
"""Ends a statistic that is to be divided by the seconds that it was counted over."""
_STATISTIC = re.compile(
    r"^(Average|Sum|Minimum|Maximum|SampleCount|IQM|p\d{1,2}(\.\d+)?|p100|"
    r"(tm|wm|tc|ts|pr)(\d{1,2}(\.\d+)?|\([^)]*\)))$"
)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

Samples = dict[str, list[tuple[float, float]]]


class CloudwatchOptions(AwsOptions, Options):
    """Options of the source.

    :ivar values: by resource, what ``{…}`` in a query stands for.
    """

    values: dict[str, dict[str, str]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Query:
    """A query, taken apart.

    :ivar statistic: as AWS names it.
    :ivar rate: it is to be divided by the seconds of a period.
    :ivar dimensions: by name, the value with its placeholders.
    """

    namespace: str
    metric: str
    statistic: str
    rate: bool
    dimensions: Mapping[str, str]


class CloudwatchSource:
    """Asks ``GetMetricData``, page by page."""

    def __init__(
        self,
        options: Mapping[str, Any],
        clock: MetricClock,
        access: object,
        *,
        now: WallClock = system_time,
    ) -> None:
        del clock, access  # its samples carry metric time, and it needs no agent
        self._options = parse(CloudwatchOptions, "cloudwatch", options)
        self._where = "cloudwatch"
        self._aws = Aws(self._options.shared(), self._where)
        self._now = now

    def fetch(self, query: str, resources: Sequence[str], window: Window) -> dict[str, Series]:
        """Return the statistic for each resource, on the grid.

        A period without a sample is a gap and never zero; one that has not ended is left out, for
        its sum is not a sum yet.

        :raises MetricsError: when AWS does not answer, refuses, or answers only in part.
        """
        parsed = self._parsed(query)
        period = _period(window.step)
        samples: Samples = defaultdict(list)
        try:
            names = sorted(set(resources))
            for first in range(0, len(names), _MOST_QUERIES):
                some = names[first : first + _MOST_QUERIES]
                for name, at, value in self._ask(parsed, some, window, period):
                    samples[name].append((at, value / period if parsed.rate else value))
        except MetricsError:
            raise
        except ForeshadowError as error:
            raise self._error(error.problem, error.remedy) from None
        found = {name: resample(values, window) for name, values in samples.items()}
        return {name: series for name, series in found.items() if series is not None}

    def _ask(
        self, query: _Query, resources: Sequence[str], window: Window, period: int
    ) -> Iterator[tuple[str, float, float]]:
        """Give resource, time and value of each sample; a sample's time is the end of its period.

        AWS names a period by its beginning.
        """
        names = {f"q{i}": name for i, name in enumerate(resources)}
        pages = self._aws.pages(
            "cloudwatch", "GetMetricData",
            MetricDataQueries=[
                self._described(key, query, name, period) for key, name in names.items()
            ],
            StartTime=datetime.fromtimestamp(window.start, UTC),
            EndTime=datetime.fromtimestamp(window.end, UTC),
            ScanBy="TimestampAscending",
        )  # fmt: skip
        now = self._now()
        status: dict[str, str] = {}
        for page in pages:
            for result in page["MetricDataResults"]:
                name = names[result["Id"]]
                status[name] = result.get("StatusCode", "Complete")
                for began, value in zip(result["Timestamps"], result["Values"], strict=True):
                    at = began.timestamp() + period
                    if at <= now:
                        yield name, at, float(value)
        self._refuse_incomplete(status)

    def _refuse_incomplete(self, status: Mapping[str, str]) -> None:
        """Refuse an answer that is not whole: what is missing would look like gaps."""
        for name, code in sorted(status.items()):
            if code == "Forbidden":
                raise self._error(
                    f"the credentials may not read the metric of {name}",
                    "allow cloudwatch:GetMetricData in their policy",
                )
            if code != "Complete":
                raise self._error(
                    f"it answered only in part for {name} ({code})", "it may be over next time"
                )

    def _described(self, key: str, query: _Query, resource: str, period: int) -> dict[str, Any]:
        dimensions = [
            {"Name": name, "Value": self._filled(value, resource)}
            for name, value in query.dimensions.items()
        ]
        metric = {
            "Namespace": query.namespace,
            "MetricName": query.metric,
            "Dimensions": dimensions,
        }
        return {
            "Id": key,
            "MetricStat": {"Metric": metric, "Period": period, "Stat": query.statistic},
            "ReturnData": True,
        }

    def _filled(self, value: str, resource: str) -> str:
        known = {"resource": resource, **self._options.values.get(resource, {})}

        def fill(found: re.Match[str]) -> str:
            if found.group(1) not in known:
                raise self._error(
                    f"nothing says what {found.group()} is for {resource}",
                    f"add {found.group(1)} to values.{resource}",
                )
            return known[found.group(1)]

        return _PLACEHOLDER.sub(fill, value)

    def _parsed(self, query: str) -> _Query:
        try:
            words = shlex.split(query)
        except ValueError:
            words = []
        pairs = [word.partition("=") for word in words[3:]]
        if len(words) < 3 or not all(name and equals and value for name, equals, value in pairs):
            raise self._error(
                f"the query {query!r} is not Namespace Metric Statistic Dimension=value …",
                "write such as AWS/EC2 CPUUtilization Average InstanceId={instance}",
            )
        statistic = words[2].removesuffix(_A_SECOND)
        if not _STATISTIC.match(statistic):
            raise self._error(
                f"{words[2]} is no statistic of CloudWatch",
                "write Average, Sum, Sum/s, Minimum, Maximum, SampleCount, or a percentile as p99",
            )
        dimensions = {name: value for name, _, value in pairs}
        return _Query(words[0], words[1], statistic, words[2] != statistic, dimensions)

    def _error(self, problem: str, remedy: str) -> MetricsError:
        return MetricsError(problem, where=self._where, remedy=remedy)


def _period(step: float) -> int:
    """Return the longest period that CloudWatch knows and that fits into a step of the grid.

    Below a minute only for a grid that is finer itself: what AWS counts by the minute, it tells by
    the minute whatever the period, and a rate would be divided by too few seconds.
    """
    whole = int(step)
    for minutes in range(whole // _MINUTE, 0, -1):
        if whole % (minutes * _MINUTE) == 0:
            return minutes * _MINUTE
    if whole > _MINUTE:
        return _MINUTE
    return next((s for s in _BELOW_A_MINUTE if whole >= s and whole % s == 0), _MINUTE)
