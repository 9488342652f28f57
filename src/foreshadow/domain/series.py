"""Metric values on a regular UTC grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from foreshadow.domain.clock import MetricTime

HOST = "@host"
"""Stands for a resource in the series of the host itself; no resource can have this name."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which stretch of metric time is asked for: grid points in ``(start, end]``, ``step`` apart.

    A sample at grid point ``t`` speaks for ``(t - step, t]``. Grid points are multiples of
    ``step`` since 1970, so that windows asked for at different times share their points.
    """

    start: MetricTime
    end: MetricTime
    step: float

    def grid(self) -> tuple[MetricTime, ...]:
        """Return the grid points, earliest first."""
        first = math.floor(self.start / self.step) + 1
        last = math.floor(self.end / self.step)
        return tuple(MetricTime(k * self.step) for k in range(first, last + 1))


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one resource: ``values[i]`` at ``start + i * step``; ``nan`` is a gap.

    :ivar start: metric time of the first value.
    :ivar step: seconds between two values.
    :ivar values: in the unit that the spec declares for the metric; a tuple, or an ``array`` where
        there are very many.
    """

    start: MetricTime
    step: float
    values: Sequence[float]

    def __len__(self) -> int:
        return len(self.values)

    def times(self) -> tuple[MetricTime, ...]:
        """Return the metric time of each value."""
        return tuple(MetricTime(self.start + i * self.step) for i in range(len(self.values)))

    def last(self) -> tuple[MetricTime, float] | None:
        """Return the newest value that is not a gap, and its time."""
        for i in range(len(self.values) - 1, -1, -1):
            if not math.isnan(self.values[i]):
                return MetricTime(self.start + i * self.step), self.values[i]
        return None

    def present(self) -> int:
        """Return how many values are not gaps."""
        return sum(not math.isnan(v) for v in self.values)


def overlay(below: Series, above: Series) -> Series:
    """Return one series of both on their common grid; where both speak, ``above`` wins.

    :raises ValueError: when the steps differ.
    """
    if below.step != above.step:
        raise ValueError(f"cannot join a series of step {below.step:g} with one of {above.step:g}")
    points = {round(t / below.step): v for t, v in zip(below.times(), below.values, strict=True)}
    for t, v in zip(above.times(), above.values, strict=True):
        if not math.isnan(v):
            points[round(t / above.step)] = v
    if not points:
        return below
    first, last = min(points), max(points)
    values = tuple(points.get(k, math.nan) for k in range(first, last + 1))
    return Series(MetricTime(first * below.step), below.step, values)
