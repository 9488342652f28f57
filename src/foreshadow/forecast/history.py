"""One metric's past, as an array on the grid, and what is wrong with it, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from foreshadow.domain.clock import MetricTime, isoformat
from foreshadow.domain.series import Series
from foreshadow.domain.units import format_duration

Array: TypeAlias = npt.NDArray[np.float64]
Index: TypeAlias = npt.NDArray[np.int64]

DAY = 86400.0
WEEK = 7 * DAY

MOST_HISTORY = 29 * DAY
"""Older values are of no use: the first fold of a backtest looks back this far."""
MINIMUM_SPAN = 3 * DAY
"""A forecast needs two daily cycles to learn from and one to be tested on."""
MINIMUM_POINTS = 48
MOST_GAPS = 0.3
MOST_VALUE = 1e18
"""No metric is as large in its base unit; squares of such values would not be numbers."""
FLAT = 1e-9
"""Relative spread at or below which nothing can be learned, and nothing has to be."""


@dataclass(frozen=True, slots=True)
class History:
    """Completed cells of one metric: ``values[i]`` is the mean over ``(time - step, time]``.

    :ivar start: metric time at which the first cell ends.
    :ivar values: base units, shape (n,), finite or ``nan`` for a gap; begins and ends with a value.
    """

    start: float
    step: float
    values: Array

    @property
    def times(self) -> Array:
        """Return the time at which each cell ends, shape (n,)."""
        return self.start + self.step * np.arange(len(self.values), dtype=np.float64)

    @property
    def end(self) -> MetricTime:
        """Return the time at which the last cell ends."""
        return MetricTime(self.start + self.step * (len(self.values) - 1))

    def cells(self, seconds: float) -> int:
        """Return how many cells make a stretch of time, at least one."""
        return max(1, round(seconds / self.step))

    def up_to(self, end: float, window: float) -> History:
        """Return the cells that end in ``(end - window, end]``."""
        first = max(0, math.floor((end - window - self.start) / self.step) + 1)
        last = math.floor((end - self.start) / self.step) + 1
        kept = self.values[first : max(first, last)]
        return History(self.start + first * self.step, self.step, kept)


def history_of(series: Series, end: MetricTime, window: float) -> History:
    """Return the completed cells of a series that end in ``(end - window, end]``.

    Values that are not finite, or beyond all measure, are gaps; gaps at either end are cut off.
    """
    values = np.array(series.values, dtype=np.float64)
    values[~(np.abs(values) < MOST_VALUE)] = np.nan
    whole = History(float(series.start), series.step, values).up_to(end, window)
    present = np.flatnonzero(~np.isnan(whole.values))
    if not len(present):
        return History(whole.start, whole.step, whole.values[:0])
    first, last = int(present[0]), int(present[-1])
    cut = whole.values[first : last + 1]
    return History(whole.start + first * whole.step, whole.step, cut)


def too_poor(history: History, now: MetricTime) -> str | None:
    """Return why nothing can be forecast from a history, as a sentence, or ``None``."""
    count = len(history.values)
    if not count:
        return "there is no sample in the history"
    span = count * history.step
    if span < MINIMUM_SPAN or count < MINIMUM_POINTS:
        return (
            f"the history is too short: {format_duration(span)} of {count} points, "
            f"a forecast needs {format_duration(max(MINIMUM_SPAN, MINIMUM_POINTS * history.step))}"
        )
    gaps = float(np.isnan(history.values).mean())
    if gaps > MOST_GAPS:
        return f"{gaps:.0%} of the history are gaps, a forecast bears at most {MOST_GAPS:.0%}"
    late = now - history.end
    if late > 3 * history.step:
        return f"the history ends at {isoformat(history.end)}, {format_duration(late)} ago"
    lowest, highest = float(np.nanmin(history.values)), float(np.nanmax(history.values))
    if highest - lowest <= FLAT * max(1.0, abs(highest)):
        return f"the history is flat at {highest:.4g}: there is nothing to forecast from"
    return None


def steps(horizon: float, step: float, most: int) -> tuple[int, ...]:
    """Return how many cells ahead are predicted: all within the horizon, or some of very many.

    :param horizon: seconds; one cell beyond is predicted. ``step`` likewise.
    :param most: how many are predicted at most.
    """
    last = math.ceil(horizon / step) + 1
    chosen = np.unique(np.round(np.linspace(1, last, min(last, most))).astype(np.int64))
    return tuple(int(k) for k in chosen)
