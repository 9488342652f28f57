"""The two clocks.

*Metric time* is the time of samples, horizons and breaches; it may be a replay. *Wall time* is
the time of leases, cooldowns, staleness and expiries; it is always real. Both are UTC seconds
since 1970, and the two types keep them apart for the type checker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import NewType

MetricTime = NewType("MetricTime", float)
WallTime = NewType("WallTime", float)

WallClock = Callable[[], WallTime]
"""What tells the wall time; injected, so that tests own it."""


def isoformat(at: float) -> str:
    """Return UTC seconds as ISO 8601 with a ``Z``, to the millisecond."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z").replace(".000Z", "Z")


def parse_instant(value: object) -> float:
    """Return UTC seconds for ISO 8601 text, a date, a datetime or a number; naive ones are UTC.

    :raises ValueError: when it is none of these.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r} is not a time: write 2026-11-24T08:00:00Z") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())  # as YAML reads a bare 2026-11-24
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    raise ValueError(f"{value!r} is not a time: write 2026-11-24T08:00:00Z")


@dataclass(frozen=True, slots=True)
class MetricClock:
    """How metric time runs: ``metric = origin + (wall - started) * rate``.

    The default is real time. A replay names the metric time at which it begins (``origin``), the
    wall time of that moment (``started``) and how many metric seconds pass in a wall second.
    """

    origin: MetricTime = MetricTime(0.0)
    started: WallTime = WallTime(0.0)
    rate: float = 1.0

    def metric(self, wall: WallTime) -> MetricTime:
        """Return the metric time at a wall time."""
        return MetricTime(self.origin + (wall - self.started) * self.rate)

    def wall(self, metric: MetricTime) -> WallTime:
        """Return the wall time at which the metric time is, was or will be reached."""
        return WallTime(self.started + (metric - self.origin) / self.rate)
