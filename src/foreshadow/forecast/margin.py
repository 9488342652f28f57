"""The plain trigger: by how much a forecast has to pass its threshold, so that it may be believed.

The rolling backtest tells what alarms a limit would have raised in the past days, and which of
them nothing followed. The smallest margin that keeps those within the budget is the margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from foreshadow.forecast.backtest import Backtest
from foreshadow.forecast.history import Array, History
from foreshadow.forecast.intervals import quantiles

REARM = 3600.0
"""Seconds, or the horizon where that is longer, after an alarm in which there is no second one."""
_STEPS = tuple(k / 4 for k in range(17))
"""Margins that are tried, in spreads of the forecast."""
_WEEK = 7.0


@dataclass(frozen=True, slots=True)
class Limit:
    """What a forecast is held against.

    :ivar threshold: in the units of the history.
    :ivar quantile: that has to pass it.
    :ivar budget: false alarms in a week that a person bears.
    """

    threshold: float
    quantile: float
    budget: float


@dataclass(frozen=True, slots=True)
class Margin:
    """What is asked beyond the threshold.

    :ivar value: in the units of the history, 0 or more.
    :ivar alarms: that it would have raised in the backtest, and ``false`` of them with no breach
        after.
    :ivar problem: why no margin keeps the false alarms within the budget, as a sentence.
    """

    value: float
    alarms: int
    false: int
    problem: str | None = None


def margin(history: History, past: Backtest, horizons: tuple[int, ...], limit: Limit) -> Margin:
    """Return the smallest margin whose false alarms over the backtest are within the budget.

    An alarm is false when no breach follows within the horizon, or within the re-arm time after it:
    to be early is not to be wrong.

    What the days of a backtest count scatters by its root: one false alarm a week and two in the
    last one are no contradiction, so that much more is allowed.
    """
    ahead = max(horizons)
    expected = limit.budget * past.days / _WEEK
    allowed = max(1, math.floor(expected + math.sqrt(expected)))
    levels = _levels(past, limit.quantile)
    if not len(past.origins) or levels is None:
        return Margin(0.0, 0, 0)
    seen = np.concatenate([history.values, np.full(ahead, np.nan)])
    predicted = np.asarray(horizons)[None, :] + past.origins[:, None]
    points = seen[predicted] - past.errors
    highest = np.nanmax(np.where(np.isnan(points), -np.inf, points + past.spreads * levels), axis=1)
    above = seen > limit.threshold
    now = above[past.origins] | np.isnan(history.values[past.origins])
    rearm = max(ahead, round(REARM / history.step))
    awaited = ahead + rearm
    follows = np.array([above[o + 1 : o + 1 + awaited].any() for o in past.origins])
    whole = past.origins + awaited < len(history.values)
    spread = float(np.median(past.spreads))
    alarms = wrong = 0
    for share in _STEPS:
        asks = (highest > limit.threshold + share * spread) & ~now & whole
        alarms, wrong = _counted(asks, follows, rearm)
        if wrong <= allowed:
            return Margin(share * spread, alarms, wrong)
    return Margin(
        _STEPS[-1] * spread,
        alarms,
        wrong,
        f"over the last {past.days:.1f} days {wrong} of its {alarms} alarms would have been false; "
        f"the budget is {limit.budget:g} in a week",
    )


def _levels(past: Backtest, quantile: float) -> Array | None:
    """Return by horizon the quantile of the scaled errors, shape (horizons,)."""
    scaled = past.errors / past.spreads
    every = scaled[~np.isnan(scaled)]
    if not len(every):
        return None
    columns = [column[~np.isnan(column)] for column in scaled.T]
    return np.array(
        [quantiles(c if len(c) else every, (quantile,))[0] for c in columns], dtype=np.float64
    )


def _counted(asks: Array, follows: Array, rearm: int) -> tuple[int, int]:
    """Return how many alarms there are, and how many of them nothing followed."""
    alarms = wrong = 0
    quiet = -1
    for k in np.flatnonzero(asks):
        if k > quiet:
            alarms, wrong, quiet = alarms + 1, wrong + int(not follows[k]), int(k) + rearm
    return alarms, wrong
